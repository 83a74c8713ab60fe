// perch's own safetensors files: what they are, who wrote them, and checksums of all they hold.
#pragma once

#include <map>
#include <string>

#include <perch/core/error.h>
#include <perch/io/safetensors.h>

namespace perch::io {

/// A kind of file. The version is raised when a reader of the former one would misunderstand it.
struct Seal {
  const char* format;
  int version;
};

/// A file that is whole, but that a later perch wrote: nothing is wrong with it.
class NewerFile : public Error {
 public:
  using Error::Error;
};

/// Adds to the metadata: format, format_version, perch_version, a SHA-256 of each tensor's shape
/// and elements (tensors_sha256) and of all other metadata (metadata_sha256).
void put_seal(SafeTensors& content, const Seal& seal);
/// Of the metadata alone, whose keys here mean the same in every version: throws Error(bad_data)
/// naming the file for another kind of file and for metadata that are not what was written,
/// NewerFile(bad_data) naming its version and perch's for a later version.
void check_seal(const std::map<std::string, std::string>& metadata, const Seal& seal,
                const std::string& file);
/// Throws Error(bad_data) naming the file and the first tensor that is not what was written.
void check_tensors(const SafeTensors& content, const std::string& file);

}  // namespace perch::io
