// Quantized networks and naive figures that the tests share.
#pragma once

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <tests/ptq/nets.h>

#include <perch/ptq/calibrate.h>
#include <perch/quant/apply.h>
#include <perch/quant/wrapper.h>

namespace perch::test {

/// separable_net() with a wrapped convolution, depthwise convolution and what feeds them.
inline Sequential quantized_net(const QuantSpec& kernel = {.bits = 4, .granularity = per_channel}) {
  Sequential model = separable_net();
  const QuantizeConfig config{.weights = {{"kernel", kernel}},
                              .activation = QuantSpec{.bits = 6, .range = MovingAverage{}}};
  apply_in_place(model, {{"conv2d", config}, {"depthwise_conv2d", config}});
  calibrate(model, images(32), {.images = 32});
  return model;
}

/// Sums one element at a time.
struct NaiveFidelity {
  double signal = 0.0, noise = 0.0, product = 0.0, power = 0.0;
  void add(const Tensor& x, const Tensor& y) {
    REQUIRE(x.size() == y.size());
    for (std::size_t i = 0; i < x.values().size(); ++i) {
      const double a = static_cast<double>(x.values()[i]), b = static_cast<double>(y.values()[i]);
      signal += a * a;
      noise += (a - b) * (a - b);
      product += a * b;
      power += b * b;
    }
  }
  double sqnr_db() const { return 10.0 * std::log10(signal / noise); }
  double cosine() const { return product / std::sqrt(signal * power); }
};

/// Every layer's output for a batch, by the layer's name.
inline std::map<std::string, Tensor> outputs_of(Model& model, const Tensor& batch) {
  std::map<std::string, Tensor> outputs;
  Context context;
  context.on_output = [&](const Layer& layer, const Variable& y) {
    outputs.emplace(layer.name(), y.value().clone());
  };
  model.forward(Variable(batch), context);
  return outputs;
}

}  // namespace perch::test
