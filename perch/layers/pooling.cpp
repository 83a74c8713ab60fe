#include <perch/core/check.h>
#include <perch/layers/config_fields.h>
#include <perch/layers/pooling.h>

namespace perch {
namespace {

void check_image(const Shape& input) {
  PERCH_CHECK(input.rank() == 3, "needs images [height, width, channels], got {}",
              input.to_string());
}

}  // namespace

Pooling2D::Pooling2D(Size2D pool_size, PoolingOptions options)
    : pool_size_(pool_size),
      strides_(options.strides.value_or(pool_size)),
      padding_(options.padding) {
  set_name(std::move(options.name));
}

Shape Pooling2D::build_one(const Shape& input, const WeightInit&) {
  const auto geometry =
      WindowGeometry::of("pooling", input.batched(1), pool_size_, strides_, padding_);
  return {geometry.out_height, geometry.out_width, geometry.channels};
}

Pool2DOptions Pooling2D::window() const {
  return {.size = pool_size_, .stride = strides_, .padding = padding_};
}

void Pooling2D::visit(Visitor& visitor) {
  visit_size(visitor, "pool_size", pool_size_);
  visit_size(visitor, "strides", strides_);
  visit_padding(visitor, "padding", padding_);
}

Variable MaxPooling2D::apply_one(const Variable& x, const Weights&, const Context&) {
  return max_pool2d(x, window());
}
Variable AveragePooling2D::apply_one(const Variable& x, const Weights&, const Context&) {
  return average_pool2d(x, window());
}

GlobalAveragePooling2D::GlobalAveragePooling2D(Options options) {
  set_name(std::move(options.name));
}
GlobalAveragePooling2D::GlobalAveragePooling2D() : GlobalAveragePooling2D(Options{}) {}

Shape GlobalAveragePooling2D::build_one(const Shape& input, const WeightInit&) {
  check_image(input);
  return {input[-1]};
}
Variable GlobalAveragePooling2D::apply_one(const Variable& x, const Weights&, const Context&) {
  return global_average_pool2d(x);
}
void GlobalAveragePooling2D::visit(Visitor&) {}

ZeroPadding2D::ZeroPadding2D(Pad2D padding, Options options) : padding_(padding) {
  set_name(std::move(options.name));
}
ZeroPadding2D::ZeroPadding2D(Pad2D padding) : ZeroPadding2D(padding, Options{}) {}
ZeroPadding2D::ZeroPadding2D(std::int64_t padding)
    : ZeroPadding2D({.top = padding, .bottom = padding, .left = padding, .right = padding}) {}

Shape ZeroPadding2D::build_one(const Shape& input, const WeightInit&) {
  check_image(input);
  const auto& [top, bottom, left, right] = padding_;
  PERCH_CHECK(top >= 0 && bottom >= 0 && left >= 0 && right >= 0,
              "padding [{}, {}, {}, {}] (top, bottom, left, right) has a negative entry", top,
              bottom, left, right);
  return {input[0] + top + bottom, input[1] + left + right, input[2]};
}
Variable ZeroPadding2D::apply_one(const Variable& x, const Weights&, const Context&) {
  return zero_pad2d(x, padding_);
}
void ZeroPadding2D::visit(Visitor& visitor) {
  visit_pad(visitor, "padding", padding_);
}

}  // namespace perch
