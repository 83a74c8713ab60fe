#include <atomic>
#include <cstdint>
#include <ctime>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>

namespace perch {
namespace {

std::atomic<bool> requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

// What the signals did before, in the order of InterruptOnSignals::signals.
std::array<struct sigaction, InterruptOnSignals::signals.size()> former{};

void put_back() noexcept {
  for (std::size_t i = 0; i < former.size(); ++i) {
    sigaction(InterruptOnSignals::signals[i], &former[i], nullptr);
  }
}

// timeout(1), shells and schedulers send one wish twice, to the process and to its group.
constexpr std::int64_t same_wish_ns = 300'000'000;
std::atomic<std::int64_t> first_ns = 0;

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
  requested = true;
}

bool interrupt_requested() noexcept {
  return requested;
}

void clear_interrupt() noexcept {
  first_ns = 0;
  requested = false;
}

void throw_if_interrupted() {
  if (requested) fail(ErrorCode::interrupted, "interrupted");
}

InterruptOnSignals::InterruptOnSignals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // what is being written is not an error for it
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &action, &former[i]);
}

InterruptOnSignals::~InterruptOnSignals() {
  put_back();
}

}  // namespace perch
