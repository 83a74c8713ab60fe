#include <perch/core/check.h>
#include <perch/core/ops/elementwise.h>
#include <perch/layers/flatten.h>

namespace perch {

Flatten::Flatten(Options options) {
  set_name(std::move(options.name));
}
Flatten::Flatten() : Flatten(Options{}) {}

Shape Flatten::build_one(const Shape& input, const WeightInit&) {
  return {input.size()};
}
Variable Flatten::apply_one(const Variable& x, const Weights&, const Context&) {
  return flatten(x);
}
void Flatten::visit(Visitor&) {}

Reshape::Reshape(std::vector<std::int64_t> target_shape, Options options)
    : target_shape_(std::move(target_shape)) {
  set_name(std::move(options.name));
}
Reshape::Reshape(std::vector<std::int64_t> target_shape)
    : Reshape(std::move(target_shape), Options{}) {}

Shape Reshape::build_one(const Shape& input, const WeightInit&) {
  std::vector<std::int64_t> extents = target_shape_;
  std::int64_t known = 1, open = 0;
  for (const std::int64_t extent : extents) {
    PERCH_CHECK(extent >= -1, "target shape [{}] has a negative extent other than -1",
                fmt::join(extents, ", "));
    if (extent == -1) {
      ++open;
    } else {
      known *= extent;
    }
  }
  PERCH_CHECK(open <= 1, "target shape [{}] leaves more than one extent open",
              fmt::join(extents, ", "));
  for (std::int64_t& extent : extents) {
    if (extent == -1) extent = known == 0 ? 0 : input.size() / known;
  }
  output_ = Shape(extents);
  PERCH_CHECK(output_.size() == input.size(), "{} elements of shape {} do not fill [{}]",
              input.size(), input.to_string(), fmt::join(target_shape_, ", "));
  return output_;
}

Variable Reshape::apply_one(const Variable& x, const Weights&, const Context&) {
  const Shape batch = output_.batched(x.shape()[0]);
  return reshape(x, {batch.begin(), batch.end()});
}

void Reshape::visit(Visitor& visitor) {
  visitor.config("target_shape", target_shape_);
}

}  // namespace perch
