#include "cell_events.h"

#include <perch/experiments/results_json.h>

using namespace perch::experiments;

EpochRecord epoch_from_event(const Json& event) {
  return {number(event, "loss"),
          event.at("accuracy"),
          optional_number(event, "val_loss"),
          optional_number(event, "val_accuracy"),
          optional_number(event, "oscillating"),
          optional_number(event, "clipped"),
          clipped_layers_of(event)};
}

std::vector<LayerRecord> layers_from_event(const Json& event) {
  std::vector<LayerRecord> records;
  for (const Json& layer : event.at("layers")) {
    LayerRecord& record = records.emplace_back();
    record.name = layer.at("name");
    record.kind = layer.at("kind");
    record.weight_sqnr_db = optional_number(layer, "weight_sqnr_db");
    record.activation_sqnr_db = optional_number(layer, "activation_sqnr_db");
    record.clipped = optional_number(layer, "clipped");
    record.activation_clipped = optional_number(layer, "activation_clipped");
    for (const Json& range : layer.at("channels")) {
      if (range.at("min").is_null() || range.at("max").is_null()) continue;
      record.ranges.push_back({range.at("min"), range.at("max"), number(range, "scale")});
    }
    const Json& histograms = layer.at("histograms");
    if (histograms.empty()) continue;
    record.histogram = histogram_from_json(histograms.front());  // weights are told before biases
  }
  return records;
}
