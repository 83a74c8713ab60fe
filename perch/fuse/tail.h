// The stages behind a layer's sums, run as few passes as they allow: everything that moves a range
// or a mean is known from the sums' statistics, because the stages keep the order of a channel's
// values or turn it over; each quantizer then takes one pass that makes codes, and norm and limits
// are left to whoever reads the output.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include <perch/core/encoding.h>
#include <perch/core/ops/statistics.h>
#include <perch/fuse/stages.h>

namespace perch::fusion {

/// What the way back through the stages needs.
struct Tail {
  Shape shape;                            ///< of the sums
  std::shared_ptr<const Encoding> base;   ///< the sums, or the inner quantizer's codes of them
  std::shared_ptr<std::uint16_t> inside;  ///< bits: sums in the inner quantizer's range; or null
  std::shared_ptr<const ChannelMap> map;
  std::optional<Normalisation> normalisation;
  bool norm_training = false;
  Gate gate{Stages{}.low, Stages{}.high, {}};  ///< for the map's value
  Tensor code_gate;  ///< [2, 2 width]: the same as each channel's codes, where the base is codes
};

struct TailResult {
  Tensor output;
  Tail tail;
};

/// Runs the stages on sums [..., channels] and moves what they move. Nothing when a range has no
/// grid of codes; everything is as it was, then.
std::optional<TailResult> run_tail(const Stages& stages, const Tensor& sums,
                                   const Statistics& statistics);

/// The stages where nothing moves and nothing goes back: part by part, in the cache.
class TailInference {
 public:
  /// Nothing when a range has no grid of codes. `part`: elements at most at once.
  static std::optional<TailInference> of(const Stages& stages, const Shape& shape,
                                         std::int64_t part);
  /// Elements [first, first + count) of the sums, which are overwritten. From any thread.
  void add(std::int64_t first, float* sums, std::int64_t count);
  /// False after the last part when there was a value that no code stands for.
  bool finite() const { return *finite_; }
  Tensor output() const;

 private:
  TailInference(const Stages& stages, const Shape& shape);

  Shape shape_;
  std::optional<Grid> inner_, outer_;
  std::shared_ptr<const ChannelMap> map_;  // null: none
  std::shared_ptr<std::uint8_t> codes_;    // of the output, or
  Tensor values_;                          // its floats
  Tensor scratch_;                         // of each thread: the inner quantizer's codes
  std::shared_ptr<std::atomic<bool>> finite_ = std::make_shared<std::atomic<bool>>(true);
};

}  // namespace perch::fusion
