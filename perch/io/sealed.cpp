#include <charconv>
#include <map>

#include <nlohmann/json.hpp>

#include <perch/core/check.h>
#include <perch/datasets/sha256.h>
#include <perch/io/sealed.h>

namespace perch::io {
namespace {

using Json = nlohmann::json;

// The last one covers all the others.
constexpr const char *key_format = "format", *key_version = "format_version",
                     *key_perch = "perch_version", *key_tensors = "tensors_sha256",
                     *key_rest = "metadata_sha256";

std::string checksum_of(const Tensor& tensor) {
  datasets::Sha256 digest;
  const std::string shape = tensor.shape().to_string();
  digest.add(shape.data(), shape.size());
  digest.add(tensor.data(), static_cast<std::size_t>(tensor.size()) * sizeof(float));
  return digest.digits();
}

std::string checksum_of(const std::map<std::string, std::string>& metadata) {
  datasets::Sha256 digest;
  for (const auto& [key, value] : metadata) {
    if (key == key_rest) continue;
    const std::string line = fmt::format("{}:{}:{}:{}\n", key.size(), key, value.size(), value);
    digest.add(line.data(), line.size());
  }
  return digest.digits();
}

}  // namespace

void put_seal(SafeTensors& content, const Seal& seal) {
  Json sums = Json::object();
  for (const auto& [name, tensor] : content.tensors) sums[name] = checksum_of(tensor);
  content.metadata[key_format] = seal.format;
  content.metadata[key_version] = std::to_string(seal.version);
  content.metadata[key_perch] = PERCH_VERSION;
  content.metadata[key_tensors] = sums.dump();
  content.metadata[key_rest] = checksum_of(content.metadata);
}

void check_seal(const std::map<std::string, std::string>& metadata, const Seal& seal,
                const std::string& file) {
  const auto value = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (value(key_format) != seal.format) {
    fail(ErrorCode::bad_data, "{}: is no {} file{}", file, seal.format,
         value(key_format).empty() ? "" : ", but a " + value(key_format) + " one");
  }
  if (value(key_rest) != checksum_of(metadata)) {
    fail(ErrorCode::bad_data, "{}: is damaged: its metadata are not what was written", file);
  }
  const std::string version = value(key_version);
  int number = 0;
  const auto [rest, error] =
      std::from_chars(version.data(), version.data() + version.size(), number);
  const bool proper = error == std::errc() && rest == version.data() + version.size();
  if (!proper || number < 1) {
    fail(ErrorCode::bad_data, "{}: its version is '{}', no number from 1 on", file, version);
  }
  if (number > seal.version) {
    throw NewerFile(ErrorCode::bad_data,
                    fmt::format("{}: was written by a newer perch, {}: its version is {}, this "
                                "perch, " PERCH_VERSION ", reads {}; use the newer perch",
                                file, value(key_perch), number, seal.version));
  }
}

void check_tensors(const SafeTensors& content, const std::string& file) {
  const auto found = content.metadata.find(key_tensors);
  const std::map<std::string, std::string> sums =
      Json::parse(found == content.metadata.end() ? "" : found->second);
  if (sums.size() != content.tensors.size()) {
    fail(ErrorCode::bad_data, "{}: is damaged: {} tensors of {}", file, content.tensors.size(),
         sums.size());
  }
  for (const auto& [name, tensor] : content.tensors) {
    const auto sum = sums.find(name);
    if (sum == sums.end() || sum->second != checksum_of(tensor)) {
      fail(ErrorCode::bad_data, "{}: is damaged: {} is not what was written", file, name);
    }
  }
}

}  // namespace perch::io
