// perch's own safetensors files: what they are, who wrote them, and checksums of all they hold.
#pragma once

#include <string>

#include <perch/io/safetensors.h>

namespace perch::io {

/// A kind of file. The version is raised when a reader of the former one would misunderstand it.
struct Seal {
  const char* format;
  const char* version;
};

/// Adds to the metadata: format, format_version, perch_version, a SHA-256 of each tensor's shape
/// and elements (tensors_sha256) and of all other metadata (metadata_sha256).
void put_seal(SafeTensors& content, const Seal& seal);
/// Throws Error(bad_data) naming the file, and what is of another kind or version or is not what
/// was written.
void check_seal(const SafeTensors& content, const Seal& seal, const std::string& file);

}  // namespace perch::io
