#include <sstream>

#include <catch2/catch.hpp>
#include <tests/io/small_models.h>

namespace perch {

using namespace test;

TEST_CASE("inspect reports layers, variables and each channel's scale and zero point") {
  Sequential model = small_quantized_net();
  const ModelReport report = inspect(model);
  REQUIRE(report.layers.size() == model.nodes().size());
  const LayerReport& conv = report.layers[1];
  CHECK(conv.name == "quant_conv2d");
  CHECK(conv.kind == "QuantizeWrapper(Conv2D)");
  CHECK(conv.output_shape == std::vector<std::int64_t>{6, 6, 4});
  CHECK(conv.parameters == 3 * 3 * 2 * 4 + 4);
  REQUIRE(conv.variables.size() == 7);
  const VariableReport& kernel_max = conv.variables[4];
  CHECK(kernel_max.name == "quant_conv2d/kernel_max");
  CHECK(kernel_max.shape == std::vector<std::int64_t>{4});
  CHECK(kernel_max.values.size() == 4);
  CHECK(kernel_max.max >= kernel_max.min);

  REQUIRE(conv.quantizers.size() == 2);
  const QuantizerReport& kernel = conv.quantizers[0];
  CHECK(kernel.variable == "kernel");
  CHECK(kernel.bits == 5);
  CHECK(kernel.axes == std::vector<int>{3});
  CHECK(kernel.symmetric);
  CHECK(kernel.policy == "all_values");
  REQUIRE(kernel.scale.size() == 4);
  const QuantGrid grid = QuantGrid::of(conv.variables[3].values[2], kernel_max.values[2], 5, false);
  CHECK(kernel.scale[2] == grid.scale);
  CHECK(kernel.zero_point[2] == static_cast<std::int64_t>(grid.zero_point));

  std::ostringstream text;
  text << report;
  for (const char* part : {"quant_conv2d/kernel_min [4]", "zero point", "5 bits, all_values",
                           "QuantizeWrapper(DepthwiseConv2D)", "axes [2, 3]"}) {
    INFO(text.str());
    CHECK(text.str().find(part) != std::string::npos);
  }
}

}  // namespace perch
