// fake_quant.h5: TensorFlow's three fake-quantization ops, forward and backward, bit for bit.
#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/golden.h>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/fake_quant.h>

using namespace perch;
using namespace perch::test;

namespace {

struct Case {
  Tensor x, dy, y, dx, min, max;
  Tensor dmin, dmax;  // empty where not recorded
  FakeQuantOptions options;
};

void check(const Case& c) {
  for (const kernels::Table& table : kernels::available()) {
    const kernels::ScopedArch arch(table.arch);
    INFO("on " << table.arch << ", " << c.options.bits << " bits, narrow " << c.options.narrow_range
               << ", first range " << *c.min.data() << " to " << *c.max.data());
    const Variable x(c.x, true), min(c.min, true), max(c.max, true);
    const Variable y = fake_quant(x, min, max, c.options);
    CHECK(bit_difference(y.value(), c.y) == "");
    y.backward(c.dy.clone());
    CHECK(bit_difference(x.grad(), c.dx) == "");
    if (!c.dmin.empty()) {
      CHECK(bit_difference(min.grad(), c.dmin) == "");
      CHECK(bit_difference(max.grad(), c.dmax) == "");
    }

    // Without gradients of the range, x's is computed by another kernel, here in place.
    const Variable alone(c.x, true);
    fake_quant(alone, Variable(c.min), Variable(c.max), c.options).backward(c.dy.clone());
    CHECK(bit_difference(alone.grad(), c.dx) == "");
  }
}

void check_grid(const golden::Group& group, std::int64_t row, const Case& c) {
  const QuantGrid grid =
      QuantGrid::of(c.min.item(), c.max.item(), c.options.bits, c.options.narrow_range);
  const float got[] = {grid.nudged_min, grid.nudged_max, grid.scale, grid.zero_point};
  const char* const names[] = {"nudged_min", "nudged_max", "scale", "zero_point"};
  for (std::size_t i = 0; i < 4; ++i) {
    INFO(names[i]);
    CHECK(bit_difference(std::span(&got[i], 1), group.tensor(names[i], row).values(),
                         Zeros::any_sign) == "");
  }
}

// Datasets with one case per row: per tensor, per channel of the last axis (the range is a row of
// its own then), or with a constant range (no gradients of the range then).
std::int64_t check_table(const golden::Group& group) {
  const std::int64_t cases = group.shape("x")[0];
  const auto bits = group.ints("num_bits").values, narrow = group.ints("narrow_range").values;
  const bool per_channel = group.shape("min").rank() == 2, constant = !group.contains("dmin");
  for (std::int64_t row = 0; row < cases; ++row) {
    INFO(group.path() << " row " << row);
    const auto at = [&](const char* name) { return group.tensor(name, row); };
    Case c{.x = at("x"),
           .dy = at("dy"),
           .y = at("y"),
           .dx = at("dx"),
           .min = at("min"),
           .max = at("max"),
           .options = {.bits = static_cast<int>(bits[static_cast<std::size_t>(row)]),
                       .narrow_range = narrow[static_cast<std::size_t>(row)] != 0,
                       .constant_range = constant}};
    if (per_channel) c.options.axes = {-1};
    if (!constant) {
      c.dmin = at("dmin");
      c.dmax = at("dmax");
    }
    check(c);
    if (group.contains("zero_point")) check_grid(group, row, c);
  }
  return cases;
}

bool check_special(const golden::Group& group) {
  if (!group.flag("assertable")) return false;
  INFO(group.path());
  const auto number = [&](const char* name) {
    return Tensor::scalar(static_cast<float>(group.number(name)));
  };
  check({.x = group.tensor("x"),
         .dy = group.tensor("dy"),
         .y = group.tensor("y"),
         .dx = group.tensor("dx"),
         .min = number("min"),
         .max = number("max"),
         .dmin = number("dmin"),
         .dmax = number("dmax"),
         .options = {.bits = static_cast<int>(group.integer("num_bits")),
                     .narrow_range = group.flag("narrow_range")}});
  return true;
}

}  // namespace

TEST_CASE("golden: fake quantization has TensorFlow's bits, forward and backward") {
  const golden::Group file = golden::Group::open(golden::folder() / "fake_quant.h5");
  std::int64_t cases = 0;
  for (const std::string& name : file.groups()) {
    const golden::Group group = file.group(name);
    if (group.contains("x")) {
      cases += check_table(group);
      continue;
    }
    for (const std::string& special : group.groups()) {
      cases += check_special(group.group(special)) ? 1 : 0;
    }
  }
  golden::report(cases);
}
