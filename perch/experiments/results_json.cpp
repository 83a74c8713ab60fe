#include <perch/core/check.h>
#include <perch/core/file_content.h>
#include <perch/core/or_null.h>
#include <perch/experiments/results_json.h>

namespace perch::experiments {
namespace {

Json to_json(const Settings& settings) {
  Json json = Json::object();
  for (const auto& [name, value] : settings) json[name] = value;
  return json;
}

Json to_json(const statistics::Summary& summary) {
  return {{"count", summary.count},
          {"mean", summary.mean},
          {"min", summary.low},
          {"max", summary.high},
          {"deviation", summary.deviation},
          {"half_width_95", summary.half_width ? Json(*summary.half_width) : Json()}};
}

Json to_json(const LayerRecord::Histogram& histogram) {
  return {{"low", histogram.low},
          {"high", histogram.high},
          {"counts", histogram.counts},
          {"level_counts", histogram.level_counts}};
}

std::optional<LayerRecord::Histogram> histogram_from(const Json& layer) {
  const auto found = layer.find("histogram");
  if (found == layer.end() || found->is_null()) return std::nullopt;
  return histogram_from_json(*found);
}

Settings settings_from(const Json& json) {
  Settings settings;
  for (const auto& [name, value] : json.items()) settings.push_back({name, value});
  return settings;
}

/// Runs what reads a value; its errors name the file.
template <class Read>
auto reading(const std::string& file, const Read& read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    fail(ErrorCode::bad_data, "{}: {}; remove it, and its cell runs again", file, error.what());
  }
}

}  // namespace

