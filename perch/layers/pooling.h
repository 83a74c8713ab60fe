// Pooling and zero padding of [H, W, C].
#pragma once

#include <optional>
#include <string>

#include <perch/core/ops/pool.h>
#include <perch/layers/layer.h>

namespace perch {

struct PoolingOptions {
  std::optional<Size2D> strides = std::nullopt;  ///< the pool's size unless given
  Padding padding = Padding::valid;
  std::string name = {};
};

/// What the windowed kinds share.
class Pooling2D : public UnaryLayer {
 public:
  void visit(Visitor& visitor) override;

 protected:
  Pooling2D(Size2D pool_size, PoolingOptions options);
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Pool2DOptions window() const;

 private:
  Size2D pool_size_, strides_;
  Padding padding_;
};

class MaxPooling2D final : public Pooling2D {
 public:
  using Options = PoolingOptions;
  explicit MaxPooling2D(Size2D pool_size = 2, Options options = {})
      : Pooling2D(pool_size, std::move(options)) {}
  std::string kind() const override { return "MaxPooling2D"; }

 protected:
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;
};

class AveragePooling2D final : public Pooling2D {
 public:
  using Options = PoolingOptions;
  explicit AveragePooling2D(Size2D pool_size = 2, Options options = {})
      : Pooling2D(pool_size, std::move(options)) {}
  std::string kind() const override { return "AveragePooling2D"; }

 protected:
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;
};

/// [H, W, C] -> [C].
class GlobalAveragePooling2D final : public UnaryLayer {
 public:
  struct Options {
    std::string name = {};
  };
  explicit GlobalAveragePooling2D(Options options);
  GlobalAveragePooling2D();

  std::string kind() const override { return "GlobalAveragePooling2D"; }
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;
};

/// Rows and columns of zeros around the image.
class ZeroPadding2D final : public UnaryLayer {
 public:
  struct Options {
    std::string name = {};
  };
  ZeroPadding2D(Pad2D padding, Options options);
  explicit ZeroPadding2D(Pad2D padding);
  /// The same on all sides.
  explicit ZeroPadding2D(std::int64_t padding);

  std::string kind() const override { return "ZeroPadding2D"; }
  /// "padding" is reported as [top, bottom, left, right].
  void visit(Visitor& visitor) override;

 protected:
  Shape build_one(const Shape& input, const WeightInit& init) override;
  Variable apply_one(const Variable& x, const Weights& weights, const Context& context) override;

 private:
  Pad2D padding_;
};

}  // namespace perch
