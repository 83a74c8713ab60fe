// How fast and with how much memory this machine runs a training: what `train --dry-run` says of
// it, alone or beside others.
#pragma once

#include <perch/experiments/command.h>

/// Several processes that share the machine.
struct Arrangement {
  int side_by_side = 1, threads = 1;  ///< threads of each
};

/// Of each process.
struct Pace {
  double images_per_second = 0.0, evaluation_images_per_second = 0.0;
  double start_seconds = 0.0;  ///< until the first step: the program, data and network
  double epoch_seconds = 0.0;
  double further_seconds = 0.0;  ///< behind the last epoch
  double peak_mb = 0.0;
};

/// Runs so many processes with this command of train at once, a few steps each, and takes their
/// mean. Throws Error(failure) with the reason where one of them fails, Error(interrupted).
Pace probe(const perch::experiments::Arguments& command, const Arrangement& arrangement);
