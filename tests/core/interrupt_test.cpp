// Wishes to stop, by signals and without.
#include <csignal>

#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/core/interrupt.h>

using namespace perch;

namespace {

auto handler_of(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

}  // namespace

TEST_CASE("signals are wishes to stop until the last of those who heed them is gone") {
  const auto before = handler_of(SIGTERM);
  {
    const InterruptOnSignals outer;
    { const InterruptOnSignals inner; }
    CHECK(handler_of(SIGTERM) != before);
    CHECK_FALSE(interrupt_requested());
    CHECK(seconds_since_interrupt() == 0.0);
    std::raise(SIGTERM);
    CHECK(interrupt_requested());
    std::raise(SIGTERM);  // the same wish: a shell or a scheduler sends it twice
    CHECK(seconds_since_interrupt() > 0.0);
    CHECK_THROWS_AS(throw_if_interrupted(), Error);
    clear_interrupt();
    throw_if_interrupted();
  }
  CHECK(handler_of(SIGTERM) == before);
}
