// perch inspect: what is in a saved model.
#include <memory>
#include <sstream>

#include <CLI/CLI.hpp>

#include <perch/io/inspect.h>

#include "commands.h"
#include "model_file.h"
#include "quantize_flags.h"

using namespace perch;

namespace {

struct InspectFlags {
  std::string model;
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

void inspect_file(const InspectFlags& flags, Output& output) {
  flags.quantize.check();
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
  flags->quantize.add_to(*app, QuantizeFlags::Use::read);
  return {app, [flags](Output& output) { inspect_file(*flags, output); }};
}
