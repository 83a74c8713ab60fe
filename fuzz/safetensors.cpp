// Safetensors files: as such, and as checkpoints.
#include <span>

#include <perch/io/checkpoint.h>
#include <perch/io/safetensors.h>

#include "fuzz/harness.h"

using namespace perch;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  fuzz::run(size, [&] { io::parse_safetensors(bytes, "file.safetensors"); });
  return fuzz::run(size, [&] { io::parse_checkpoint(bytes, "file.safetensors"); });
}
