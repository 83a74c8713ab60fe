// Quantization to a few levels that follow from the values themselves: no range, no state.
#pragma once

#include <vector>

#include <perch/core/variable.h>

namespace perch {

// `axes` of x, not negative and rising, keep levels of their own: a slice is what shares an index
// along them, the whole tensor when there are none. Means are summed in double, levels and limits
// are float32. What is taken from a slice (mean, largest magnitude) is a constant backwards.
// Denormals count as 0, and a slice of zeros gives zeros. All throw Error(usage) for an axis that
// the shape does not have, and for a NaN or an infinity in x, for which there is no level.

/// XNOR-Net's weights (Rastegari et al. 2016, section 3.1): y = a sign(x) with a = mean|x| and
/// sign(0) = 1. dx = dy where |x| <= 1, else 0: without their factor a and a's own gradient.
Variable binary_quant(const Variable& x, const std::vector<int>& axes);

/// Ternary weight networks (Li et al. 2016): y = a sign(x) where |x| > d, else 0, with
/// d = threshold mean|x| and a the mean|x| of the elements beyond d; 0 where there are none.
/// dx = dy.
Variable ternary_quant(const Variable& x, const std::vector<int>& axes, float threshold);

/// INQ's levels (Zhou et al. 2017, section 2.1): the nearest, in value, of 0 and n = 2^(bits-1) - 1
/// powers 2^e, 2^(e-1), ..., 2^(e-n+1) of either sign, with e = floor(log2(4/3 max|x|)); INQ itself
/// takes n = 2^(bits-2). |x| becomes 2^k where 3/4 2^k <= |x| < 3/2 2^k, so that ties go up, the
/// smallest power from half of it on, and 0 below. e is at most 127, where larger |x| are clipped,
/// and no power is below 2^-126. Exact. dx = dy. `bits`: 2 to 16.
Variable power_of_two_quant(const Variable& x, const std::vector<int>& axes, int bits);

/// DoReFa-Net's weights (Zhou et al. 2016, eq. 9). With n = 2^bits - 1, t = tanh(x), m = max|t|:
///   y  = 2 level / n - 1, level = floor((t / (2 m) + 1/2) n + 1/2)
///   dx = dy (1 - t^2) / m; dy in a slice of zeros
/// 1 bit: y = sign(x) mean|x|, sign(0) = 1, dx = dy. `bits`: 1 to 16.
Variable dorefa_weight_quant(const Variable& x, const std::vector<int>& axes, int bits);

}  // namespace perch
