// Runs the cells of an experiment, each as commands of this program in a process of its own, so
// that one that fails takes nothing with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <perch/experiments/command.h>
#include <perch/experiments/results.h>

/// A float model that cells begin with.
struct StartPlan {
  std::string id;
  perch::experiments::Arguments command;  ///< without data, places and threads; empty: `file`
  perch::experiments::Arguments probe;    ///< a training of its network
  std::filesystem::path file = {};        ///< of a model that is there already
};

struct CellPlan {
  std::string id;      ///< its folder's name: the values of the axes that vary, and the digest
  std::string digest;  ///< of its command and its start's, the data and perch's version
  perch::experiments::Cell cell;
  std::string start;                      ///< of the StartPlan; empty: fresh weights
  perch::experiments::Arguments command;  ///< as above, with the start's place for its file
  perch::experiments::Arguments probe;    ///< a training of its network, which needs no files

  bool trains() const { return command.front() == "train"; }
};

/// Stands in a CellPlan's command where the start's file belongs.
inline const std::string start_file = "{start}";

struct GridPlan {
  std::filesystem::path folder;
  perch::experiments::Arguments data;        ///< for train and quantize
  perch::experiments::Arguments evaluation;  ///< for evaluate and analyze
  int side_by_side = 1, threads = 1;         ///< threads of each command
  std::vector<StartPlan> starts;
  std::vector<CellPlan> cells;  ///< those that have no result yet
};

/// What is told while the grid runs.
struct GridProgress {
  std::int64_t done = 0, all = 0;  ///< starts and cells
  std::string running;             ///< the last one that said something
  std::int64_t epoch = 0;          ///< that it finished, from 1; 0: none yet
  double images_per_second = 0.0;
  /// Set when a cell ended just now.
  const perch::experiments::CellResult* ended = nullptr;
};

/// Writes a result.json for every cell, also for those that failed. Throws Error(interrupted) when
/// SIGINT or SIGTERM came: what had ended is kept. Returns how many failed.
std::int64_t run_grid(const GridPlan& plan, const std::function<void(const GridProgress&)>& tell);
