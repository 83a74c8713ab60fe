// How convolutions and their gradients are cut into units of work: all of them are walks of windows
// over a padded source. Private to the convolutions (conv*.cpp).
#pragma once

#include <algorithm>
#include <cstdint>

#include <perch/core/ops/conv.h>
#include <perch/core/parallel.h>

namespace perch::conv {

/// One axis of a walk. Destination position a * dst_step + dst_first, a in [0, count), is made of
/// source positions a * src_step + src_first + i * tap_step (padding where outside), tap i in
/// [0, taps), weighted with element kernel_first + i * kernel_step of the kernel.
struct AxisWalk {
  std::int64_t count, dst_step, dst_first;
  std::int64_t src_step, src_first;
  std::int64_t taps, tap_step;
  std::int64_t kernel_first, kernel_step;

  /// Source positions that `number` neighbouring destinations reach over.
  std::int64_t reach(std::int64_t number) const {
    return taps == 0 ? 0 : (number - 1) * src_step + (taps - 1) * tap_step + 1;
  }
  /// The source positions of destinations [range.begin, range.end).
  ChunkRange source(ChunkRange range) const {
    const std::int64_t first = range.begin * src_step + src_first;
    return {first, first + reach(range.size())};
  }
};

/// One axis of a window: `in` positions, `out` windows.
struct AxisWindow {
  std::int64_t in, out, kernel, stride, dilation, pad;
};

/// From inputs to outputs.
AxisWalk forward_walk(const AxisWindow& window);
/// From output gradients to those of the inputs phase, phase + stride, ... Each phase meets an
/// evenly spaced part of the kernel, perhaps none of it.
AxisWalk gradient_walk(const AxisWindow& window, std::int64_t phase);

struct Extents {
  std::int64_t height, width, channels;
  std::int64_t row() const { return width * channels; }
  std::int64_t image() const { return height * row(); }
};

struct Job {
  AxisWalk rows, cols;
  std::int64_t batch;
  Extents src, dst;
  std::int64_t groups;  ///< of channels that see each other only; 0: depthwise
  std::int64_t repeat;  ///< depthwise: destination channels per source channel

  bool depthwise() const { return groups == 0; }
  std::int64_t group_count() const { return depthwise() ? 1 : groups; }
  std::int64_t src_group() const { return depthwise() ? 1 : src.channels / groups; }
  std::int64_t dst_group() const { return depthwise() ? dst.channels : dst.channels / groups; }
  std::int64_t terms() const { return rows.taps * cols.taps * src_group(); }
};

/// Where element (row, col, source channel, destination channel) of one group lies in a kernel.
struct KernelLayout {
  std::int64_t width, tap;  ///< taps per row of the kernel, floats per tap
  std::int64_t src, dst, group;
};

/// A convolution: groups 0 is a depthwise one.
struct Problem {
  WindowGeometry geometry;
  std::int64_t filters, groups;

  bool depthwise() const { return groups == 0; }
  std::int64_t multiplier() const { return depthwise() ? filters / geometry.channels : 1; }
  Shape output_shape() const {
    return {geometry.batch, geometry.out_height, geometry.out_width, filters};
  }

  AxisWindow rows() const;
  AxisWindow cols() const;
  Job forward() const;
  /// Gradient of the inputs of one phase; of a depthwise input, before adding its copies up.
  Job input_gradient(std::int64_t row_phase, std::int64_t col_phase) const;
  /// Steps through a kernel [h, w, channels per group, filters], or [h, w, channels, multiplier].
  KernelLayout kernel_layout(bool backward) const;
};

/// Some rows of one image, or some whole images.
struct Unit {
  ChunkRange images, rows;
};

/// A job's destination in units whose part of the source should stay in the first caches.
class Units {
 public:
  /// `source_elements`: about how many elements of the source a unit reads.
  Units(const Job& job, std::int64_t source_elements);
  std::int64_t number() const { return images_.number() * rows_.number(); }
  Unit operator[](std::int64_t i) const {
    return {images_[i / rows_.number()], rows_[i % rows_.number()]};
  }
  /// Destination elements of the largest unit.
  std::int64_t elements(const Job& job) const {
    return number() == 0 ? 0 : (*this)[0].images.size() * (*this)[0].rows.size() * job.dst.row();
  }

 private:
  Chunks images_, rows_;
};

inline std::int64_t round_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

}  // namespace perch::conv
