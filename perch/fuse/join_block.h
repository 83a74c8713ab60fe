// JoinBlock: an Add layer of two inputs with the activation function and quantizer behind it.
#pragma once

#include <perch/fuse/linear_block.h>

namespace perch::fusion {

struct JoinBlock {
  Member add;
  Member activation;  ///< or not there
  float low = Stages{}.low, high = Stages{}.high;
  RangeQuantizer* outer = nullptr;
  Member outer_owner;
};

/// Sums of both inputs, which are read in whatever form they have, limited and quantized. Equal to
/// composed() to the bit for the same inputs.
Variable run(const JoinBlock& block, const Variable& a, const Variable& b, const Context& context);
Variable composed(const JoinBlock& block, const Variable& a, const Variable& b,
                  const Context& context);

}  // namespace perch::fusion
