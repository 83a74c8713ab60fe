// A linear layer's kernel and bias by channels. For this room's sources.
#pragma once

#include <cstdint>
#include <vector>

#include <perch/layers/layer.h>

namespace perch {

/// Borrows a Conv2D, DepthwiseConv2D or Dense that is built.
class Channels {
 public:
  explicit Channels(Layer& layer);

  std::int64_t outputs() const { return outputs_; }
  /// Largest |kernel| and |bias| of each output channel.
  std::vector<double> output_kernel() const;
  std::vector<double> output_bias() const;
  /// Largest |kernel| of each of `count` input channels; a Dense behind Flatten has several rows
  /// for each: row r belongs to channel r % count.
  std::vector<double> input_kernel(std::int64_t count) const;

  /// Kernel and bias of output channel i divided by scales[i].
  void divide_outputs(const std::vector<double>& scales);
  /// Kernel of input channel i multiplied by scales[i].
  void multiply_inputs(const std::vector<double>& scales);

 private:
  std::int64_t input_of(std::int64_t element, std::int64_t count) const;

  Variable* kernel_;
  Variable* bias_;  // null: none
  std::int64_t outputs_ = 0;
  std::int64_t columns_ = 0;    // elements of a kernel between two input channels
  std::int64_t rows_ = 0;       // input channels that a kernel holds: those of one group
  std::int64_t per_group_ = 0;  // output channels of a group
};

}  // namespace perch
