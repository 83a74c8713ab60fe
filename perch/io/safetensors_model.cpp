#include <set>
#include <utility>

#include <perch/core/check.h>
#include <perch/io/atomic_file.h>
#include <perch/io/keras_model.h>
#include <perch/io/perch_config.h>
#include <perch/io/reading.h>
#include <perch/io/safetensors.h>
#include <perch/io/safetensors_model.h>
#include <perch/io/sealed.h>
#include <perch/layers/state.h>

namespace perch::io {
namespace {

constexpr Seal seal{.format = "perch-model", .version = 1};
constexpr const char *key_config = "perch_config", *key_counters = "counters",
                     *key_notes = "perch_metadata";

/// A file of ours whose checksums are right.
SafeTensors read_sealed(const std::filesystem::path& file) {
  SafeTensors content = read_safetensors(
      file, [&](const auto& metadata) { check_seal(metadata, seal, file.string()); });
  check_tensors(content, file.string());
  return content;
}

const std::string& text_of(const SafeTensors& content, const char* key) {
  const auto found = content.metadata.find(key);
  if (found == content.metadata.end()) fail(ErrorCode::bad_data, "there is no {}", key);
  return found->second;
}

/// Into a built model. Nothing may be missing or left over.
void restore(Model& model, const SafeTensors& content) {
  const std::map<std::string, std::int32_t> counters =
      parse_json(text_of(content, key_counters), key_counters);
  std::set<std::string> taken;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.counter != nullptr) {
      const auto found = counters.find(entry.name);
      if (found == counters.end()) fail(ErrorCode::bad_data, "there is no {}", entry.name);
      *entry.counter = found->second;
      continue;
    }
    const auto found = content.tensors.find(entry.name);
    if (found == content.tensors.end()) fail(ErrorCode::bad_data, "there is no {}", entry.name);
    if (found->second.shape() != entry.shape()) {
      fail(ErrorCode::bad_data, "{} has shape {}, the model's {}", entry.name,
           found->second.shape().to_string(), entry.shape().to_string());
    }
    (entry.weight != nullptr ? entry.weight->mutable_value() : *entry.buffer)
        .copy_from(found->second);
    taken.insert(entry.name);
  }
  for (const auto& [name, tensor] : content.tensors) {
    if (!taken.contains(name)) fail(ErrorCode::bad_data, "the model has no {}", name);
  }
}

}  // namespace

void save_safetensors(Model& model, const std::filesystem::path& file,
                      const std::map<std::string, std::string>& metadata) {
  PERCH_CHECK(model.built(), "{}: the model is not built, so it has nothing to save; build() it",
              file.string());
  SafeTensors content;
  Json counters = Json::object();
  for (const StateEntry& entry : state_of(model)) {
    if (const Tensor* const tensor = entry.tensor()) {
      content.tensors[entry.name] = *tensor;
    } else {
      counters[entry.name] = *entry.counter;
    }
  }
  content.metadata = {{key_config, perch_config(model)},
                      {key_counters, counters.dump()},
                      {key_notes, Json(metadata).dump()}};
  put_seal(content, seal);
  write_atomically(file, safetensors_bytes(content));
}

std::unique_ptr<Model> load_safetensors(const std::filesystem::path& file) {
  return reading(file, [&] {
    const SafeTensors content = read_sealed(file);
    Skeleton skeleton = model_from_perch(text_of(content, key_config), file.string());
    const FindStored find = [&](const std::string&, const std::string& owner,
                                const std::string& leaf) -> std::optional<StoredWeight> {
      const auto found = content.tensors.find(fmt::format("{}/{}", owner, leaf));
      if (found == content.tensors.end()) return std::nullopt;
      return StoredWeight{found->first, found->second.shape()};
    };
    build_checked(skeleton, find, file.string());
    restore(*skeleton.model, content);
    return std::move(skeleton.model);
  });
}

std::map<std::string, std::string> safetensors_metadata(const std::filesystem::path& file) {
  return reading(file, [&] {
    const Json notes = parse_json(text_of(read_sealed(file), key_notes), key_notes);
    return notes.get<std::map<std::string, std::string>>();
  });
}

}  // namespace perch::io
