// Loader: a dataset as mini-batches of floats, shuffled and augmented, prepared one ahead.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <perch/datasets/dataset.h>

namespace perch {

struct Augmentation {
  std::int64_t crop_padding = 0;  ///< pads with zeros by this much, then crops back at random
  bool flip = false;              ///< mirrors every other image, at random
  bool any() const { return crop_padding > 0 || flip; }
};

struct Batch {
  Tensor images;                     ///< [N, H, W, C]
  std::vector<std::int32_t> labels;  ///< [N]
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
};

struct LoaderOptions {
  std::int64_t batch_size = 64;
  bool shuffle = false;
  std::uint64_t seed = 0;  ///< order and augmentation are functions of (seed, epoch, index)
  Augmentation augmentation = {};
};

/// One pass over a dataset at a time; the last batch may be smaller. While a batch is in use, the
/// next one is prepared on another thread.
class Loader {
 public:
  /// Throws Error(usage) for an empty dataset or a batch size below 1.
  Loader(Dataset dataset, const LoaderOptions& options);
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  std::int64_t batches() const;
  /// Starts the pass of this number, at this batch. Each epoch has an order of its own. Throws
  /// Error(usage) for a batch outside [0, batches()).
  void start(std::int64_t epoch, std::int64_t batch = 0);
  /// The next batch; false at the end of the pass. Reuses `batch`'s memory. Throws
  /// Error(interrupted) where a stop was asked for (see interrupt.h).
  bool next(Batch& batch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perch
