#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <ostream>
#include <thread>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <perch/core/check.h>
#include <perch/core/encoding.h>
#include <perch/core/kernels/table.h>
#include <perch/core/profile.h>
#include <perch/core/tensor.h>

namespace perch {

using Clock = std::chrono::steady_clock;

struct Profiler::State {
  struct Event {
    std::string name, phase;
    double start, duration;  // microseconds
    std::size_t thread;
  };
  using Key = std::tuple<std::string, std::string, std::string>;

  std::mutex mutex;
  Clock::time_point begin = Clock::now();
  double traced_seconds = 0.0;
  std::map<Key, ProfileRow> rows;
  std::vector<Event> events;
  std::vector<std::thread::id> threads;

  std::size_t thread_number(std::thread::id id) {
    const auto found = std::find(threads.begin(), threads.end(), id);
    const auto number = static_cast<std::size_t>(found - threads.begin());
    if (found == threads.end()) threads.push_back(id);
    return number;
  }
};

namespace {

std::atomic<bool> recording = false;
std::mutex current_mutex;
std::shared_ptr<Profiler::State> current;  // guarded by current_mutex

std::shared_ptr<Profiler::State> current_state() {
  if (!recording.load(std::memory_order_relaxed)) return nullptr;
  const std::lock_guard lock(current_mutex);
  return current;
}

thread_local ProfileScope* innermost = nullptr;

double microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

/// The best of a few runs, per second.
template <class Run>
double best_rate(double work, const Run& run) {
  double best = 0.0;
  for (int i = 0; i < 6; ++i) {
    const Clock::time_point start = Clock::now();
    run();
    best = std::max(best, work / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

Profiler::Profiler(double traced_seconds) : state_(std::make_shared<State>()) {
  state_->traced_seconds = traced_seconds;
  const std::lock_guard lock(current_mutex);
  PERCH_CHECK(current == nullptr, "profiler: another one records already; end it first");
  current = state_;
  recording = true;
}

Profiler::~Profiler() {
  stop();
}

void Profiler::stop() {
  const std::lock_guard lock(current_mutex);
  if (current != state_) return;
  recording = false;
  current = nullptr;
}

std::vector<ProfileRow> Profiler::rows() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<ProfileRow> rows;
  for (const auto& [key, row] : state_->rows) rows.push_back(row);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ProfileRow& a, const ProfileRow& b) { return a.seconds > b.seconds; });
  return rows;
}

void Profiler::write_trace(std::ostream& out) const {
  const std::lock_guard lock(state_->mutex);
  out << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  const char* separator = "\n";
  for (const State::Event& event : state_->events) {
    fmt::print(out,
               "{}{{\"name\":\"{}\",\"cat\":\"{}\",\"ph\":\"X\",\"ts\":{:.3f},\"dur\":{:.3f},"
               "\"pid\":1,\"tid\":{}}}",
               separator, escaped(event.name), escaped(event.phase), event.start, event.duration,
               event.thread);
    separator = ",\n";
  }
  out << "\n]}\n";
}

ProfileScope::ProfileScope(std::string_view phase, std::string_view layer, std::string_view op)
    : state_(current_state()) {
  if (state_ == nullptr) return;
  phase_ = phase;
  layer_ = layer;
  op_ = op;
  outer_ = std::exchange(innermost, this);
  start_ = Clock::now();
}

ProfileScope::~ProfileScope() {
  if (state_ == nullptr) return;
  const Clock::time_point end = Clock::now();
  innermost = outer_;
  const std::lock_guard lock(state_->mutex);
  ProfileRow& row = state_->rows[{phase_, layer_, op_}];
  row.phase = phase_;
  row.layer = layer_;
  row.op = op_;
  ++row.calls;
  row.seconds += std::chrono::duration<double>(end - start_).count();
  row.flops += flops_;
  row.bytes += bytes_;
  const double at = microseconds(start_ - state_->begin);
  if (at > state_->traced_seconds * 1e6) return;
  state_->events.push_back({layer_.empty() ? op_ : layer_ + " " + op_, phase_, at,
                            microseconds(end - start_),
                            state_->thread_number(std::this_thread::get_id())});
}

bool profiling() {
  return recording.load(std::memory_order_relaxed);
}

void count_work(double flops, double bytes) {
  if (innermost == nullptr) return;
  innermost->flops_ += flops;
  innermost->bytes_ += bytes;
}

void count_bytes(std::initializer_list<const Tensor*> tensors) {
  if (innermost == nullptr) return;
  for (const Tensor* const tensor : tensors) {
    const Encoding* const encoding = tensor->deferred();
    const double each = encoding != nullptr && encoding->codes != nullptr ? 1.0 : 4.0;
    innermost->bytes_ += each * static_cast<double>(tensor->size());
  }
}

std::string profiled_layer() {
  return innermost == nullptr ? "" : innermost->layer_;
}

MachinePeak measure_peak() {
  const auto& peak = kernels::active().peak;
  constexpr std::int64_t rounds = 200'000;
  const double flops = 2.0 * static_cast<double>(rounds * peak.multiply_adds_per_round);
  const auto copy_rate = [&](std::int64_t floats, std::int64_t times) {
    const Tensor from = Tensor::full({floats}, 1.0f);
    Tensor to({floats});
    return best_rate(8.0 * static_cast<double>(floats * times), [&] {
      for (std::int64_t i = 0; i < times; ++i) peak.copy(to.data(), from.data(), floats);
    });
  };
  return {.flops = best_rate(flops, [&] { peak.multiply_adds(rounds); }),
          .bytes = copy_rate(std::int64_t{1} << 15, 64),
          .memory_bytes = copy_rate(std::int64_t{1} << 24, 1)};
}

}  // namespace perch
