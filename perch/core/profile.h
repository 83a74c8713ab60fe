// Profiler: where a training step's time goes, by phase, layer and op. Costs one atomic read per
// scope while nobody records.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace perch {

class Tensor;

/// All scopes of one phase ("forward", "backward", "update", "data"), layer and op.
struct ProfileRow {
  std::string phase, layer, op;
  std::int64_t calls = 0;
  double seconds = 0.0;
  double flops = 0.0;  ///< of products; a multiplication and an addition are two
  double bytes = 0.0;  ///< of inputs and results, each once
};

/// Records from its making to stop() or its end; one at a time.
class Profiler {
 public:
  /// Keeps single events, for the trace, of about the first `traced_seconds`.
  explicit Profiler(double traced_seconds = 2.0);
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  void stop();
  /// Longest first.
  std::vector<ProfileRow> rows() const;
  /// What chrome://tracing and Perfetto open: a JSON object with an event per scope.
  void write_trace(std::ostream& out) const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// Times its own life, when somebody records. Scopes of one thread may nest; the outer one's time
/// includes the inner ones'.
class ProfileScope {
 public:
  ProfileScope(std::string_view phase, std::string_view layer, std::string_view op);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  friend void count_work(double flops, double bytes);
  friend void count_bytes(std::initializer_list<const Tensor*> tensors);
  friend std::string profiled_layer();
  std::shared_ptr<Profiler::State> state_;
  std::string phase_, layer_, op_;
  double flops_ = 0.0, bytes_ = 0.0;
  std::chrono::steady_clock::time_point start_;
  ProfileScope* outer_ = nullptr;
};

bool profiling();
/// Credits work to the calling thread's innermost scope.
void count_work(double flops, double bytes);
/// The same for tensors that are read or written once, as they are stored.
void count_bytes(std::initializer_list<const Tensor*> tensors);
/// The layer that the calling thread's innermost scope belongs to; "" outside of any.
std::string profiled_layer();

/// What the active kernels reach on this machine, measured in a few hundredths of a second.
struct MachinePeak {
  double flops;         ///< per second, of one thread: independent multiply-adds
  double bytes;         ///< per second, of one thread: read and written in the second cache
  double memory_bytes;  ///< the same from and to memory
};
MachinePeak measure_peak();

}  // namespace perch
