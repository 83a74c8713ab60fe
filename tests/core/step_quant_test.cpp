// Rounding to a trained step: against the formulas in double, and the same bits on every machine.
#include <algorithm>
#include <cmath>

#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/support/reference_quant.h>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/step_quant.h>
#include <perch/core/parallel.h>

using namespace perch;
using namespace perch::test;

namespace {

struct Case {
  Shape shape;
  std::vector<int> axes;
};
const std::vector<Case> cases{{{37}, {}},          {{5, 40000}, {0}},
                              {{3, 3, 4, 9}, {3}}, {{3, 3, 6, 1}, {2, 3}},
                              {{4, 6, 10}, {1}},   {{40001}, {}}};

struct Grid {
  Tensor step, offset, low, high;
};

Grid grids_of(std::int64_t count) {
  Grid grid{Tensor({count}), Tensor({count}), Tensor({count}), Tensor({count})};
  for (std::int64_t i = 0; i < count; ++i) {
    grid.step.data()[i] = 0.11f + 0.03f * static_cast<float>(i);
    grid.offset.data()[i] = 0.2f - 0.07f * static_cast<float>(i);
    grid.low.data()[i] = -static_cast<float>(i % 5);
    grid.high.data()[i] = static_cast<float>(3 + i % 4);
  }
  return grid;
}

Tensor noise(const Shape& shape, const char* stream, float spread) {
  const Random random(3, stream);
  Tensor x(shape);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -spread, spread);
  }
  return x;
}

// Places within this of a boundary between levels may fall on either side in float32.
constexpr double near = 1e-4;

}  // namespace

TEST_CASE("levels and gradients of a trained step and offset are the papers'") {
  const Case subject = GENERATE(from_range(cases));
  CAPTURE(subject.shape.to_string(), subject.axes);
  const auto rows = reference::range_indices(subject.shape, subject.axes);
  const std::int64_t count = *std::max_element(rows.begin(), rows.end()) + 1;
  const Grid grid = grids_of(count);
  const Variable x(noise(subject.shape, "x", 1.2f), true);
  const Variable step(grid.step, true), offset(grid.offset, true);
  const Variable y = step_quant(x, step, offset, grid.low, grid.high, {.axes = subject.axes});
  const Tensor dy = noise(subject.shape, "dy", 1.0f);
  y.backward(dy);

  std::vector<double> dstep(static_cast<std::size_t>(count)), doffset(dstep.size());
  for (std::int64_t i = 0; i < x.value().size(); ++i) {
    const std::int64_t row = rows[static_cast<std::size_t>(i)];
    const double s = double{grid.step.data()[row]}, o = double{grid.offset.data()[row]};
    const double low = double{grid.low.data()[row]}, high = double{grid.high.data()[row]};
    const double place = (double{x.value().data()[i]} - o) / s;
    const double level = std::clamp(std::floor(place + 0.5), low, high);
    const double slope = double{dy.data()[i]};
    const bool below = place<low, above = place> high;
    dstep[static_cast<std::size_t>(row)] += slope * (below ? low : above ? high : level - place);
    doffset[static_cast<std::size_t>(row)] += below || above ? slope : 0.0;
    const double beyond = place + 0.5 - std::floor(place + 0.5);
    if (beyond < near || beyond > 1.0 - near) continue;
    CHECK(double{y.value().data()[i]} == Approx(level * s + o).margin(1e-6));
    CHECK(x.grad().data()[i] == (below || above ? 0.0f : dy.data()[i]));
  }
  const double scale = std::sqrt(static_cast<double>(x.value().size()));
  for (std::int64_t i = 0; i < count; ++i) {
    CHECK(double{step.grad().data()[i]} ==
          Approx(dstep[static_cast<std::size_t>(i)]).margin(1e-4 * scale));
    CHECK(double{offset.grad().data()[i]} ==
          Approx(doffset[static_cast<std::size_t>(i)]).margin(1e-5 * scale));
  }
}

