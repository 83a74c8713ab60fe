// Whether products of quantized tensors are formed from their integer codes.
#pragma once

namespace perch {

/// The exact sum of code products, scaled once, instead of a sum of rounded float products. `fast`,
/// the default: where the active kernels are faster that way. The results differ by the float
/// sum's rounding errors: docs/quantizers.md. PERCH_INTEGER=on|off|fast sets it at start.
enum class IntegerForward { off, fast, on };
IntegerForward integer_forward_mode();
void set_integer_forward(IntegerForward mode);

/// What the mode says for the active kernels.
bool integer_forward();

}  // namespace perch
