// A model's state as a flat list of named variables, the way Keras names them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <perch/layers/layer.h>

namespace perch {

/// One variable. Exactly one of the three pointers is set; they point into the layer.
struct StateEntry {
  std::string name;   ///< "conv2d/kernel", "quant_conv2d/kernel_min"
  std::string layer;  ///< name of the model's layer that holds it: "quant_conv2d"
  Variable* weight = nullptr;
  Tensor* buffer = nullptr;
  std::int32_t* counter = nullptr;
  bool trainable = false;  ///< a weight whose layer is not frozen
  bool of_part = false;    ///< belongs to a part of the layer, as a quantizer's range does

  Shape shape() const;
  /// Null for counters.
  const Tensor* tensor() const;
};

/// Everything that a file must hold, in the order of Keras's get_weights().
std::vector<StateEntry> state_of(Layer& layer);

/// A layer's own weight, not those of its children and parts; null when it has none of that name.
Variable* find_weight(Layer& layer, std::string_view name);

/// Copies values by name. Throws Error(usage) naming the first variable that one side lacks or
/// whose shape differs; nothing is copied then.
void copy_state(Layer& from, Layer& to);

/// Number of trainable and of other values.
struct ParameterCount {
  std::int64_t trainable = 0, other = 0;
};
ParameterCount count_parameters(Layer& layer);

}  // namespace perch
