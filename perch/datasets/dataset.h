// Dataset: labelled images in memory, and views of them. Images stay as they came (uint8 takes a
// quarter of float's memory) and become float one batch at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <perch/core/tensor.h>

namespace perch {

/// How uint8 pixels become floats.
enum class InputScale { unit, raw };  ///< [0, 1] (x / 255) or 0..255

/// A cheap handle: copies and subsets share the images.
class Dataset {
 public:
  struct Images;  // opaque; from_memory() makes them

  Dataset() = default;
  explicit Dataset(std::shared_ptr<const Images> images);

  std::int64_t size() const { return end_ - begin_; }
  const Shape& image_shape() const;  ///< [H, W, C]
  std::int64_t classes() const;      ///< one more than the largest label, or as the source says
  std::int32_t label(std::int64_t index) const;

  /// Writes image `index` as image_shape().size() floats.
  void read(std::int64_t index, float* out) const;

  /// Images [begin, end) of this view. Throws Error(usage) out of range.
  Dataset subset(std::int64_t begin, std::int64_t end) const;
  Dataset with_input_scale(InputScale scale) const;
  InputScale input_scale() const { return scale_; }
  /// True for uint8 pixels: those that InputScale applies to.
  bool pixels_scale() const;

 private:
  friend std::string checksum(const Dataset& data);

  std::shared_ptr<const Images> images_;
  std::int64_t begin_ = 0, end_ = 0;
  InputScale scale_ = InputScale::unit;
};

/// SHA-256 of an image shape, all pixels (as bytes where an image's are whole numbers in 0..255,
/// else as floats) and all labels: the same for the same images, whatever file they came from.
/// Computed once for each part; thread-safe. Throws Error(interrupted) where it is not done a
/// second after a stop was asked for (see interrupt.h).
std::string checksum(const Dataset& data);

struct TrainTest {
  Dataset train, test;
};

/// People's own data: images of one shape, normally [H, W, C], one after the other. Floats are fed
/// as they are (InputScale applies to uint8). `classes` 0 means one more than the largest label.
/// Throws Error(bad_data) when sizes do not agree, labels are negative or not below `classes`, or
/// there is none.
Dataset from_memory(std::vector<std::uint8_t> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes = 0);
Dataset from_memory(std::vector<float> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes = 0);

/// The same from a shared array of labels.size() images, which is not copied.
Dataset from_memory(std::shared_ptr<const std::uint8_t[]> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes = 0);
Dataset from_memory(std::shared_ptr<const float[]> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes = 0);

}  // namespace perch
