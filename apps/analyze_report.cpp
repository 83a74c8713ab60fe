#include "analyze_report.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <variant>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/quant/quantizer.h>
#include <perch/train/text.h>

using namespace perch;

namespace {

constexpr std::size_t worst_count = 5;

const LayerSensitivity* sensitivity_of(const Analysis& analysis, const std::string& layer) {
  if (!analysis.sensitivity) return nullptr;
  for (const LayerSensitivity& entry : analysis.sensitivity->layers) {
    if (entry.name == layer || "quant_" + entry.name == layer) return &entry;
  }
  return nullptr;
}

/// The layers that are reported, quantized ones first.
struct Row {
  LayerAnalysis layer;
  const LayerSensitivity* sensitivity;
};

std::vector<Row> rows_of(const Analysis& analysis) {
  std::vector<Row> rows;
  for (const LayerAnalysis& layer : analysis.layers) {
    rows.push_back({layer, sensitivity_of(analysis, layer.name)});
  }
  if (!analysis.sensitivity) return rows;
  for (const LayerSensitivity& entry : analysis.sensitivity->layers) {
    const auto same = [&](const Row& row) { return row.sensitivity == &entry; };
    if (std::ranges::any_of(rows, same)) continue;
    rows.push_back({{.name = entry.name, .kind = entry.kind}, &entry});
  }
  return rows;
}

template <class T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json scores_of(const LayerSensitivity& layer) {
  Json json = Json::object();
  for (const auto& [bits, score] : layer.scores) {
    json[std::to_string(bits)] = {{"accuracy", score.accuracy}, {"loss", score.loss}};
  }
  return json;
}

Json channels_of(const LayerAnalysis& layer) {
  Json json = Json::array();
  for (const QuantizerAnalysis& quantizer : layer.quantizers) {
    if (!quantizer.of_weight) continue;
    for (std::size_t i = 0; i < quantizer.ranges.size(); ++i) {
      const RangeAnalysis& range = quantizer.ranges[i];
      json.push_back({{"variable", quantizer.name},
                      {"index", i},
                      {"min", range.min},
                      {"max", range.max},
                      {"scale", range.scale},
                      {"zero_point", range.zero_point},
                      {"clipped", range.clipped},
                      {"sqnr_db", range.sqnr_db}});
    }
  }
  return json;
}

/// Of each quantized weight; so many levels at most are told one by one.
Json histograms_of(const LayerAnalysis& layer) {
  constexpr std::size_t most_levels = 256;
  Json json = Json::array();
  for (const QuantizerAnalysis& quantizer : layer.quantizers) {
    if (!quantizer.histogram) continue;
    const bool few = quantizer.level_counts.size() <= most_levels;
    json.push_back({{"variable", quantizer.name},
                    {"low", quantizer.histogram->low},
                    {"high", quantizer.histogram->high},
                    {"counts", quantizer.histogram->counts},
                    {"level_counts", few ? Json(quantizer.level_counts) : Json::array()}});
  }
  return json;
}

Json json_of(const Row& row) {
  const Fidelities& weights = row.layer.weights;
  const Fidelities& activations = row.layer.activations;
  const Fidelities& first = weights.sqnr_db ? weights : activations;
  return {{"name", row.layer.name},
          {"kind", row.layer.kind},
          {"weight_bits", json_of(weights.bits)},
          {"activation_bits", json_of(activations.bits)},
          {"weight_sqnr_db", json_of(weights.sqnr_db)},
          {"activation_sqnr_db", json_of(activations.sqnr_db)},
          {"clipped", json_of(first.clipped)},
          {"unused_levels", json_of(first.unused_levels)},
          {"cosine", json_of(first.cosine)},
          {"activation_clipped", json_of(activations.clipped)},
          {"activation_unused_levels", json_of(activations.unused_levels)},
          {"activation_cosine", json_of(activations.cosine)}};
}

std::string decibels(const std::optional<double>& value) {
  if (!value) return "-";
  return std::isinf(*value) && *value > 0 ? "exact" : fmt::format("{:.1f}", *value);
}

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.2f}", 100.0 * *share) : "-";
}

