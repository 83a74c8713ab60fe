#include <atomic>
#include <cstdint>
#include <ctime>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>

namespace perch {
namespace {

// Nanoseconds of the steady clock; 0: never.
std::atomic<std::int64_t> requested_ns = 0, first_ns = 0;
static_assert(std::atomic<std::int64_t>::is_always_lock_free, "a signal handler sets them");

// What the signals did before, in the order of InterruptOnSignals::signals.
std::array<struct sigaction, InterruptOnSignals::signals.size()> former{};
std::atomic<int> alive = 0;

void put_back() noexcept {
  for (std::size_t i = 0; i < former.size(); ++i) {
    sigaction(InterruptOnSignals::signals[i], &former[i], nullptr);
  }
}

// timeout(1), shells and schedulers send one wish twice, to the process and to its group.
constexpr std::int64_t same_wish_ns = 300'000'000;

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void on_signal(int signal) {
  if (first_ns == 0) {
    first_ns = now_ns();
    request_interrupt();
  } else if (now_ns() - first_ns > same_wish_ns) {
    put_back();
    raise(signal);
  }
}

}  // namespace

void request_interrupt() noexcept {
  std::int64_t never = 0;
  requested_ns.compare_exchange_strong(never, now_ns());
}

bool interrupt_requested() noexcept {
  return requested_ns != 0;
}

void clear_interrupt() noexcept {
  first_ns = 0;
  requested_ns = 0;
}

double seconds_since_interrupt() noexcept {
  const std::int64_t then = requested_ns;
  return then == 0 ? 0.0 : static_cast<double>(now_ns() - then) * 1e-9;
}

void throw_if_interrupted() {
  if (interrupt_requested()) fail(ErrorCode::interrupted, "interrupted");
}

InterruptOnSignals::InterruptOnSignals() {
  if (alive++ > 0) return;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // what is being written is not an error for it
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &action, &former[i]);
}

InterruptOnSignals::~InterruptOnSignals() {
  if (--alive == 0) put_back();
}

}  // namespace perch
