#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <perch/io/inspect.h>
#include <perch/layers/graph.h>
#include <perch/layers/state.h>
#include <perch/quant/wrapper.h>

namespace perch {

namespace {

constexpr std::size_t max_values = 1024;

VariableReport report_of(const StateEntry& entry) {
  VariableReport report;
  const Shape shape = entry.shape();
  report.name = entry.name;
  report.shape.assign(shape.begin(), shape.end());
  if (entry.counter != nullptr) {
    report.min = report.max = *entry.counter;
    report.values = {static_cast<float>(*entry.counter)};
    return report;
  }
  const std::span<const float> values = entry.tensor()->values();
  if (values.empty()) return report;
  const auto [min, max] = std::ranges::minmax(values);
  report.min = min;
  report.max = max;
  if (values.size() <= max_values) report.values.assign(values.begin(), values.end());
  return report;
}

QuantizerReport report_of(const std::string& variable, const Quantizer& quantizer) {
  const QuantSpec& spec = quantizer.spec();
  QuantizerReport report{.variable = variable,
                         .bits = spec.bits,
                         .axes = quantizer.axes(),
                         .symmetric = spec.symmetric,
                         .narrow_range = spec.narrow_range,
                         .observe_only = spec.observe_only,
                         .policy = policy_name(spec.range)};
  for (const QuantGrid& grid : quantizer.grids()) {
    report.scale.push_back(grid.scale);
    report.zero_point.push_back(shown_zero_point(grid, spec));
  }
  return report;
}

QuantizerReport bias_report(const std::vector<double>& scales) {
  QuantizerReport report{.variable = "bias",
                         .bits = 32,
                         .axes = {0},
                         .symmetric = true,
                         .policy = "input scale x weight scale"};
  for (const double scale : scales) report.scale.push_back(static_cast<float>(scale));
  report.zero_point.assign(scales.size(), 0);
  return report;
}

void collect_quantizers(Layer& layer, std::vector<QuantizerReport>& reports) {
  if (auto* wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
    for (const auto& [variable, quantizer] : wrapper->quantizers()) {
      reports.push_back(report_of(variable, *quantizer));
    }
    const std::vector<double> scales = wrapper->integer_bias_scales();
    if (!scales.empty()) reports.push_back(bias_report(scales));
  } else if (auto* quantize = dynamic_cast<QuantizeLayer*>(&layer)) {
    reports.push_back(report_of(quantize->name(), quantize->quantizer()));
  }
}

std::string kind_of(Layer& layer) {
  auto* wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
  if (wrapper == nullptr) return layer.kind();
  const bool folded = &weighted_layer(wrapper->layer()) != &wrapper->layer();
  return fmt::format("{}({}{})", layer.kind(), weighted_layer(wrapper->layer()).kind(),
                     folded ? "+BatchNormalization" : "");
}

}  // namespace

ModelReport inspect(Model& model) {
  ModelReport report;
  std::map<std::string, std::size_t> index;
  const std::vector<Shape>& shapes = model.node_shapes();
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    Layer& layer = *model.nodes()[i].layer;
    LayerReport& entry = report.layers.emplace_back();
    entry.name = layer.name();
    entry.kind = kind_of(layer);
    entry.output_shape.assign(shapes[i].begin(), shapes[i].end());
    for_each_layer(layer, [&](Layer& each) { collect_quantizers(each, entry.quantizers); });
    index[entry.name] = i;
  }
  for (const StateEntry& entry : state_of(model)) {
    LayerReport& layer = report.layers[index.at(entry.layer)];
    layer.variables.push_back(report_of(entry));
    if (entry.trainable) layer.parameters += entry.shape().size();
  }
  return report;
}

}  // namespace perch
