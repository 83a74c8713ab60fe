// CIFAR-10's binary form.
#include <vector>

#include <perch/datasets/cifar10.h>

#include "fuzz/harness.h"

using namespace perch;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  file.write(fuzz::text(data, size));
  return fuzz::run(size, [] {
    const Dataset read = datasets::cifar10_file(file.path());
    std::vector<float> image(static_cast<std::size_t>(read.image_shape().size()));
    for (std::int64_t i = 0; i < read.size(); ++i) {
      read.read(i, image.data());
      if (read.label(i) < 0 || read.label(i) >= read.classes()) std::abort();
    }
  });
}