std::optional<double> optional_number(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

double number(const Json& json, const char* key) {
  return optional_number(json, key).value_or(0.0);
}

std::vector<std::pair<std::string, double>> clipped_layers_of(const Json& epoch) {
  std::vector<std::pair<std::string, double>> layers;
  const auto found = epoch.find("clipped_layers");
  if (found == epoch.end()) return layers;
  for (const auto& [layer, share] : found->items()) layers.emplace_back(layer, share);
  return layers;
}

LayerRecord::Histogram histogram_from_json(const Json& json) {
  return {json.at("low"), json.at("high"), json.at("counts").get<std::vector<std::int64_t>>(),
          json.at("level_counts").get<std::vector<std::int64_t>>()};
}

Json to_json(const Experiment& experiment) {
  Json grid = Json::object();
  for (const Axis& axis : experiment.grid) grid[axis.name] = axis.values;
  return {{"model", experiment.model},
          {"question", question_of(experiment)},
          {"seeds", experiment.seeds},
          {"float_epochs", experiment.float_epochs},
          {"grid", grid},
          {"train", to_json(experiment.train)},
          {"float", to_json(experiment.start)}};
}

Experiment experiment_from_json(const Json& json, const std::string& file) {
  return reading(file, [&] {
    Experiment result;
    result.model = json.at("model");
    result.question = json.at("question");
    result.seeds = json.at("seeds").get<std::vector<std::int64_t>>();
    result.float_epochs = json.at("float_epochs");
    for (const auto& [name, values] : json.at("grid").items()) {
      result.grid.push_back({name, values.get<std::vector<std::string>>()});
    }
    result.train = settings_from(json.at("train"));
    result.start = settings_from(json.at("float"));
    return result;
  });
}

Json to_json(const CellResult& cell) {
  Json epochs = Json::array(), layers = Json::array();
  for (const EpochRecord& epoch : cell.epochs) {
    epochs.push_back({{"loss", epoch.loss},
                      {"accuracy", epoch.accuracy},
                      {"val_loss", or_null<Json>(epoch.val_loss)},
                      {"val_accuracy", or_null<Json>(epoch.val_accuracy)},
                      {"oscillating", or_null<Json>(epoch.oscillating)},
                      {"clipped", or_null<Json>(epoch.clipped)}});
    for (const auto& [layer, share] : epoch.clipped_layers) {
      epochs.back()["clipped_layers"][layer] = share;
    }
  }
  for (const LayerRecord& layer : cell.layers) {
    Json ranges = Json::array();
    for (const auto& range : layer.ranges) ranges.push_back({range.min, range.max, range.scale});
    layers.push_back({{"name", layer.name},
                      {"kind", layer.kind},
                      {"weight_sqnr_db", or_null<Json>(layer.weight_sqnr_db)},
                      {"activation_sqnr_db", or_null<Json>(layer.activation_sqnr_db)},
                      {"clipped", or_null<Json>(layer.clipped)},
                      {"activation_clipped", or_null<Json>(layer.activation_clipped)},
                      {"ranges", ranges},
                      {"histogram", layer.histogram ? to_json(*layer.histogram) : Json()}});
  }
  return {{"id", cell.id},
          {"settings", to_json(cell.cell.settings)},
          {"seed", cell.cell.seed},
          {"status", cell.failed() ? "failed" : "done"},
          {"failure", cell.failure},
          {"test_accuracy", cell.failed() ? Json() : Json(cell.accuracy)},
          {"start_accuracy", or_null<Json>(cell.start_accuracy)},
          {"epochs", epochs},
          {"layers", layers},
          {"model", cell.model},
          {"model_bytes", cell.model_bytes},
          {"command", cell.command},
          {"times",
           {{"seconds", cell.seconds},
            {"images_per_second", cell.images_per_second},
            {"peak_rss_mb", cell.peak_rss_mb},
            {"run", cell.run}}}};
}

CellResult cell_from_json(const Json& json, const std::string& file) {
  return reading(file, [&] {
    CellResult cell;
    cell.id = json.at("id");
    cell.cell = {settings_from(json.at("settings")), json.at("seed")};
    cell.failure = json.at("failure");
    cell.accuracy = number(json, "test_accuracy");
    cell.start_accuracy = optional_number(json, "start_accuracy");
    for (const Json& epoch : json.at("epochs")) {
      cell.epochs.push_back(
          {number(epoch, "loss"), number(epoch, "accuracy"), optional_number(epoch, "val_loss"),
           optional_number(epoch, "val_accuracy"), optional_number(epoch, "oscillating"),
           optional_number(epoch, "clipped"), clipped_layers_of(epoch)});
    }
    for (const Json& layer : json.at("layers")) {
      LayerRecord& record = cell.layers.emplace_back();
      record.name = layer.at("name");
      record.kind = layer.at("kind");
      record.weight_sqnr_db = optional_number(layer, "weight_sqnr_db");
      record.activation_sqnr_db = optional_number(layer, "activation_sqnr_db");
      record.clipped = optional_number(layer, "clipped");
      record.activation_clipped = optional_number(layer, "activation_clipped");
      record.histogram = histogram_from(layer);
      for (const Json& range : layer.at("ranges")) {
        record.ranges.push_back({range.at(0), range.at(1), range.at(2)});
      }
    }
    cell.model = json.at("model");
    cell.model_bytes = json.at("model_bytes");
    cell.command = json.at("command");
    const Json& times = json.at("times");
    cell.seconds = number(times, "seconds");
    cell.images_per_second = number(times, "images_per_second");
    cell.peak_rss_mb = number(times, "peak_rss_mb");
    cell.run = times.value("run", "");
    return cell;
  });
}

Json to_json(const Provenance& p) {
  return {{"version", p.version},
          {"compiler", p.compiler},
          {"cpu", p.cpu},
          {"instruction_set", p.instruction_set},
          {"threads", p.threads},
          {"side_by_side", p.side_by_side},
          {"images_per_second_one_by_one", p.images_per_second_one_by_one},
          {"images_per_second_side_by_side", p.images_per_second_side_by_side},
          {"command", p.command},
          {"data", p.data},
          {"data_checksum", p.data_checksum},
          {"train_images", p.train_images},
          {"test_images", p.test_images}};
}

Provenance provenance_from_json(const Json& json, const std::string& file) {
  return reading(file, [&] {
    Provenance p;
    p.version = json.at("version");
    p.compiler = json.at("compiler");
    p.cpu = json.at("cpu");
    p.instruction_set = json.at("instruction_set");
    p.threads = json.at("threads");
    p.side_by_side = json.at("side_by_side");
    p.images_per_second_one_by_one = number(json, "images_per_second_one_by_one");
    p.images_per_second_side_by_side = number(json, "images_per_second_side_by_side");
    p.command = json.at("command");
    p.data = json.at("data");
    p.data_checksum = json.at("data_checksum");
    p.train_images = json.at("train_images");
    p.test_images = json.at("test_images");
    return p;
  });
}

Json to_json(const Findings& findings) {
  Json groups = Json::array(), contrasts = Json::array();
  for (const Group& group : findings.groups) {
    groups.push_back({{"settings", to_json(group.settings)},
                      {"failed", group.failed},
                      {"test_accuracy_percent", group.summary ? to_json(*group.summary) : Json()}});
  }
  for (const Contrast& contrast : findings.contrasts) {
    Json pairs = Json::array();
    for (const Pair& pair : contrast.pairs) {
      pairs.push_back({{"seed", pair.seed},
                       {"difference_points", pair.difference},
                       {"first_only", pair.discordant.first_only},
                       {"second_only", pair.discordant.second_only},
                       {"mcnemar_p", pair.p}});
    }
    const char* const winner = contrast.winner == Winner::neither ? "neither"
                               : contrast.winner == Winner::first ? "first"
                                                                  : "second";
    contrasts.push_back({{"settings", to_json(contrast.others)},
                         {"axis", contrast.axis},
                         {"first", contrast.first},
                         {"second", contrast.second},
                         {"difference_points", to_json(contrast.differences)},
                         {"pairs", pairs},
                         {"winner", winner},
                         {"verdict", contrast.verdict}});
  }
  return {{"answer", findings.answer}, {"groups", groups}, {"contrasts", contrasts}};
}

Json to_json(const Results& results, const Findings& findings) {
  Json cells = Json::array();
  for (const CellResult& cell : results.cells) cells.push_back(to_json(cell));
  Json json = {{"experiment", to_json(results.experiment)},
               {"provenance", to_json(results.provenance)},
               {"all_cells", results.all_cells},
               {"cells", cells}};
  const Json found = to_json(findings);
  json.insert(found.begin(), found.end());
  return json;
}

Json read_json(const std::filesystem::path& file) {
  return reading(file.string(), [&] { return Json::parse(file_content(file)); });
}

}  // namespace perch::experiments
