// quantizers.h5: five training steps of tfmot's quantizers, bit for bit. Where stock tfmot ignores
// an axis or fails, the recordings of the corrected quantizers (AV_fixed, MA_fixed) count.
#include <algorithm>

#include <catch2/catch.hpp>
#include <fmt/ranges.h>
#include <tests/support/bits.h>
#include <tests/support/golden.h>

#include <perch/core/kernels/table.h>
#include <perch/quant/range_quantizer.h>

using namespace perch;
using namespace perch::test;

namespace {

RangePolicy policy_of(const std::string& quantizer) {
  if (quantizer.starts_with("AV")) return AllValues{};
  if (quantizer.starts_with("LV")) return LastValue{};
  INFO("quantizer " << quantizer);
  REQUIRE(quantizer.starts_with("MA"));
  return MovingAverage{};
}

QuantSpec spec_of(const golden::Group& run) {
  const std::string quantizer = run.text("quantizer");
  const bool per_axis = run.flag("per_axis") && quantizer != "AV";  // which ignores it
  return {.bits = static_cast<int>(run.integer("num_bits")),
          .granularity = per_axis ? per_axes({-1}) : per_tensor,
          .symmetric = run.flag("symmetric"),
          .narrow_range = run.flag("narrow_range"),
          .range = policy_of(quantizer)};
}

void check_run(const golden::Group& tensors, const golden::Group& run) {
  RangeQuantizer quantizer(spec_of(run));
  const Shape shape = tensors.shape("upstream");
  quantizer.build(shape, {});
  CHECK(bit_difference(quantizer.min(), run.tensor("min_init"), Zeros::any_sign) == "");
  CHECK(bit_difference(quantizer.max(), run.tensor("max_init"), Zeros::any_sign) == "");

  const std::vector<std::int64_t> kept = tensors.ints("out_steps").values;
  const std::int64_t steps = tensors.shape("weights")[0];
  for (std::int64_t step = 0; step < steps; ++step) {
    INFO("step " << step);
    const Variable weights(tensors.tensor("weights", step), true);
    const Variable out =
        quantizer(weights, Context::for_training(0, static_cast<std::uint32_t>(step)));
    CHECK(bit_difference(quantizer.min(), run.tensor("min", step), Zeros::any_sign) == "");
    CHECK(bit_difference(quantizer.max(), run.tensor("max", step), Zeros::any_sign) == "");
    const auto recorded = std::find(kept.begin(), kept.end(), step);
    if (recorded != kept.end()) {
      CHECK(bit_difference(out.value(), run.tensor("out_train", recorded - kept.begin())) == "");
    }
    if (step == steps - 1) {
      out.backward(tensors.tensor("upstream"));
      CHECK(bit_difference(weights.grad(), run.tensor("grad")) == "");
    }
  }
  const Variable inferred =
      quantizer(Variable(tensors.tensor("weights_infer")), Context::for_inference());
  CHECK(bit_difference(inferred.value(), run.tensor("out_infer")) == "");
}

// tfmot's FixedQuantizer: always eight bits, whatever it was asked for.
void check_fixed(const golden::Group& tensors, const golden::Group& run) {
  const auto number = [&](const char* name) { return static_cast<float>(run.number(name)); };
  RangeQuantizer quantizer({.bits = static_cast<int>(run.integer("num_bits_effective")),
                            .narrow_range = run.flag("narrow_range"),
                            .range = Fixed{number("init_min"), number("init_max")}});
  const Variable x(tensors.tensor("x"), true);
  quantizer.build(x.shape(), {});
  const Variable y = quantizer(x, Context::for_training(0, 0));
  CHECK(bit_difference(y.value(), run.tensor("y")) == "");
  y.backward(tensors.tensor("upstream"));
  CHECK(bit_difference(x.grad(), run.tensor("grad")) == "");
}

}  // namespace

TEST_CASE("golden: quantizers move their ranges and quantize with TensorFlow's bits") {
  const golden::Group file = golden::Group::open(golden::folder() / "quantizers.h5");
  std::int64_t cases = 0;
  std::vector<std::string> skipped;
  for (const std::string& name : file.groups()) {
    const golden::Group tensors = file.group(name);
    for (const std::string& run_name : tensors.groups()) {
      const golden::Group run = tensors.group(run_name);
      INFO(run.path());
      if (run.has_attribute("status") && run.text("status") == "error") {
        skipped.push_back(name + "/" + run_name);
        continue;
      }
      for (const kernels::Table& table : kernels::available()) {
        const kernels::ScopedArch arch(table.arch);
        INFO("on " << table.arch);
        run.has_attribute("init_min") ? check_fixed(tensors, run) : check_run(tensors, run);
      }
      ++cases;
    }
  }
  fmt::print("skipped, tfmot fails there: {}\n", fmt::join(skipped, ", "));
  golden::report(cases);
}
