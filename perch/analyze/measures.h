// What became of values: figures that batch after batch adds to. For this room's sources.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <perch/core/tensor.h>
#include <perch/quant/quantizer.h>

namespace perch {

/// Values y beside those x that they stand for; sums in double, in an order that the problem fixes.
class Fidelity {
 public:
  void add(double x, double y) {
    signal_ += x * x;
    noise_ += (x - y) * (x - y);
    product_ += x * y;
    power_ += y * y;
  }
  /// Tensors of one shape.
  void add(const Tensor& x, const Tensor& y);
  Fidelity& operator+=(const Fidelity& other);

  /// 10 log10(sum x^2 / sum (x - y)^2); infinity where y is x.
  double sqnr_db() const;
  /// sum x y / sqrt(sum x^2 sum y^2); 1 where both are zeros, 0 where one is.
  double cosine() const;

 private:
  double signal_ = 0.0, noise_ = 0.0, product_ = 0.0, power_ = 0.0;
};

/// What a quantizer makes of the values it sees, range by range and level by level.
class GridUse {
 public:
  /// The quantizer must outlive it. `channels` are the axes that its build() was told.
  GridUse(const Quantizer& quantizer, std::vector<int> channels);

  /// Values that it saw and what it made of them.
  void add(const Tensor& seen, const Tensor& made);

  struct OfRange {
    Fidelity fidelity;
    std::int64_t values = 0, clipped = 0;  ///< clipped: outside of [nudged_min, nudged_max]
  };
  Fidelity fidelity() const;
  std::int64_t values() const;
  /// None where levels are no even grid or values are quantized in part; so are the following.
  std::optional<std::int64_t> clipped() const;
  /// Levels of the grid that no value became, whatever its range.
  std::optional<std::int64_t> unused_levels() const;
  /// How many values became each level, of all ranges together; empty where clipped() is none.
  const std::vector<std::int64_t>& level_counts() const { return taken_; }
  /// Empty where clipped() is none; else as many as ranges().
  const std::vector<QuantGrid>& grids() const { return grids_; }
  const std::vector<OfRange>& ranges() const { return ranges_; }

 private:
  struct Rows {
    Tensor seen, made;  // [ranges, values of each]
  };
  Rows rows_of(const Tensor& seen, const Tensor& made) const;
  OfRange measure(const float* seen, const float* made, std::int64_t size, std::size_t range);

  const Quantizer& quantizer_;
  std::vector<int> channels_;
  std::vector<QuantGrid> grids_;
  std::vector<OfRange> ranges_;
  std::vector<std::int64_t> taken_;  // values that became each level
};

}  // namespace perch
