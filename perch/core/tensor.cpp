#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/encoding.h>
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

Tensor Tensor::encoded(const Shape& shape, std::shared_ptr<const Encoding> encoding) {
  Tensor result;
  result.shape_ = shape;
  result.encoding_ = std::move(encoding);
  return result;
}

const float* Tensor::decoded() const {
  return encoding_ == nullptr ? nullptr : encoding_->floats(size()).get();
}

std::shared_ptr<const float> Tensor::share() const {
  return storage_ == nullptr && encoding_ != nullptr ? encoding_->floats(size()) : storage_;
}

void Tensor::settle() {
  if (storage_ == nullptr) {
    const std::shared_ptr<float> floats = encoding_->floats(size());
    storage_ = allocate_floats(size());
    std::copy_n(floats.get(), size(), storage_.get());
  }
  encoding_ = nullptr;
}

const CodeGrid* Tensor::grid() const {
  return encoding_ == nullptr || encoding_->map != nullptr ? nullptr : encoding_->grid.get();
}

void Tensor::set_grid(std::shared_ptr<const CodeGrid> grid) {
  auto encoding = std::make_shared<Encoding>();
  encoding->grid = std::move(grid);
  encoding_ = std::move(encoding);
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
  // Axes of another shape mean other elements.
  const CodeGrid* const known = grid();
  if (storage_ != nullptr && known != nullptr && !known->axes.empty()) result.encoding_ = nullptr;
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
