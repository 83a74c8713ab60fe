// The loader alone: one pass over 4,096 images of 32x32 pixels, bytes read and floats written.
#include <perch/datasets/loader.h>
#include <perch/datasets/synthetic.h>

#include "bench.h"

namespace perch::bench {

void add_loader() {
  const auto one = [](const char* name, const Augmentation& augmentation) {
    add(name, Beside::nothing, [=]() -> Benchmark {
      const Dataset data = datasets::synthetic(4'096, {32, 32, 3}, 10, 1);
      const auto loader = std::make_shared<Loader>(
          data, LoaderOptions{.batch_size = 64, .shuffle = true, .augmentation = augmentation});
      const auto pass = [loader, batch = Batch(), epoch = std::int64_t{0}]() mutable {
        loader->start(epoch++);
        while (loader->next(batch)) continue;
        return batch.images;
      };
      const auto values = static_cast<double>(data.size() * data.image_shape().size());
      return {{.bytes = (1.0 + sizeof(float)) * values}, {.run = pass}};
    });
  };
  one("loader, 4096 images", {});
  one("loader, 4096 images, crops and flips", {.crop_padding = 4, .flip = true});
}

}  // namespace perch::bench
