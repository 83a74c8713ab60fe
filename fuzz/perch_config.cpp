// The JSON of a model's layers that perch's files carry.
#include <perch/io/perch_config.h>

#include "fuzz/harness.h"

using namespace perch;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string config(fuzz::text(data, size));
  return fuzz::run(size, [&] {
    try {
      io::model_from_perch(config, "file.h5");
    } catch (const io::Json::exception&) {
      // load_keras makes an Error of it.
    }
  });
}
