// Interruption: a wish to stop that everything which runs for long heeds.
#pragma once

#include <array>
#include <csignal>

namespace perch {

/// Asks for a stop. Safe in a signal handler and from any thread.
void request_interrupt() noexcept;
bool interrupt_requested() noexcept;
/// The wish is forgotten, for instance between two trainings of one program.
void clear_interrupt() noexcept;
/// Throws Error(interrupted) where a stop was asked for. Trainings, evaluations and all other
/// passes over data call it batch by batch, AdaRound in each of its iterations.
void throw_if_interrupted();

/// While it lives, the first SIGINT or SIGTERM is request_interrupt(); another one, 0.3 s later or
/// more, does what it did before, which by default ends the process at once.
class InterruptOnSignals {
 public:
  InterruptOnSignals();
  ~InterruptOnSignals();
  InterruptOnSignals(const InterruptOnSignals&) = delete;
  InterruptOnSignals& operator=(const InterruptOnSignals&) = delete;

  static constexpr std::array<int, 2> signals = {SIGINT, SIGTERM};
};

}  // namespace perch
