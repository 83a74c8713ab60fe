// Naive double-precision convolutions and their gradients, written as plain loops.
#pragma once

#include <vector>

#include <perch/core/ops/conv.h>

namespace perch::test {

using Doubles = std::vector<double>;

struct ConvGradients {
  Doubles x, kernel, bias;
};

/// x [N, H, W, C], kernel [h, w, C / groups, F], or [h, w, C, M] when depthwise; bias [filters] or
/// empty; filters = F or C * M. Everything row-major; `geometry` places the windows.
struct ReferenceConv {
  WindowGeometry geometry;
  std::int64_t filters;
  std::int64_t groups = 1;
  bool depthwise = false;

  Doubles forward(const Doubles& x, const Doubles& kernel, const Doubles& bias) const;
  ConvGradients gradients(const Doubles& x, const Doubles& kernel, const Doubles& dy) const;
};

/// x [N, K] times kernel [K, F].
struct ReferenceDense {
  std::int64_t images, inputs, outputs;

  Doubles forward(const Doubles& x, const Doubles& kernel, const Doubles& bias) const;
  ConvGradients gradients(const Doubles& x, const Doubles& kernel, const Doubles& dy) const;
};

}  // namespace perch::test
