// Keras's files.
#include <perch/core/storage.h>
#include <perch/io/keras.h>

#include "fuzz/harness.h"

using namespace perch;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  keep_returned_buffers(false);
  file.write(fuzz::text(data, size));
  const QuantizeConfig config{.weights = {{"kernel", {.granularity = per_channel}}},
                              .activation = QuantSpec{.range = MovingAverage{}}};
  fuzz::run(size, [&] {
    io::load_keras(file.path(), {.quantize_configs = {{"conv2d", config}, {"dense", config}}});
  });
  return fuzz::run(size, [] { io::read_metadata(file.path()); });
}
