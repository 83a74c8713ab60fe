#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include <nlohmann/json.hpp>

#include <perch/core/check.h>
#include <perch/io/atomic_file.h>
#include <perch/io/checkpoint.h>
#include <perch/io/safetensors.h>
#include <perch/io/sealed.h>

namespace perch::io {
namespace {

using Json = nlohmann::json;

constexpr Seal seal{.format = "perch-checkpoint", .version = 1};
constexpr const char* key_state = "state";

// JSON has no such numbers as "nan".
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(fmt::format("{}", value));
}
double number(const Json& json) {
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}
Json optional(const std::optional<double>& value) {
  return value ? number(*value) : Json();
}
std::optional<double> optional(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(number(json));
}

Json to_json(const EpochResult& epoch) {
  Json layers = Json::array();  // in the model's order
  for (const auto& [layer, share] : epoch.clipped_layers) layers.push_back({layer, share});
  return {{"epoch", epoch.epoch},
          {"loss", number(epoch.loss)},
          {"accuracy", number(epoch.accuracy)},
          {"val_loss", optional(epoch.val_loss)},
          {"val_accuracy", optional(epoch.val_accuracy)},
          {"images_per_second", number(epoch.images_per_second)},
          {"seconds", number(epoch.seconds)},
          {"oscillating", optional(epoch.oscillating)},
          {"learning_rate", number(epoch.learning_rate)},
          {"clipped", optional(epoch.clipped)},
          {"clipped_layers", std::move(layers)}};
}

EpochResult epoch_from(const Json& json) {
  EpochResult epoch{.epoch = json.at("epoch"),
                    .loss = number(json.at("loss")),
                    .accuracy = number(json.at("accuracy")),
                    .val_loss = optional(json.at("val_loss")),
                    .val_accuracy = optional(json.at("val_accuracy")),
                    .images_per_second = number(json.at("images_per_second")),
                    .seconds = number(json.at("seconds")),
                    .oscillating = optional(json.at("oscillating")),
                    .learning_rate = number(json.at("learning_rate"))};
  // Files of earlier builds have neither.
  if (!json.contains("clipped")) return epoch;
  epoch.clipped = optional(json.at("clipped"));
  for (const Json& entry : json.at("clipped_layers")) {
    epoch.clipped_layers.push_back({entry.at(0), entry.at(1)});
  }
  return epoch;
}

Json to_json(const TrainingState& state) {
  Json history = Json::array();
  for (const EpochResult& epoch : state.history) history.push_back(to_json(epoch));
  return {{"epoch", state.epoch},
          {"batch", state.batch},
          {"step", state.step},
          {"loss", number(state.totals.loss)},
          {"correct", state.totals.correct},
          {"images", state.totals.images},
          {"seconds", number(state.seconds)},
          {"stopped", state.stopped},
          {"rate_factor", state.rate_factor},
          {"history", std::move(history)},
          {"values", state.values},
          {"settings", state.settings},
          {"instruction_set", state.instruction_set}};
}

TrainingState state_from(const Json& json) {
  TrainingState state{.epoch = json.at("epoch"),
                      .batch = json.at("batch"),
                      .step = json.at("step"),
                      .totals = {.loss = number(json.at("loss")),
                                 .correct = json.at("correct"),
                                 .images = json.at("images")},
                      .seconds = number(json.at("seconds")),
                      .stopped = json.at("stopped"),
                      .rate_factor = json.at("rate_factor"),
                      .values = json.at("values"),
                      .settings = json.at("settings")};
  state.instruction_set = json.value("instruction_set", "");  // files of earlier builds have none
  for (const Json& epoch : json.at("history")) state.history.push_back(epoch_from(epoch));
  return state;
}

TrainingState state_of(SafeTensors content, const std::string& file) {
  try {
    check_tensors(content, file);
    TrainingState state = state_from(Json::parse(content.metadata.at(key_state)));
    state.tensors = std::move(content.tensors);
    return state;
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;  // no fault of the file's
  } catch (const std::exception& error) {
    fail(ErrorCode::bad_data, "{}: its state cannot be read: {}", file, error.what());
  }
}

CheckMetadata check_of(const std::string& file) {
  return [file](const auto& metadata) { check_seal(metadata, seal, file); };
}

}  // namespace

void save_checkpoint(const TrainingState& state, const std::filesystem::path& file) {
  SafeTensors content{
      .tensors = state.tensors,
      .metadata = {
          {key_state, to_json(state).dump(-1, ' ', false, Json::error_handler_t::replace)}}};
  put_seal(content, seal);
  write_atomically(file, safetensors_bytes(content));
}

TrainingState load_checkpoint(const std::filesystem::path& file) {
  return state_of(read_safetensors(file, check_of(file.string())), file.string());
}

TrainingState parse_checkpoint(std::span<const std::byte> bytes, const std::string& file) {
  return state_of(parse_safetensors(bytes, file, check_of(file)), file);
}

}  // namespace perch::io
