// safetensors: named tensors and texts in one file, by the format's published rules.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <perch/core/tensor.h>

namespace perch::io {

/// What a file holds. All elements are float32 ("F32"), the type that perch works in.
struct SafeTensors {
  std::map<std::string, Tensor> tensors = {};
  /// The header's "__metadata__".
  std::map<std::string, std::string> metadata = {};
};

/// 8 bytes of header length (little-endian), the header (JSON, padded with spaces to 8 bytes), the
/// elements, one tensor behind the other in the order of their names.
std::vector<std::byte> safetensors_bytes(const SafeTensors& content);

/// Looks at the metadata before anything is said of the tensors; may throw.
using CheckMetadata = std::function<void(const std::map<std::string, std::string>&)>;

/// Strict: a header of at most 100 MB that begins with '{', no key twice, offsets in range and in
/// accord with the shape, no overlap, no hole, nothing behind the last tensor. Throws
/// Error(bad_data) naming `file` and the tensor, also for another type than F32. Memory beyond the
/// tensors' own is a few times the header's size.
SafeTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& file,
                              const CheckMetadata& check = {});

/// The same from a file, whose header is checked before the rest is read. Throws
/// Error(missing_input / io / bad_data).
SafeTensors read_safetensors(const std::filesystem::path& file, const CheckMetadata& check = {});

}  // namespace perch::io
