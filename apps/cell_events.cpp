#include "cell_events.h"

#include <cstdint>
#include <optional>

using namespace perch::experiments;

namespace {

std::optional<double> optional(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

double number(const Json& json, const char* key) {
  return optional(json, key).value_or(0.0);
}

}  // namespace

EpochRecord epoch_from_event(const Json& event) {
  EpochRecord record{number(event, "loss"),          event.at("accuracy"),
                     optional(event, "val_loss"),    optional(event, "val_accuracy"),
                     optional(event, "oscillating"), optional(event, "clipped")};
  const auto layers = event.find("clipped_layers");
  if (layers == event.end()) return record;
  for (const auto& [layer, share] : layers->items()) {
    record.clipped_layers.emplace_back(layer, share);
  }
  return record;
}

std::vector<LayerRecord> layers_from_event(const Json& event) {
  std::vector<LayerRecord> records;
  for (const Json& layer : event.at("layers")) {
    LayerRecord& record = records.emplace_back();
    record.name = layer.at("name");
    record.kind = layer.at("kind");
    record.weight_sqnr_db = optional(layer, "weight_sqnr_db");
    record.activation_sqnr_db = optional(layer, "activation_sqnr_db");
    record.clipped = optional(layer, "clipped");
    record.activation_clipped = optional(layer, "activation_clipped");
    for (const Json& range : layer.at("channels")) {
      if (range.at("min").is_null() || range.at("max").is_null()) continue;
      record.ranges.push_back({range.at("min"), range.at("max"), number(range, "scale")});
    }
    const Json& histograms = layer.at("histograms");
    if (histograms.empty()) continue;
    const Json& kernel = histograms.front();  // weights are told before biases
    record.histogram = {kernel.at("low"), kernel.at("high"),
                        kernel.at("counts").get<std::vector<std::int64_t>>(),
                        kernel.at("level_counts").get<std::vector<std::int64_t>>()};
  }
  return records;
}
