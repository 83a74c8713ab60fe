// Convolution layers on [H, W, C].
#pragma once

#include <string>

#include <perch/core/ops/conv.h>
#include <perch/layers/layer.h>

namespace perch {

/// Weights: kernel [h, w, C / groups, filters] (Glorot uniform), bias [filters] (zeros).
class Conv2D final : public UnaryLayer {
 public:
  struct Options {
    Size2D strides = 1;
    Padding padding = Padding::valid;
    Size2D dilation = 1;
    std::int64_t groups = 1;
    std::string activation = "linear";
    bool use_bias = true;
    std::string name = {};
  };
  Conv2D(std::int64_t filters, Size2D kernel_size, Options options);
  Conv2D(std::int64_t filters, Size2D kernel_size);

  std::string kind() const override { return "Conv2D"; }
  void visit(Visitor& visitor) override;
  const Options& options() const { return options_; }

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  std::int64_t filters_;
  Size2D kernel_size_;
  Options options_;
  Variable kernel_, bias_;
};

/// Weights: depthwise_kernel [h, w, C, depth_multiplier] (Glorot uniform), bias (zeros).
class DepthwiseConv2D final : public UnaryLayer {
 public:
  struct Options {
    Size2D strides = 1;
    Padding padding = Padding::valid;
    Size2D dilation = 1;
    std::int64_t depth_multiplier = 1;
    std::string activation = "linear";
    bool use_bias = true;
    std::string name = {};
  };
  DepthwiseConv2D(Size2D kernel_size, Options options);
  explicit DepthwiseConv2D(Size2D kernel_size);

  std::string kind() const override { return "DepthwiseConv2D"; }
  void visit(Visitor& visitor) override;
  const Options& options() const { return options_; }

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  Size2D kernel_size_;
  Options options_;
  Variable kernel_, bias_;
};

}  // namespace perch
