// Searches for a range among values: what Percentile, HistogramMse, Entropy and LeastError find in
// one step. For this room's sources.
//
// For all of them: the range includes 0 and lies within the extremes of the values and 0; denormals
// count as 0; the result depends on nothing but the arguments. They throw Error(usage) where there
// are no values, where one is not finite, and for settings out of range.
#pragma once

#include <functional>
#include <span>

namespace perch {

struct SearchRange {
  float min, max;
};

/// Makes of a candidate the range whose grid is used, for instance a symmetric one.
using SettleRange = std::function<SearchRange(SearchRange)>;

/// [min(a, 0), max(b, 0)] with a the (100 - percent)th and b the percent-th percentile, percent in
/// [50, 100]. The p-th percentile of the rising v[0] .. v[n - 1] is v[k] + (h - k) (v[k + 1] -
/// v[k]) with h = (n - 1) p / 100 and k = floor(h): numpy's "linear", type 7 of Hyndman and Fan
/// 1996. McKinstry et al. 2018, "Discovering low-precision networks close to full-precision
/// networks". O(n).
SearchRange percentile_range(std::span<const float> values, double percent);

/// The range [low, high] i / 100 of i = 100 .. 1, with low and high the extremes of the values and
/// 0, that has the least error: sum over `bins` equal bins of [low, high] of
/// count (c - fake_quant(c))^2, with c the centre of a bin and the grid that of settle(range). The
/// widest of equals; grids that float32 cannot hold are passed over, and where it can hold none,
/// the widest range stays. Nagel et al. 2021, "A white paper on neural network quantization",
/// section 3.1, on a histogram. O(n + 100 bins).
SearchRange histogram_mse_range(std::span<const float> values, int bins, const SettleRange& settle,
                                int bits, bool narrow_range);

/// [max(low, -t), min(high, t)], t = T max|x| / bins, with the T in L .. bins of the least
/// KL(P || Q) = sum P log(P / Q), L = 2^(bits - 1). On the counts of |x| in `bins` equal bins of
/// [0, max|x|], P is the first T with all above added to the last of them, Q the first T cut into L
/// groups (bin b belongs to group floor(b L / T)), each group's sum spread evenly over its bins
/// that are not empty; both are normalised. Where the last bin is empty but for what was added, Q
/// counts 1e-4 of a value there. The largest T of those within 1e-10; L >= bins keeps everything.
/// Migacz 2017, "8-bit inference with TensorRT", in which Q forgets what is clipped. Hence two
/// things are passed over: values that are 0, which every grid keeps and which after a ReLU would
/// outweigh the rest, and a T below which only its last bin holds anything, as P and Q are then the
/// same whatever is lost. O(n + L bins).
SearchRange entropy_range(std::span<const float> values, int bins, int bits);

/// As histogram_mse_range(), on the error sum (x - fake_quant(x))^2 of the values themselves. Up to
/// 100 n roundings, fewer where a candidate's sum exceeds the least so far. Choukroun et al. 2019,
/// "Low-bit quantization of neural networks for efficient inference", section 3.
SearchRange least_error_range(std::span<const float> values, const SettleRange& settle, int bits,
                              bool narrow_range);

}  // namespace perch
