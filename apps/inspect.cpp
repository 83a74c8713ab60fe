// perch inspect: what is in a saved model.
#include <algorithm>
#include <memory>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/io/inspect.h>
#include <perch/io/quant_config.h>
#include <perch/models/models.h>

#include "commands.h"
#include "model_file.h"
#include "quantize_flags.h"

using namespace perch;

namespace {

struct InspectFlags {
  std::string model, quant_config;
  QuantizeFlags quantize;
};

Json to_json(const VariableReport& variable) {
  Json json = {{"name", variable.name},
               {"shape", variable.shape},
               {"min", variable.min},
               {"max", variable.max}};
  if (!variable.values.empty()) json["values"] = variable.values;
  return json;
}

Json to_json(const QuantizerReport& quantizer) {
  Json json = {{"variable", quantizer.variable},
               {"bits", quantizer.bits},
               {"axes", quantizer.axes},
               {"symmetric", quantizer.symmetric},
               {"narrow_range", quantizer.narrow_range},
               {"policy", quantizer.policy}};
  if (quantizer.scale.empty()) return json;  // its levels are no even grid
  const bool per_tensor = quantizer.axes.empty();
  json["scale"] = per_tensor ? Json(quantizer.scale.at(0)) : Json(quantizer.scale);
  json["zero_point"] = per_tensor ? Json(quantizer.zero_point.at(0)) : Json(quantizer.zero_point);
  return json;
}

Json to_json(const LayerReport& layer) {
  Json json = {{"name", layer.name},
               {"kind", layer.kind},
               {"output_shape", layer.output_shape},
               {"parameters", layer.parameters},
               {"variables", Json::array()},
               {"quantizers", Json::array()}};
  for (const auto& variable : layer.variables) json["variables"].push_back(to_json(variable));
  for (const auto& quantizer : layer.quantizers) json["quantizers"].push_back(to_json(quantizer));
  return json;
}

std::string summary(const QuantSpec& spec) {
  static const std::vector<std::string> kinds{"per tensor", "per channel", "per axis", "per group"};
  return fmt::format("{} bits {} {}", spec.bits, policy_name(spec.range),
                     kinds[static_cast<std::size_t>(spec.granularity.kind)]);
}

/// What a decision does: "weights 8 bits all_values per channel, activations ...".
std::string summary(const Decision& decision) {
  if (!decision.folded_into.empty()) return "folded into " + decision.folded_into;
  if (!decision.config) return "float";
  std::string text, separator;
  const auto add = [&](const char* what, const QuantSpec& spec) {
    text += fmt::format("{}{} {}", separator, what, summary(spec));
    separator = ", ";
  };
  for (const auto& [weight, spec] : decision.config->weights) add("weights", spec);
  if (decision.config->activation) add("activations", *decision.config->activation);
  if (decision.config->output) add("outputs", *decision.config->output);
  if (decision.config->integer_bias) text += separator + "bias int32", separator = ", ";
  if (decision.config->fold) {
    text += fmt::format("{}folds batch normalisation by {} statistics", separator,
                        fold_statistics_name(*decision.config->fold));
  }
  return text.empty() ? "wrapped, nothing quantized" : text;
}

/// A network by name, built, or a file's.
std::unique_ptr<Model> open_or_make(const InspectFlags& flags) {
  const std::vector<std::string>& names = model_names();
  if (std::ranges::find(names, flags.model) == names.end()) {
    return open_model(flags.model, flags.quantize);
  }
  auto model = make_model(flags.model);
  model->build({32, 32, 3});
  return model;
}

/// Which rule decides each layer.
void show_decisions(const InspectFlags& flags, Output& output) {
  const auto model = open_or_make(flags);
  Json layers = Json::array();
  std::string text;
  for (const Decision& decision : decide(*model, io::read_quant_config(flags.quant_config))) {
    const std::string rule = decision.origin.empty() ? "no rule" : decision.origin;
    const std::string what = summary(decision);
    layers.push_back({{"name", decision.layer},
                      {"kind", decision.kind},
                      {"rule", decision.origin},
                      {"quantization", what}});
    text += fmt::format("{} ({})\n  {}: {}\n", decision.layer, decision.kind, rule, what);
  }
  output.event({{"event", "result"}, {"layers", layers}});
  output.text(text);
}

void inspect_file(const InspectFlags& flags, Output& output) {
  flags.quantize.check();
  if (!flags.quant_config.empty()) return show_decisions(flags, output);
  const auto model = open_model(flags.model, flags.quantize);
  const ModelReport report = inspect(*model);
  Json layers = Json::array();
  for (const auto& layer : report.layers) layers.push_back(to_json(layer));
  output.event({{"event", "result"}, {"layers", layers}});
  std::ostringstream text;
  text << report;
  output.text(text.str());
}

}  // namespace

Command add_inspect(CLI::App& parent) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* app = parent.add_subcommand(
      "inspect", "Layers, variables, ranges, scales and zero points of a saved model");
  app->footer("Example:\n  perch inspect models/temp_net_8wbits_8abits_asym_full_perch_AV.h5");
  app->add_option("MODEL", flags->model, "Model file")->type_name("FILE.h5")->required();
  app->add_option(
         "--quant-config", flags->quant_config,
         "Which of this file's rules decides each layer of MODEL, a file or a network's name")
      ->type_name("FILE.toml");
  flags->quantize.add_to(*app, QuantizeFlags::Use::read);
  return {app, [flags](Output& output) { inspect_file(*flags, output); }};
}
