#include <perch/core/check.h>
#include <perch/io/hdf5_reader.h>
#include <perch/io/keras.h>
#include <perch/io/metadata.h>
#include <perch/io/spec_json.h>

namespace perch::io {

namespace {
constexpr const char* metadata_attribute = "perch_metadata";
}

void write_metadata(H5Writer& root, const std::map<std::string, std::string>& metadata) {
  if (!metadata.empty()) root.add_text(metadata_attribute, Json(metadata).dump());
}

std::map<std::string, std::string> read_metadata(const std::filesystem::path& file) {
  const H5Group root = H5Group::open(file);
  if (!root.has_attribute(metadata_attribute)) return {};
  const std::string where = root.file() + ": " + metadata_attribute;
  const Json json = parse_json(root.text(metadata_attribute), where);
  std::map<std::string, std::string> metadata;
  for (const auto& [name, value] : json.items()) {
    if (!json.is_object() || !value.is_string()) {
      fail(ErrorCode::bad_data, "{} is no object of strings; save the model again", where);
    }
    metadata[name] = value.get<std::string>();
  }
  return metadata;
}

}  // namespace perch::io
