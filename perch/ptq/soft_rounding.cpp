#include <algorithm>
#include <cmath>

#include <perch/core/parallel.h>
#include <perch/ptq/soft_rounding.h>
#include <perch/quant/element_grids.h>

namespace perch {
namespace {

// The rectified sigmoid's ends: Louizos et al. 2018, as AdaRound takes them.
constexpr float zeta = 1.1f, gamma = -0.1f;

struct Rectified {
  float h, slope;  // slope: dh / dV
};

Rectified rectified_sigmoid(float v) {
  const float sigmoid = 1.0f / (1.0f + std::exp(-v));
  const float h = sigmoid * (zeta - gamma) + gamma;
  if (h <= 0.0f) return {0.0f, 0.0f};
  if (h >= 1.0f) return {1.0f, 0.0f};
  return {h, (zeta - gamma) * sigmoid * (1.0f - sigmoid)};
}

/// Runs body(i) for each element.
template <class Body>
void for_elements(std::int64_t count, const Body& body) {
  parallel_elements(count, [&](ChunkRange range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) body(i);
  });
}

}  // namespace

SoftRounding::SoftRounding(const Tensor& weight, const Quantizer& quantizer,
                           const std::vector<int>& channel_axes) {
  const Shape& shape = weight.shape();
  const ElementGrids grids = ElementGrids::of(shape, quantizer, channel_axes);
  base_ = grids.base;
  step_ = grids.step;
  top_ = grids.top;
  floor_ = Tensor(shape);
  fraction_ = Tensor(shape);
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    const float step = step_.data()[i];
    const float place = step > 0.0f ? (weight.data()[i] - base_.data()[i]) / step : 0.0f;
    floor_.data()[i] = std::floor(place);
    fraction_.data()[i] = place - floor_.data()[i];
  }
}

float SoftRounding::level(std::int64_t i, float h) const {
  return std::clamp(std::as_const(floor_).data()[i] + h, 0.0f, std::as_const(top_).data()[i]);
}

Tensor SoftRounding::start() const {
  Tensor v(fraction_.shape());
  for (std::int64_t i = 0; i < v.size(); ++i) {
    v.data()[i] = -std::log((zeta - gamma) / (fraction_.data()[i] - gamma) - 1.0f);
  }
  return v;
}

Variable SoftRounding::soft(const Variable& v) const {
  const Tensor& at = v.value();
  Tensor value(at.shape()), slope(at.shape());
  for_elements(at.size(), [&](std::int64_t i) {
    const Rectified r = rectified_sigmoid(at.data()[i]);
    const float unlimited = floor_.data()[i] + r.h, limited = level(i, r.h);
    value.data()[i] = base_.data()[i] + step_.data()[i] * limited;
    slope.data()[i] = limited == unlimited ? step_.data()[i] * r.slope : 0.0f;
  });
  return Variable::from_op(
      "soft_rounding", std::move(value), {v}, [slope](const Tensor& dy) -> std::vector<Tensor> {
        Tensor dv(dy.shape());
        for_elements(dy.size(),
                     [&](std::int64_t i) { dv.data()[i] = dy.data()[i] * slope.data()[i]; });
        return {std::move(dv)};
      });
}

Tensor SoftRounding::hard(const Tensor& v) const {
  Tensor value(v.shape());
  for (std::int64_t i = 0; i < v.size(); ++i) {
    value.data()[i] =
        base_.data()[i] + step_.data()[i] * level(i, v.data()[i] >= 0.0f ? 1.0f : 0.0f);
  }
  return value;
}

double SoftRounding::moved(const Tensor& v) const {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < v.size(); ++i) {
    const float nearest = fraction_.data()[i] >= 0.5f ? 1.0f : 0.0f;
    count += level(i, v.data()[i] >= 0.0f ? 1.0f : 0.0f) != level(i, nearest) ? 1 : 0;
  }
  return static_cast<double>(count) / static_cast<double>(v.size());
}

Variable rounding_penalty(const Variable& v, float beta, float factor) {
  const Tensor& at = v.value();
  double sum = 0.0;
  for (const float value : at.values()) {
    const float off = std::abs(2.0f * rectified_sigmoid(value).h - 1.0f);
    sum += 1.0 - static_cast<double>(std::pow(off, beta));
  }
  auto gradient = [at, beta, factor](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dv(at.shape());
    for_elements(at.size(), [&](std::int64_t i) {
      const Rectified r = rectified_sigmoid(at.data()[i]);
      const float off = 2.0f * r.h - 1.0f;
      const float power = std::pow(std::abs(off), beta - 1.0f);
      dv.data()[i] = dy.item() * -factor * beta * std::copysign(power, off) * 2.0f * r.slope;
    });
    return {std::move(dv)};
  };
  return Variable::from_op("rounding_penalty", Tensor::scalar(factor * static_cast<float>(sum)),
                           {v}, std::move(gradient));
}

}  // namespace perch