TEST_CASE("half to even rounds and passes gradients as PyTorch's fake quantization") {
  // torch.fake_quantize_per_tensor_affine(x, 0.25, 0, -4, 3): level = round(x * 4), then limited;
  // the gradient passes where the rounded level is within the limits.
  const std::vector<float> in{-1.2f,  -1.126f, -1.125f, -1.1f, -0.625f, -0.375f, -0.125f, 0.0f,
                              0.125f, 0.375f,  0.625f,  0.87f, 0.874f,  0.876f,  2.0f};
  const std::vector<float> out{-1.0f, -1.0f, -1.0f, -1.0f, -0.5f, -0.5f, 0.0f, 0.0f,
                               0.0f,  0.5f,  0.5f,  0.75f, 0.75f, 0.75f, 0.75f};
  const std::vector<float> pass{0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
  const Shape shape{static_cast<std::int64_t>(in.size())};
  const Variable x(Tensor(shape, in), true);
  const Variable y = step_quant(x, Variable(Tensor::scalar(0.25f)), {}, Tensor::scalar(-4.0f),
                                Tensor::scalar(3.0f), {.rounding = Rounding::half_even});
  CHECK(bit_difference(y.value(), Tensor(shape, out), Zeros::any_sign) == "");
  y.backward(Tensor::full(shape, 1.0f));
  CHECK(bit_difference(x.grad(), Tensor(shape, pass), Zeros::any_sign) == "");
}

TEST_CASE("stochastic rounding is right on average, repeatable, and nearest without numbers") {
  const Shape shape{200000};
  const Variable x(Tensor::full(shape, 0.3f * 0.25f + 0.5f));
  const auto mean_of = [&](std::optional<Random> random) {
    const Tensor y =
        step_quant(x, Variable(Tensor::scalar(0.25f)), {}, Tensor::scalar(-8.0f),
                   Tensor::scalar(7.0f), {.rounding = Rounding::stochastic, .random = random})
            .value();
    double sum = 0;
    for (const float value : y.values()) sum += double{value};
    return sum / static_cast<double>(y.size());
  };
  const double found = mean_of(Random(1, "a", 5));
  CHECK(found == Approx(0.575).margin(0.0013));  // five standard deviations
  CHECK(found == mean_of(Random(1, "a", 5)));
  CHECK(found != mean_of(Random(1, "a", 6)));
  CHECK(mean_of(std::nullopt) == 0.5);
}

TEST_CASE("steps give the same bits on every instruction set and with any number of threads") {
  const Rounding rounding = GENERATE(Rounding::half_up, Rounding::half_even, Rounding::stochastic);
  const Grid grid = grids_of(5);
  const bool trained = rounding != Rounding::half_even;
  const auto run = [&] {
    const Variable x(noise({5, 33333}, "x", 1.2f), true);
    const Variable step(grid.step, trained), offset(grid.offset, trained);
    const Variable y = step_quant(x, step, offset, grid.low, grid.high,
                                  {.axes = {0}, .rounding = rounding, .random = Random(2, "n")});
    y.backward(noise({5, 33333}, "dy", 1.0f));
    std::vector<Tensor> results{y.value(), x.grad()};
    if (trained) results.insert(results.end(), {step.grad(), offset.grad()});
    return results;
  };
  const std::vector<Tensor> expected = run();
  const int threads = thread_count();
  for (const kernels::Table& table : kernels::available()) {
    const kernels::ScopedArch arch(table.arch);
    for (const int count : {1, 3}) {
      set_thread_count(count);
      const std::vector<Tensor> found = run();
      for (std::size_t i = 0; i < found.size(); ++i) {
        INFO(table.arch << ", " << count << " threads, result " << i);
        CHECK(bit_difference(found[i], expected[i]) == "");
      }
    }
  }
  set_thread_count(threads);
}

TEST_CASE("a step of nothing gives zeros and hands gradients on; a misfit is refused") {
  const Variable x(noise({7}, "x", 1.0f), true);
  const Tensor one = Tensor::scalar(1.0f);
  const Variable y = step_quant(x, Variable(Tensor::scalar(0.0f)), {}, one, one, {});
  y.backward(Tensor::full({7}, 2.0f));
  CHECK(bit_difference(y.value(), Tensor::zeros({7})) == "");
  CHECK(bit_difference(x.grad(), Tensor::full({7}, 2.0f)) == "");
  CHECK_THAT(
      error_of(ErrorCode::usage, [&] { step_quant(x, Variable(Tensor({2})), {}, one, one, {}); }),
      Catch::Contains("2 values for 1 grids"));
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] {
                        step_quant(x, Variable(one, true), {}, one, one,
                                   {.rounding = Rounding::half_even});
                      }),
             Catch::Contains("half_even trains no step"));
}
