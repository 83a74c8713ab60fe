// Naive double-precision versions of the ops other than convolutions (reference_conv.h), written as
// plain loops from their definitions.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <perch/core/ops/batch_norm.h>
#include <perch/core/ops/fake_quant.h>
#include <perch/core/ops/pool.h>

#include "tests/support/op_table.h"

namespace perch::test::reference {

Array map(const Array& x, const std::function<double(double)>& f);
/// f(a, b) with broadcasting.
Array zip(const Array& a, const Array& b, const std::function<double(double, double)>& f);
Array concat(const std::vector<Array>& parts, int axis);
Array softmax(const Array& x);

/// Training when mean and variance are empty.
Array batch_norm(const Array& x, const Array& gamma, const Array& beta, const Array& mean,
                 const Array& variance, double epsilon);

Array pool(const Array& x, const Pool2DOptions& options, bool largest);
Array zero_pad(const Array& x, const Pad2D& padding);

/// Cross-entropy of softmax(logits) against target distributions, mean over rows.
Array cross_entropy(const Array& logits, const Array& targets, double label_smoothing);

/// x, min, max; with the gradients of the same inputs.
Array fake_quant(const std::vector<Array>& inputs, const FakeQuantOptions& options);
std::vector<Array> fake_quant_gradients(const std::vector<Array>& inputs, const Array& dy,
                                        const FakeQuantOptions& options);

}  // namespace perch::test::reference
