// LinearBlock: a Conv2D, DepthwiseConv2D or Dense layer, bare or wrapped, with what follows it in a
// chain (a quantizer, batch normalisation, an activation function, another quantizer) as one op.
#pragma once

#include <string>

#include <perch/core/variable.h>
#include <perch/fuse/stages.h>
#include <perch/layers/batch_norm.h>
#include <perch/layers/layer.h>
#include <perch/quant/wrapper.h>

namespace perch::fusion {

/// A layer of a model, perhaps in a wrapper; borrowed.
struct Member {
  Layer* node = nullptr;   ///< as the model holds it; null: not there
  Layer* layer = nullptr;  ///< the same, or what the wrapper holds
  QuantizeWrapper* wrapper = nullptr;

  explicit operator bool() const { return node != nullptr; }
  /// The context that the inner layer works in.
  Context context(const Context& outer) const {
    const Context own = node->own_context(outer);
    return wrapper == nullptr ? own : wrapper->inner_context(own);
  }
};

/// Each part may be missing; without `linear`, the block is what follows some other layer.
struct LinearBlock {
  Member linear, norm;
  Member activation;                ///< a layer of its own; not set where it is the linear layer's
  RangeQuantizer* inner = nullptr;  ///< between sums and norm
  Member inner_owner;               ///< whose context the inner quantizer has
  float low = Stages{}.low, high = Stages{}.high;  ///< of the activation function
  RangeQuantizer* outer = nullptr;                 ///< behind the activation function
  Member outer_owner;
};

/// The block's output. Equal to composed(): ranges and codes ahead of the norm to the bit, and the
/// whole of a block without one; else up to the roundings of sums taken in another order.
Variable run(const LinearBlock& block, const Variable& x, const Context& context);

/// The definition: the layers one after another.
Variable composed(const LinearBlock& block, const Variable& x, const Context& context);

}  // namespace perch::fusion
