#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/storage.h>
#include <perch/core/tensor.h>

namespace perch {

Tensor::Tensor(const Shape& shape) : shape_(shape), storage_(allocate_floats(shape.size())) {}

Tensor::Tensor(const Shape& shape, std::span<const float> values) : Tensor(shape) {
  PERCH_CHECK(static_cast<std::int64_t>(values.size()) == shape.size(),
              "tensor: {} values do not fill shape {}", values.size(), shape.to_string());
  std::copy(values.begin(), values.end(), data());
}

Tensor Tensor::full(const Shape& shape, float value) {
  Tensor result(shape);
  result.fill(value);
  return result;
}

float Tensor::item() const {
  PERCH_CHECK(size() == 1, "tensor: item() needs one element, shape {} has {}", shape_.to_string(),
              size());
  return *data();
}

Tensor Tensor::clone() const {
  return empty() ? Tensor() : Tensor(shape_, values());
}

Tensor Tensor::reshape(const Shape& shape) const {
  PERCH_CHECK(!empty() && shape.size() == size(),
              "tensor: {} elements of shape {} cannot become {}", size(), shape_.to_string(),
              shape.to_string());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  PERCH_CHECK(shape_ == source.shape_ && empty() == source.empty(),
              "tensor: shape {} cannot be copied into {}", source.shape_.to_string(),
              shape_.to_string());
  std::copy_n(source.data(), size(), data());
}

void Tensor::fill(float value) {
  std::fill_n(data(), size(), value);
}

}  // namespace perch
