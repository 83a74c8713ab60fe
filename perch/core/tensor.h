// Tensor: a cheap handle on a contiguous, row-major float32 array. It knows nothing of gradients
// (see variable.h) and does no arithmetic (see ops/). Elements may be kept in another form, or be
// known to lie on a grid (see encoding.h).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include <perch/core/shape.h>

namespace perch {

struct CodeGrid;
struct Encoding;

/// A copy shares the elements; clone() copies them.
class Tensor {
 public:
  Tensor() = default;  ///< no elements at all: empty() is true
  /// Uninitialised elements.
  explicit Tensor(const Shape& shape);
  /// Throws Error(usage) unless values.size() == shape.size().
  Tensor(const Shape& shape, std::span<const float> values);
  Tensor(const Shape& shape, std::initializer_list<float> values)
      : Tensor(shape, std::span<const float>(values.begin(), values.size())) {}

  static Tensor full(const Shape& shape, float value);
  static Tensor zeros(const Shape& shape) { return full(shape, 0.0f); }
  static Tensor scalar(float value) { return full({}, value); }
  /// Elements that are computed when somebody asks for floats: see encoding.h.
  static Tensor encoded(const Shape& shape, std::shared_ptr<const Encoding> encoding);

  bool empty() const { return storage_ == nullptr && encoding_ == nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t size() const { return empty() ? 0 : shape_.size(); }

  /// Writing access; an encoding is decoded and given up.
  float* data() {
    if (encoding_ != nullptr) settle();
    return storage_.get();
  }
  const float* data() const { return storage_ == nullptr ? decoded() : storage_.get(); }
  std::span<float> values() { return {data(), static_cast<std::size_t>(size())}; }
  std::span<const float> values() const { return {data(), static_cast<std::size_t>(size())}; }
  /// The only element. Throws Error(usage) unless there is exactly one.
  float item() const;

  Tensor clone() const;
  /// The same elements under another shape. Throws Error(usage) when the sizes differ.
  Tensor reshape(const Shape& shape) const;
  /// Overwrites the elements. Throws Error(usage) when the shapes differ.
  void copy_from(const Tensor& source);
  void fill(float value);

  /// True when no other handle shares the elements, so that an op may reuse them for its result.
  bool unique() const { return storage_.use_count() == 1; }
  bool shares_storage_with(const Tensor& other) const {
    return storage_ == other.storage_ && encoding_ == other.encoding_;
  }

  /// The floats' memory, kept alive beside the tensor.
  std::shared_ptr<const float> share() const;

  /// What the elements are made of as long as they are no floats; null when they are.
  const Encoding* deferred() const { return storage_ == nullptr ? encoding_.get() : nullptr; }
  /// The grid that the elements lie on; null when none is known.
  const CodeGrid* grid() const;
  /// Says so of floats that do lie on it.
  void set_grid(std::shared_ptr<const CodeGrid> grid);

 private:
  const float* decoded() const;
  void settle();

  Shape shape_;
  std::shared_ptr<float> storage_;            // null: none, or the encoding has them
  std::shared_ptr<const Encoding> encoding_;  // null: plain floats
};

}  // namespace perch
