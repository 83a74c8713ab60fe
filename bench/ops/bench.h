// What the benchmarks share: a perch op beside its baseline, timed alike, and counted against what
// the machine can do at most.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <perch/core/variable.h>

namespace perch::bench {

/// Of one run: of products if there are any, else what has to be read and written at least.
struct Work {
  double flops = 0.0;  ///< a multiplication and an addition are two
  double bytes = 0.0;
  bool integer = false;  ///< of the products
};

struct Timed {
  std::function<void()> prepare = {};  ///< before each run, untimed
  std::function<Tensor()> run = {};    ///< its result is what baseline and perch must agree on
};

/// One line of the report.
struct Benchmark {
  Work work;
  Timed perch;
  Timed baseline = {};  ///< without a run: none
};

/// Registers name/perch/threads:N, and name/baseline/threads:N `beside` it, for 1 and 2 threads.
/// `make` is called when its turn comes. A baseline whose result differs from perch's, but for
/// roundings and for codes beside a boundary, ends the program.
enum class Beside { nothing, baseline };
void add(const std::string& name, Beside beside, std::function<Benchmark()> make);

/// The value that an op computes.
Timed forward(std::function<Variable()> op);
/// The pass backwards alone. The result is the first leaf's gradient; the others have gradients
/// too, which are thrown away.
Timed backward(std::function<Variable()> op, std::vector<Variable> leaves);

/// What perch itself counts as products in a run: for blocks of many ops.
Work counted(const Timed& timed);
/// Floats that are read or written.
Work moved(std::int64_t floats);

/// Uniform in [-0.5, 0.5), a function of shape and name.
Tensor random_tensor(const Shape& shape, std::string_view name);

// One per topic, each in a source of its own.
void add_convolutions();
void add_integer_convolutions();
void add_dense();
void add_norms();
void add_quantizers();
void add_blocks();
void add_pooling();
void add_losses();
void add_optimizers();
void add_loader();

}  // namespace perch::bench
