// Quantization rules from TOML, applied to a small network.
#include <perch/io/quant_config.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>

#include "fuzz/harness.h"

using namespace perch;

namespace {

Sequential small_net() {
  Sequential model{Conv2D(4, 3), BatchNorm(), ReLU(), Flatten(), Dense(3)};
  model.build({6, 6, 2});
  return model;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  static Sequential model = small_net();
  file.write(fuzz::text(data, size));
  return fuzz::run(size, [] {
    const QuantRules rules = io::read_quant_config(file.path());
    const std::unique_ptr<Model> quantized = clone_model(model);
    apply_rules(*quantized, rules);
  });
}
