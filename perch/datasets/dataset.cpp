#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <utility>
#include <variant>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>
#include <perch/datasets/dataset.h>
#include <perch/datasets/sha256.h>

namespace perch {

struct Dataset::Images {
  std::variant<std::shared_ptr<const std::uint8_t[]>, std::shared_ptr<const float[]>> pixels;
  std::vector<std::int32_t> labels;
  Shape shape;
  std::int64_t pixels_per_image;
  std::int64_t classes;

  /// Checksums by first and last image: they take a while, and several ask for them.
  struct Checksums {
    std::mutex mutex;
    std::map<std::pair<std::int64_t, std::int64_t>, std::string> known;
  };
  std::shared_ptr<Checksums> checksums = std::make_shared<Checksums>();
};

Dataset::Dataset(std::shared_ptr<const Images> images)
    : images_(std::move(images)), end_(static_cast<std::int64_t>(images_->labels.size())) {}

const Shape& Dataset::image_shape() const {
  static const Shape none;
  return images_ ? images_->shape : none;
}

std::int64_t Dataset::classes() const {
  return images_ ? images_->classes : 0;
}

std::int32_t Dataset::label(std::int64_t index) const {
  PERCH_CHECK(index >= 0 && index < size(), "dataset: image {} of {}", index, size());
  return images_->labels[static_cast<std::size_t>(begin_ + index)];
}

void Dataset::read(std::int64_t index, float* out) const {
  PERCH_CHECK(index >= 0 && index < size(), "dataset: image {} of {}", index, size());
  const std::int64_t count = images_->pixels_per_image;
  const std::int64_t offset = (begin_ + index) * count;
  if (const auto* floats = std::get_if<std::shared_ptr<const float[]>>(&images_->pixels)) {
    std::copy_n(floats->get() + offset, count, out);
    return;
  }
  const std::uint8_t* const bytes = std::get<0>(images_->pixels).get() + offset;
  if (scale_ == InputScale::raw) {
    std::copy_n(bytes, count, out);
  } else {
    std::transform(bytes, bytes + count, out, [](std::uint8_t x) { return x / 255.0f; });
  }
}

Dataset Dataset::subset(std::int64_t begin, std::int64_t end) const {
  PERCH_CHECK(0 <= begin && begin <= end && end <= size(),
              "dataset: subset [{}, {}) of {} images is out of range", begin, end, size());
  Dataset part = *this;
  part.begin_ = begin_ + begin;
  part.end_ = begin_ + end;
  return part;
}

bool Dataset::pixels_scale() const {
  return images_ && images_->pixels.index() == 0;
}

Dataset Dataset::with_input_scale(InputScale scale) const {
  Dataset scaled = *this;
  scaled.scale_ = scale;
  return scaled;
}

namespace {

std::int64_t check_labels(const std::vector<std::int32_t>& labels, const Shape& image_shape,
                          std::int64_t classes) {
  if (labels.empty()) fail(ErrorCode::bad_data, "dataset: there are no images");
  if (image_shape.size() < 1) {
    fail(ErrorCode::bad_data, "dataset: images of shape {} have no pixels",
         image_shape.to_string());
  }
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || (classes > 0 && labels[i] >= classes)) {
      fail(ErrorCode::bad_data, "dataset: label {} of image {} is outside of 0..{}", labels[i], i,
           classes > 0 ? std::to_string(classes - 1) : "");
    }
    largest = std::max(largest, labels[i]);
  }
  return classes > 0 ? classes : std::int64_t{largest} + 1;
}

template <class Pixel>
Dataset from_array(std::shared_ptr<const Pixel[]> images, std::vector<std::int32_t> labels,
                   const Shape& image_shape, std::int64_t classes) {
  PERCH_CHECK(classes >= 0, "dataset: {} classes; give a positive number or 0 for automatic",
              classes);
  classes = check_labels(labels, image_shape, classes);
  auto made = std::make_shared<Dataset::Images>(Dataset::Images{
      std::move(images), std::move(labels), image_shape, image_shape.size(), classes});
  return Dataset(std::move(made));
}

template <class Pixel>
Dataset from_vector(std::vector<Pixel> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes) {
  const auto expected = static_cast<std::int64_t>(labels.size()) * image_shape.size();
  if (static_cast<std::int64_t>(images.size()) != expected) {
    fail(ErrorCode::bad_data, "dataset: {} pixels, where {} labels and images of {} make {}",
         images.size(), labels.size(), image_shape.to_string(), expected);
  }
  const auto owner = std::make_shared<const std::vector<Pixel>>(std::move(images));
  return from_array(std::shared_ptr<const Pixel[]>(owner, owner->data()), std::move(labels),
                    image_shape, classes);
}

}  // namespace

Dataset from_memory(std::vector<std::uint8_t> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes) {
  return from_vector(std::move(images), std::move(labels), image_shape, classes);
}

Dataset from_memory(std::vector<float> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes) {
  return from_vector(std::move(images), std::move(labels), image_shape, classes);
}

Dataset from_memory(std::shared_ptr<const std::uint8_t[]> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes) {
  return from_array(std::move(images), std::move(labels), image_shape, classes);
}

Dataset from_memory(std::shared_ptr<const float[]> images, std::vector<std::int32_t> labels,
                    const Shape& image_shape, std::int64_t classes) {
  return from_array(std::move(images), std::move(labels), image_shape, classes);
}

namespace {

/// Most sums are there before a second has passed, and a checkpoint is worth more with its own.
void check_time_left() {
  constexpr double patience = 1.0;
  if (seconds_since_interrupt() > patience) throw_if_interrupted();
}

std::string sum_up(const Dataset& data) {
  datasets::Sha256 digest;
  const std::string shape = data.image_shape().to_string();
  digest.add(shape.data(), shape.size());
  const Dataset raw = data.with_input_scale(InputScale::raw);
  const auto count = static_cast<std::size_t>(data.image_shape().size());
  std::vector<float> pixels(count);
  std::vector<std::uint8_t> bytes(count);
  for (std::int64_t i = 0; i < data.size(); ++i) {
    check_time_left();
    // Pixels that are bytes are hashed as such, a quarter of the work.
    raw.read(i, pixels.data());
    std::ranges::transform(pixels, bytes.begin(), [](float x) {
      return x > 0.0f && x < 256.0f ? static_cast<std::uint8_t>(x) : std::uint8_t{0};
    });
    const std::array<std::int32_t, 2> label = {data.label(i), std::ranges::equal(pixels, bytes)};
    digest.add(label.data(), sizeof label);
    if (label[1] != 0) {
      digest.add(bytes.data(), count);
    } else {
      digest.add(pixels.data(), count * sizeof(float));
    }
  }
  return digest.digits();
}

}  // namespace

std::string checksum(const Dataset& data) {
  if (!data.images_) return sum_up(data);
  const std::lock_guard lock(data.images_->checksums->mutex);
  std::string& known = data.images_->checksums->known[{data.begin_, data.end_}];
  if (known.empty()) known = sum_up(data);
  return known;
}

}  // namespace perch
