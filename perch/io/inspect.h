// What is in a model: layers, shapes, variables, quantizers with scale and zero point.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <perch/layers/model.h>

namespace perch {

struct VariableReport {
  std::string name;
  std::vector<std::int64_t> shape;
  double min = 0.0, max = 0.0;
  std::vector<float> values;  ///< when there are at most 1,024
};

struct QuantizerReport {
  std::string variable;  ///< "kernel", "post_activation", "output", "quantize_layer"
  int bits = 0;
  std::vector<int> axes;
  bool symmetric = false, narrow_range = false, observe_only = false;
  std::string policy;
  std::vector<float> scale;              ///< one, or one per channel
  std::vector<std::int64_t> zero_point;  ///< in [0, 2^bits - 1], or less 2^(bits - 1) when signed
};

struct LayerReport {
  std::string name, kind;
  std::vector<std::int64_t> output_shape;  ///< without batch axis
  std::int64_t parameters = 0;             ///< trainable values
  std::vector<VariableReport> variables;
  std::vector<QuantizerReport> quantizers;
};

struct ModelReport {
  std::vector<LayerReport> layers;
};
std::ostream& operator<<(std::ostream& out, const ModelReport& report);

/// std::cout << inspect(model)
ModelReport inspect(Model& model);

}  // namespace perch
