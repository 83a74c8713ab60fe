// All steps together.
#include <catch2/catch.hpp>
#include <tests/ptq/nets.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/layers/spec.h>
#include <perch/ptq/ptq.h>

using namespace perch;
using namespace perch::test;

namespace {

const QuantizeConfig coarse{.weights = {{"kernel", {.bits = 4, .range = LastValue{}}}},
                            .activation = QuantSpec{.range = MovingAverage{}}};
const QuantRules rules{
    .rules = {{.filter = {.kinds = {"Conv2D", "DepthwiseConv2D", "Dense"}}, .config = coarse}}};

}  // namespace

TEST_CASE("each step brings a network quantized after training nearer to the float one") {
  const Dataset data = images(64);
  const auto error = [&](const PtqOptions& options) {
    Sequential model = separable_net(9);
    const Tensor expected = output_of(model, data);
    const PtqReport report = quantize_after_training(model, rules, data, options);
    CHECK(report.equalisation.pairs.size() == (options.equalise ? 2 : 0));
    CHECK(report.adaround.size() == (options.adaround ? 3 : 0));
    CHECK(report.bias_correction.corrected.size() == (options.bias_correction ? 3 : 0));
    CHECK(model.layer("quantize_layer").kind() == "QuantizeLayer");
    return relative_error(output_of(model, data), expected);
  };
  const CalibrateOptions calibration{.images = 64, .batch_size = 16};
  const double plain = error({.calibrate = calibration});
  const double equalised = error({.calibrate = calibration, .equalise = EqualiseOptions{}});
  const double corrected =
      error({.calibrate = calibration, .equalise = EqualiseOptions{}, .bias_correction = true});
  const double rounded =
      error({.calibrate = calibration,
             .equalise = EqualiseOptions{},
             .adaround = AdaRoundOptions{.iterations = 200, .learning_rate = 0.05f},
             .bias_correction = true});
  CAPTURE(plain, equalised, corrected, rounded);
  CHECK(equalised < plain);
  CHECK(corrected < equalised);
  CHECK(rounded < corrected);
}

TEST_CASE("a network is only changed when there are images for it") {
  Sequential model = separable_net();
  const Tensor before = state(model, "conv2d/kernel").clone();
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] {
                        quantize_after_training(
                            model, rules, images(8),
                            {.calibrate = {.images = 9}, .equalise = EqualiseOptions{}});
                      }),
             Catch::Contains("9 images wanted, there are 8"));
  CHECK(bit_difference(state(model, "conv2d/kernel"), before) == "");
}
