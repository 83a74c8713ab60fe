#include "tests/support/op_table.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/sanitizers.h>
#include <perch/core/storage.h>

#include "tests/core/guarded_memory.h"
#include "tests/core/restore_threads.h"
#include "tests/support/bits.h"

using namespace perch;
using namespace perch::test;

namespace {

// Every tensor in memory of its own, as it came from the allocator.
struct FreshMemory {
  FreshMemory() {
    keep_returned_buffers(false);
    release_cached_buffers();
  }
  ~FreshMemory() { keep_returned_buffers(true); }
};

// Calls compare(what, tensor of a, tensor of b) for the output and each gradient.
template <class Compare>
void for_each_result(const Outcome& a, const Outcome& b, Compare compare) {
  compare("output", a.output, b.output);
  for (std::size_t i = 0; i < a.gradients.size(); ++i) {
    if (a.gradients[i].empty() && b.gradients[i].empty()) continue;
    compare(fmt::format("gradient of input {}", i), a.gradients[i], b.gradients[i]);
  }
}

bool memory_intact(const Outcome& outcome) {
  bool intact = guard_bands_intact() && padding_intact(outcome.output);
  for (const Tensor& t : outcome.inputs) intact &= padding_intact(t);
  for (const Tensor& t : outcome.gradients) intact &= padding_intact(t);
  return intact;
}

}  // namespace

TEST_CASE(
    "every op and its gradient agree with the double-precision reference on every instruction "
    "set",
    "[slow]") {
  for (const OpRow& row : op_table()) {
    const Outcome first = evaluate(row);
    std::vector<Array> inputs;
    for (const Tensor& input : first.inputs) inputs.emplace_back(input);
    const Array output = row.reference(inputs);
    const std::vector<Array> gradients =
        reference_gradients(row, first.inputs, upstream_of(row, first.output.shape()));
    for (const kernels::Table& table : kernels::available()) {
      const kernels::ScopedArch arch(table.arch);
      INFO(row.name << " on " << table.arch);
      const Outcome outcome = evaluate(row);
      CHECK(difference(outcome.output, output, row.tolerance) == "");
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        if (gradients[i].values.empty()) continue;
        INFO("gradient of input " << i);
        CHECK(difference(outcome.gradients[i], gradients[i], row.tolerance) == "");
      }
    }
  }
}

TEST_CASE("instruction sets agree: to the bit where an op promises it, else closely") {
  for (const OpRow& row : op_table()) {
    const kernels::ScopedArch base(kernels::available().front().arch);
    const Outcome expected = evaluate(row);
    for (const kernels::Table& table : kernels::available()) {
      const kernels::ScopedArch arch(table.arch);
      INFO(row.name << " on " << table.arch);
      for_each_result(expected, evaluate(row),
                      [&](const std::string& what, const Tensor& want, const Tensor& got) {
                        INFO(what);
                        CHECK(difference(got, Array(want), row.tolerance) == "");
                      });
      if (row.exact) CHECK(bit_difference(evaluate(row).output, expected.output) == "");
    }
  }
}

TEST_CASE("every op gives the same bits with 1, 2 and 4 threads and in a second run") {
  const RestoreThreads restore;
  for (const OpRow& row : op_table()) {
    set_thread_count(1);
    const Outcome expected = evaluate(row);
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      INFO(row.name << " with " << threads << " threads");
      for_each_result(expected, evaluate(row),
                      [&](const std::string& what, const Tensor& want, const Tensor& got) {
                        INFO(what);
                        CHECK(bit_difference(got, want) == "");
                      });
    }
  }
}

TEST_CASE("no op writes outside of its tensors or uses what lies there") {
  for (const OpRow& row : op_table()) {
    for (const kernels::Table& table : kernels::available()) {
      const kernels::ScopedArch arch(table.arch);
      INFO(row.name << " on " << table.arch);
      const Outcome elsewhere = evaluate(row);
      const FreshMemory fresh;
      const Outcome outcome = evaluate(row);
      CHECK(memory_intact(outcome));
      for_each_result(elsewhere, outcome,
                      [&](const std::string& what, const Tensor& want, const Tensor& got) {
                        INFO(what);
                        CHECK(bit_difference(got, want) == "");
                      });
    }
  }
}

TEST_CASE("the memory check notices an op that writes one element too many") {
  if (PERCH_THREAD_SANITIZER) return;  // whose operator new cannot be replaced
  OpRow row{.name = "overrun", .shapes = {{17}}, .op = [](const std::vector<Variable>& in) {
              Tensor y = in[0].value().clone();
              y.data()[y.size()] = 0.0f;
              return Variable(y);
            }};
  const FreshMemory fresh;
  CHECK_FALSE(memory_intact(evaluate(row)));
  CHECK(guard_bands_intact());  // it stayed within the cache line
}

TEST_CASE("the table's comparison notices a wrong gradient") {
  const OpRow row{.name = "wrong",
                  .shapes = {{5}},
                  .op =
                      [](const std::vector<Variable>& in) {
                        return Variable::from_op("wrong", in[0].value().clone(), {in[0]},
                                                 [](Tensor dy) -> std::vector<Tensor> {
                                                   dy.data()[3] *= 1.0001f;
                                                   return {dy};
                                                 });
                      },
                  .reference = [](const std::vector<Array>& in) { return in[0]; }};
  const Outcome outcome = evaluate(row);
  const auto want = reference_gradients(row, outcome.inputs, upstream_of(row, {5}));
  CHECK(difference(outcome.gradients[0], want[0], row.tolerance) != "");
}
