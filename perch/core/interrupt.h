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
/// Since the first request; 0 where there is none. For work that is worth finishing if it is short.
double seconds_since_interrupt() noexcept;
/// Throws Error(interrupted) where a stop was asked for. Trainings, evaluations and all other
/// passes over data call it batch by batch, AdaRound in each of its iterations, and files are read
/// piece by piece with it.
void throw_if_interrupted();

/// While it lives, the first SIGINT or SIGTERM is request_interrupt(); another one, 0.3 s later or
/// more, does what it did before, which by default ends the process at once. Several may be nested.
class InterruptOnSignals {
 public:
  InterruptOnSignals();
  ~InterruptOnSignals();
  InterruptOnSignals(const InterruptOnSignals&) = delete;
  InterruptOnSignals& operator=(const InterruptOnSignals&) = delete;

  static constexpr std::array<int, 2> signals = {SIGINT, SIGTERM};
};

}  // namespace perch
