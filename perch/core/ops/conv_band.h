// Bands: parts of a [images, height, width, channels] array, in place where they can be read there,
// else copied (or computed) with padding around. Private to the convolutions (conv*.cpp).
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>

#include <perch/core/encoding.h>
#include <perch/core/function_ref.h>
#include <perch/core/ops/conv_walk.h>
#include <perch/core/tensor.h>

namespace perch::conv {

/// An array of T: in memory, or made by `read`(first element, count, to) for whole pixels.
template <class T>
struct Source {
  const T* plain = nullptr;
  FunctionRef<void(std::int64_t, std::int64_t, T*)> read = {};
  T padding = {};
};

/// A tensor's elements as floats, decoded as they are read. Outlives the Source that it becomes.
class TensorSource {
 public:
  explicit TensorSource(const Tensor& tensor) : tensor_(tensor) {}
  operator Source<float>() const {
    if (tensor_.deferred() == nullptr) return {.plain = tensor_.data()};
    return {.read = *this};
  }
  void operator()(std::int64_t first, std::int64_t count, float* to) const {
    tensor_.deferred()->read(first, count, to);
  }

 private:
  const Tensor& tensor_;
};

template <class T>
struct Band {
  const T* data;
  std::int64_t image, row, col;  ///< steps; the channels' is 1
};

/// What to cut out: it may reach beyond the array, where there is padding.
struct BandShape {
  ChunkRange images, rows, cols;
  std::int64_t channels;         ///< the array's
  std::int64_t repeat;           ///< copies of each channel, side by side
  std::int64_t channels_padded;  ///< after repeating; zeros behind
  std::int64_t overread;         ///< elements that must be readable behind the last one

  std::int64_t elements() const {
    return images.size() * rows.size() * cols.size() * channels_padded + overread;
  }
  bool reshapes() const { return repeat != 1 || channels_padded != channels; }
};

/// Elements of scratch memory for a row that is read before it is reshaped.
inline std::int64_t line_elements(const Extents& extents) {
  return round_up(extents.row(), 16);
}

template <class T>
bool readable_in_place(const Source<T>& source, const Extents& extents, const BandShape& shape) {
  return source.plain != nullptr && shape.rows.begin >= 0 && shape.rows.end <= extents.height &&
         shape.cols.begin >= 0 && shape.cols.end <= extents.width && !shape.reshapes() &&
         shape.overread == 0;
}

/// Three bytes to four, the fourth zero: images of three colours, on little-endian machines. Reads
/// one byte behind each pixel but the last.
inline void spread_colours(const std::uint8_t* from, std::int64_t pixels, std::uint8_t* to) {
  for (std::int64_t i = 0; i + 1 < pixels; ++i, from += 3, to += 4) {
    std::uint32_t pixel;
    std::memcpy(&pixel, from, 4);
    pixel &= 0x00ffffffu;
    std::memcpy(to, &pixel, 4);
  }
  if (pixels == 0) return;
  std::memcpy(to, from, 3);
  to[3] = 0;
}

template <class T>
void reshape_pixels(const T* from, std::int64_t pixels, const BandShape& shape, T* to) {
  if constexpr (sizeof(T) == 1 && std::endian::native == std::endian::little) {
    if (shape.channels == 3 && shape.repeat == 1 && shape.channels_padded == 4) {
      return spread_colours(from, pixels, to);
    }
  }
  for (std::int64_t i = 0; i < pixels; ++i, from += shape.channels, to += shape.channels_padded) {
    if (shape.repeat == 1) {
      std::copy_n(from, shape.channels, to);
    } else {
      for (std::int64_t c = 0; c < shape.channels; ++c) {
        std::fill_n(to + c * shape.repeat, shape.repeat, from[c]);
      }
    }
    std::fill(to + shape.channels * shape.repeat, to + shape.channels_padded, T{});
  }
}

template <class T>
void pad_pixels(T padding, std::int64_t pixels, const BandShape& shape, T* to) {
  if (shape.channels_padded == shape.channels * shape.repeat || padding == T{}) {
    std::fill_n(to, pixels * shape.channels_padded, padding);
    return;
  }
  for (std::int64_t i = 0; i < pixels; ++i, to += shape.channels_padded) {
    std::fill_n(to, shape.channels * shape.repeat, padding);
    std::fill(to + shape.channels * shape.repeat, to + shape.channels_padded, T{});
  }
}

/// The array itself where it can be read in place, else a copy in scratch. `line` holds
/// line_elements().
template <class T>
Band<T> read_band(const Source<T>& source, const Extents& extents, const BandShape& shape,
                  T* scratch, T* line) {
  if (readable_in_place(source, extents, shape)) {
    return {source.plain + shape.images.begin * extents.image() + shape.rows.begin * extents.row() +
                shape.cols.begin * extents.channels,
            extents.image(), extents.row(), extents.channels};
  }
  const std::int64_t width = shape.cols.size() * shape.channels_padded;
  const std::int64_t first = std::clamp<std::int64_t>(-shape.cols.begin, 0, shape.cols.size());
  const std::int64_t last =
      std::clamp<std::int64_t>(extents.width - shape.cols.begin, first, shape.cols.size());
  T* to = scratch;
  for (std::int64_t n = shape.images.begin; n < shape.images.end; ++n) {
    for (std::int64_t row = shape.rows.begin; row < shape.rows.end; ++row, to += width) {
      if (row < 0 || row >= extents.height || first == last) {
        pad_pixels(source.padding, shape.cols.size(), shape, to);
        continue;
      }
      const std::int64_t from =
          n * extents.image() + row * extents.row() + (shape.cols.begin + first) * extents.channels;
      const std::int64_t count = (last - first) * extents.channels;
      T* const middle = to + first * shape.channels_padded;
      pad_pixels(source.padding, first, shape, to);
      if (!shape.reshapes()) {
        if (source.plain != nullptr) {
          std::memcpy(middle, source.plain + from, static_cast<std::size_t>(count) * sizeof(T));
        } else {
          source.read(from, count, middle);
        }
      } else if (source.plain != nullptr) {
        reshape_pixels(source.plain + from, last - first, shape, middle);
      } else {
        source.read(from, count, line);
        reshape_pixels(line, last - first, shape, middle);
      }
      pad_pixels(source.padding, shape.cols.size() - last, shape,
                 to + last * shape.channels_padded);
    }
  }
  return {scratch, shape.rows.size() * width, width, shape.channels_padded};
}

/// Memory for each thread, taken once: what a step allocates must not depend on who runs it.
class Scratch {
 public:
  explicit Scratch(std::int64_t floats)
      : floats_(round_up(floats, 16)), all_(Shape{thread_count() * floats_}) {}
  float* mine() { return all_.data() + worker_slot() * floats_; }

 private:
  std::int64_t floats_;
  Tensor all_;
};

}  // namespace perch::conv
