// How far convolutions of quantized tensors lie from the exact product, formed in float and from
// integers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

#include <perch/core/ops/conv.h>
#include <perch/core/ops/fake_quant.h>
#include <perch/core/ops/integer_forward.h>

namespace {

using namespace perch;

constexpr std::int64_t images = 8, size = 16, filters = 32;

Variable quantized(Tensor values) {
  const auto [low, high] = std::minmax_element(values.values().begin(), values.values().end());
  const Variable min(Tensor::scalar(std::min(*low, 0.0f))), max(Tensor::scalar(*high));
  return fake_quant(Variable(std::move(values)), min, max, {});
}

Tensor convolve(const Variable& x, const Variable& w, IntegerForward mode) {
  set_integer_forward(mode);
  return conv2d(x, w, {}, {.padding = Padding::same}).value();
}

/// The product in double of output (image, row, col, filter) of a k x k window with padding.
double exact(const Tensor& x, const Tensor& w, std::int64_t n, std::int64_t row, std::int64_t col,
             std::int64_t f) {
  const std::int64_t k = w.shape()[0], channels = w.shape()[2];
  double sum = 0.0;
  for (std::int64_t tap = 0; tap < k * k; ++tap) {
    const std::int64_t r = row + tap / k - k / 2, c = col + tap % k - k / 2;
    if (r < 0 || r >= size || c < 0 || c >= size) continue;
    const float* const pixel = x.data() + ((n * size + r) * size + c) * channels;
    const float* const weights = w.data() + tap * channels * filters + f;
    for (std::int64_t i = 0; i < channels; ++i) {
      sum += static_cast<double>(pixel[i]) * static_cast<double>(weights[i * filters]);
    }
  }
  return sum;
}

struct Distance {
  double most = 0.0, squares = 0.0;
  void add(double error) {
    most = std::max(most, std::abs(error));
    squares += error * error;
  }
};

void compare(std::int64_t kernel, std::int64_t channels) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  Tensor values({images, size, size, channels}), weights({kernel, kernel, channels, filters});
  for (float& value : values.values()) value = std::abs(normal(random));
  for (float& weight : weights.values()) weight = 0.1f * normal(random);
  const Variable x = quantized(std::move(values)), w = quantized(std::move(weights));
  const Tensor floats = convolve(x, w, IntegerForward::off);
  const Tensor integers = convolve(x, w, IntegerForward::on);
  Distance of_floats, of_integers, apart;
  double largest = 0.0;
  for (std::int64_t i = 0; i < floats.size(); ++i) {
    const std::int64_t pixel = i / filters;
    const double sum = exact(x.value(), w.value(), pixel / (size * size), pixel / size % size,
                             pixel % size, i % filters);
    const auto in_float = static_cast<double>(floats.data()[i]);
    const auto in_integers = static_cast<double>(integers.data()[i]);
    largest = std::max(largest, std::abs(sum));
    of_floats.add(in_float - sum);
    of_integers.add(in_integers - sum);
    apart.add(in_float - in_integers);
  }
  const auto rms = [&](const Distance& d) {
    return std::sqrt(d.squares / static_cast<double>(floats.size())) / largest;
  };
  std::printf("| %dx%d, %d channels | %.0e, %.0e | %.0e, %.0e | %.0e |\n", static_cast<int>(kernel),
              static_cast<int>(kernel), static_cast<int>(channels), of_floats.most / largest,
              rms(of_floats), of_integers.most / largest, rms(of_integers), apart.most / largest);
}

}  // namespace

int main() {
  std::puts(
      "| window | float: largest error, rms | integers: largest error, rms | apart at most |\n"
      "|---|---|---|---|");
  for (const auto& [kernel, channels] : {std::pair{3, 3}, {1, 64}, {3, 64}, {1, 256}, {3, 256}}) {
    compare(kernel, channels);
  }
}
