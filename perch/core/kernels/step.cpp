#include <perch/core/kernels/codes.h>
#include <perch/core/kernels/step.h>

namespace perch::kernels {
namespace {

struct Steps {
  explicit Steps(const StepArgs& args)
      : step(args.step),
        inverse(1.0f / args.step),
        offset(args.offset),
        low(args.low),
        high(args.high) {}

  Batch place(const Batch& x) const { return (x - offset) / step; }
  Batch even_level(const Batch& x) const { return xsimd::nearbyint((x - offset) * inverse); }
  // x86's min and max return the second operand when one is NaN.
  Batch value(const Batch& level) const {
    return xsimd::max(low, xsimd::min(high, level)) * step + offset;
  }

  Batch step, inverse, offset, low, high;
};

void half_up(const float* x, float* y, std::int64_t n, const StepArgs& args) {
  const Steps steps(args);
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    const Batch level = xsimd::floor(steps.place(access.load(x + i)) + Batch(0.5f));
    access.store(y + i, steps.value(level));
  });
}

void half_even(const float* x, float* y, std::int64_t n, const StepArgs& args) {
  const Steps steps(args);
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    access.store(y + i, steps.value(steps.even_level(access.load(x + i))));
  });
}

void noisy(const float* x, const float* noise, float* y, std::int64_t n, const StepArgs& args) {
  const Steps steps(args);
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    const Batch level = xsimd::floor(steps.place(access.load(x + i)) + access.load(noise + i));
    access.store(y + i, steps.value(level));
  });
}

// Sums run in sixteen columns whatever the vector's width, and are added up in their order.
struct Columns {
  Batch sums[parts];
  Columns() {
    for (int part = 0; part < parts; ++part) sums[part] = Batch(0.0f);
  }
  float total() const {
    alignas(64) float buffer[group];
    for (int part = 0; part < parts; ++part) sums[part].store_aligned(buffer + part * lanes);
    float all = 0.0f;
    for (const float sum : buffer) all += sum;
    return all;
  }
};

void backward(const float* x, const float* y, const float* dy, float* dx, std::int64_t n,
              const StepArgs& args, StepSums* sums) {
  const Steps steps(args);
  const Batch zero(0.0f);
  Columns inside, below, above;
  const auto visit = [&](std::int64_t i, int part, const auto& load, const auto& store) {
    const Batch value = load(x + i), slope = load(dy + i), place = steps.place(value);
    const Mask within = (place >= steps.low) & (place <= steps.high);
    const Batch error = steps.place(load(y + i)) - place;
    inside.sums[part] += xsimd::select(within, slope * error, zero);
    below.sums[part] += xsimd::select(place < steps.low, slope, zero);
    above.sums[part] += xsimd::select(place > steps.high, slope, zero);
    store(dx + i, masked(slope, within));
  };
  std::int64_t i = 0;
  for (; i + group <= n; i += group) {
    for (int part = 0; part < parts; ++part) {
      visit(
          i + part * lanes, part, [](const float* from) { return Batch::load_unaligned(from); },
          [](float* to, const Batch& value) { value.store_unaligned(to); });
    }
  }
  for (int part = 0; i < n; ++part, i += lanes) {
    const std::int64_t count = n - i < lanes ? n - i : lanes;
    // Zeros behind the end have dy 0, and so add nothing.
    visit(
        i, part, [&](const float* from) { return load(from, count); },
        [&](float* to, const Batch& value) { store(to, value, count); });
  }
  sums->inside += inside.total();
  sums->below += below.total();
  sums->above += above.total();
}

void backward_half_even(const float* x, const float* dy, float* dx, std::int64_t n,
                        const StepArgs& args) {
  const Steps steps(args);
  for_columns(n, n, [&](std::int64_t i, std::int64_t, const auto& access) {
    const Batch level = steps.even_level(access.load(x + i));
    access.store(dx + i, masked(access.load(dy + i), (level >= steps.low) & (level <= steps.high)));
  });
}

}  // namespace

namespace PERCH_ARCH {

extern const StepKernels step;
const StepKernels step{.half_up = half_up,
                       .half_even = half_even,
                       .noisy = noisy,
                       .backward = backward,
                       .backward_half_even = backward_half_even};

}  // namespace PERCH_ARCH
}  // namespace perch::kernels
