#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/parallel.h>
#include <perch/core/random.h>
#include <perch/datasets/synthetic.h>

namespace perch::datasets {

Dataset synthetic(std::int64_t count, const Shape& image_shape, std::int64_t classes,
                  std::uint64_t seed) {
  PERCH_CHECK(count > 0, "synthetic: {} images; give a positive number", count);
  PERCH_CHECK(classes > 0, "synthetic: {} classes; give a positive number", classes);
  const std::int64_t pixels = image_shape.size();
  std::vector<std::uint8_t> images(static_cast<std::size_t>(count * pixels));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
  const Random pattern(seed, "synthetic.pattern"), noise(seed, "synthetic.noise");
  parallel_for(count, [&](std::int64_t i) {
    const std::int64_t label = i % classes;
    labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(label);
    for (std::int64_t p = 0; p < pixels; ++p) {
      // A pattern within 64..191 under noise of -64..63 stays within a byte.
      const auto base = 64 + (pattern.bits(static_cast<std::uint64_t>(label * pixels + p)) >> 25);
      const auto extra = noise.bits(static_cast<std::uint64_t>(i * pixels + p)) >> 25;
      images[static_cast<std::size_t>(i * pixels + p)] =
          static_cast<std::uint8_t>(base + extra - 64);
    }
  });
  return from_memory(std::move(images), std::move(labels), image_shape, classes);
}

}  // namespace perch::datasets