template <class T>
std::string number(const std::optional<T>& value, const char* format = "{}") {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

std::string layer_table(const std::vector<LayerAnalysis>& layers, std::size_t width) {
  std::string text = fmt::format(
      "{0:<{1}}  {2:<22} {3:>6}  weights                             layer's "
      "output\n"
      "{0:<{1}}  {0:<22} {0:>6}  {4:>6} {5:>7} {6:>9} {7:>7}    {4:>6} {5:>7} "
      "{6:>9} {7:>7}\n",
      "", width, "kind", "bits", "dB", "cosine", "clipped %", "unused");
  text.replace(0, 5, "layer");
  for (const LayerAnalysis& layer : layers) {
    const auto part = [](const Fidelities& of) {
      return fmt::format("{:>6} {:>7} {:>9} {:>7}", decibels(of.sqnr_db),
                         number(of.cosine, "{:.4f}"), percent(of.clipped),
                         number(of.unused_levels));
    };
    text += fmt::format("{:<{}}  {:<22} {:>6}  {}    {}\n", layer.name, width, layer.kind,
                        number(layer.weights.bits) + "/" + number(layer.activations.bits),
                        part(layer.weights), part(layer.activations));
  }
  return text;
}

std::string channel_table(const std::vector<LayerAnalysis>& layers) {
  std::string text =
      fmt::format("\nworst ranges of weights\n{:>7} {:>24} {:>12} {:>10} {:>9} {:>6}\n", "range",
                  "from, to", "scale", "zero point", "clipped %", "dB");
  for (const LayerAnalysis& layer : layers) {
    for (const QuantizerAnalysis& quantizer : layer.quantizers) {
      if (!quantizer.of_weight || quantizer.ranges.empty()) continue;
      const auto& ranges = quantizer.ranges;
      std::vector<std::size_t> order(ranges.size());
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::ranges::stable_sort(order, {}, [&](std::size_t i) { return ranges[i].sqnr_db; });
      text += fmt::format("{} {}, {} in all\n", layer.name, quantizer.name, ranges.size());
      for (std::size_t i = 0; i < std::min(order.size(), worst_count); ++i) {
        const RangeAnalysis& range = ranges[order[i]];
        text += fmt::format("{:>7} {:>12.5g} {:>11.5g} {:>12.5g} {:>10} {:>9.2f} {:>6}\n", order[i],
                            range.min, range.max, range.scale, range.zero_point,
                            100.0 * range.clipped, decibels(range.sqnr_db));
      }
    }
  }
  return text;
}

std::string sensitivity_table(const Sensitivity& sensitivity, std::size_t width) {
  std::string text = fmt::format(
      "\nonly this layer's weights quantized: loss, "
      "accuracy % (nothing quantized: {:.4f}, "
      "{:.2f})\n{:<{}} {:>10}",
      sensitivity.unquantized.loss, 100.0 * sensitivity.unquantized.accuracy, "layer", width,
      "weights");
  const auto& widest_first = sensitivity.layers.front().scores;
  for (auto at = widest_first.rbegin(); at != widest_first.rend(); ++at) {
    text += fmt::format("   {:>8} bits", at->first);
  }
  for (const LayerSensitivity& layer : sensitivity.layers) {
    text += fmt::format("\n{:<{}} {:>10}", layer.name, width,
                        grouped(static_cast<double>(layer.weights)));
    for (auto at = layer.scores.rbegin(); at != layer.scores.rend(); ++at) {
      text += fmt::format("   {:>7.4f} {:>5.2f}", at->second.loss, 100.0 * at->second.accuracy);
    }
  }
  return text + "\n";
}

std::string allocation_table(const BitAllocation& allocation, std::size_t width) {
  std::string text =
      fmt::format("\nbits by layer: {:.1f} % of the weights' 8-bit size\n", 100 * allocation.share);
  for (const LayerBits& layer : allocation.layers) {
    text += fmt::format("{:<{}} {:>2}\n", layer.name, width, layer.bits);
  }
  return text;
}

/// A TOML string, and between its quotes a shell pattern that stands for the
/// name alone.
std::string quoted(const std::string& name, bool pattern) {
  std::string text;
  for (const char c : name) {
    if (pattern && std::string_view("*?[\\").find(c) != std::string_view::npos) text += "\\\\";
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return "\"" + text + "\"";
}

std::string toml_value(const ConfigValue& value) {
  if (const auto* const flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* const whole = std::get_if<std::int64_t>(&value)) return std::to_string(*whole);
  if (const auto* const text = std::get_if<std::string>(&value)) return quoted(*text, false);
  if (const auto* const list = std::get_if<std::vector<std::int64_t>>(&value)) {
    return fmt::format("[{}]", fmt::join(*list, ", "));
  }
  // With a point or an exponent, as TOML tells floats from whole numbers.
  const std::string number = fmt::format("{}", std::get<float>(value));
  return number.find_first_of(".en") == std::string::npos ? number + ".0" : number;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string cell = "\"";
  for (const char c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
  return cell + "\"";
}

/// What the reader would not take by itself, and the settings that a rule
/// always names.
std::string toml_of(const QuantSpec& spec) {
  static const std::vector<std::string> always{"bits", "granularity", "symmetric", "narrow_range"};
  const LayerSpec config = config_of(spec);
  const LayerSpec defaults = config_of({.range = policy_from_name(policy_name(spec.range))});
  std::string text = "{ quantizer = " + quoted(policy_name(spec.range), false);
  for (const auto& [key, value] : config.config) {
    if (key == "range" || key == "settings") continue;
    const ConfigValue* const usual = defaults.find(key);
    const bool needed = std::ranges::find(always, key) != always.end();
    if (!needed && usual != nullptr && *usual == value) continue;
    // A quantizer of one's own takes its settings by their names.
    const std::string name = key.starts_with("setting_") ? key.substr(8) : key;
    text += fmt::format(", {} = {}", name, toml_value(value));
  }
  return text + " }";
}

}  // namespace

std::string text_of(const Analysis& analysis, bool channels) {
  std::size_t width = 5;
  for (const Row& row : rows_of(analysis)) width = std::max(width, row.layer.name.size());
  std::string text;
  if (!analysis.layers.empty()) text += layer_table(analysis.layers, width);
  if (channels) text += channel_table(analysis.layers);
  if (analysis.sensitivity) text += sensitivity_table(*analysis.sensitivity, width);
  if (analysis.allocation) text += allocation_table(*analysis.allocation, width);
  return text;
}

Json json_of(const Analysis& analysis, bool channels) {
  Json layers = Json::array();
  for (const Row& row : rows_of(analysis)) {
    Json& layer = layers.emplace_back(json_of(row));
    if (channels) {
      layer["channels"] = channels_of(row.layer);
      layer["histograms"] = histograms_of(row.layer);
    }
    if (row.sensitivity != nullptr) layer["bits"] = scores_of(*row.sensitivity);
  }
  Json event = {{"event", "result"}, {"layers", layers}};
  if (analysis.sensitivity) {
    event["float_accuracy"] = analysis.sensitivity->unquantized.accuracy;
    event["float_loss"] = analysis.sensitivity->unquantized.loss;
  }
  if (analysis.allocation) {
    Json bits = Json::object();
    for (const LayerBits& layer : analysis.allocation->layers) bits[layer.name] = layer.bits;
    event["allocation"] = {{"share", analysis.allocation->share}, {"bits", bits}};
  }
  return event;
}

std::string csv_of(const Analysis& analysis) {
  std::string header, text;
  for (const Row& row : rows_of(analysis)) {
    header.clear();
    std::string line;
    const auto add = [&](const std::string& name, const Json& value) {
      const std::string comma = header.empty() ? "" : ",";
      const bool finite = !value.is_number_float() || std::isfinite(value.get<double>());
      header += comma + name;
      line += comma;
      if (value.is_string()) {
        line += csv_cell(value.get<std::string>());
      } else if (!value.is_null()) {
        line += finite ? value.dump() : fmt::format("{}", value.get<double>());
      }
    };
    const Json fields = json_of(row);
    for (const auto& [name, value] : fields.items()) add(name, value);
    if (analysis.sensitivity) {
      for (const auto& [bits, ignored] : analysis.sensitivity->layers.front().scores) {
        const WidthScore* const score =
            row.sensitivity == nullptr ? nullptr : &row.sensitivity->scores.at(bits);
        add(fmt::format("accuracy_{}", bits), score ? Json(score->accuracy) : Json(nullptr));
        add(fmt::format("loss_{}", bits), score ? Json(score->loss) : Json(nullptr));
      }
    }
    text += line + "\n";
  }
  return header + "\n" + text;
}

std::string toml_of(const Analysis& analysis) {
  std::string text = fmt::format("# Weights in {:.2f} % of their 8-bit size.\n",
                                 100.0 * analysis.allocation->share);
  for (std::size_t i = 0; i < analysis.allocation->layers.size(); ++i) {
    const LayerBits& layer = analysis.allocation->layers[i];
    QuantSpec spec = analysis.sensitivity->layers[i].spec;
    spec.bits = layer.bits;
    text += fmt::format("\n[[rule]]\nlayers = {}\nweights = {}\n", quoted(layer.name, true),
                        toml_of(spec));
  }
  return text;
}
