#include <algorithm>
#include <iterator>
#include <ostream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/io/inspect.h>

namespace perch {

namespace {

constexpr std::size_t values_per_line = 8;
constexpr std::size_t max_printed_values = 64;

using Text = fmt::memory_buffer;

template <class... Args>
void put(Text& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

std::string brackets(const auto& items) {
  return fmt::format("[{}]", fmt::join(items, ", "));
}

// One value on the line itself, several on lines of their own.
template <class T>
void put_values(Text& text, const std::vector<T>& values, const char* pattern) {
  if (values.size() == 1) {
    put(text, " {}\n", fmt::format(fmt::runtime(pattern), values.front()));
    return;
  }
  const std::size_t count = std::min(values.size(), max_printed_values);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % values_per_line == 0) put(text, "\n     ");
    put(text, " {:>12}", fmt::format(fmt::runtime(pattern), values[i]));
  }
  if (count < values.size()) put(text, "\n      ... {} more", values.size() - count);
  put(text, "\n");
}

void put_variable(Text& text, const VariableReport& variable) {
  put(text, "  {} {}", variable.name, brackets(variable.shape));
  if (variable.values.empty() || variable.values.size() > max_printed_values) {
    put(text, " {:.6g} .. {:.6g}\n", variable.min, variable.max);
  } else {
    put_values(text, variable.values, "{:.6g}");
  }
}

void put_quantizer(Text& text, const QuantizerReport& quantizer) {
  put(text, "  quantizer of {}: {} bits, {}, {}, {}, {}{}\n", quantizer.variable, quantizer.bits,
      quantizer.policy,
      quantizer.axes.empty() ? "per tensor"
                             : "one range per index of axes " + brackets(quantizer.axes),
      quantizer.symmetric ? "symmetric" : "asymmetric",
      quantizer.narrow_range ? "narrow range" : "full range",
      quantizer.observe_only ? ", observes only" : "");
  if (quantizer.scale.empty()) return;  // its levels are no even grid, or it has seen nothing
  put(text, "    scale");
  put_values(text, quantizer.scale, "{:.6g}");
  put(text, "    zero point");
  put_values(text, quantizer.zero_point, "{}");
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const ModelReport& report) {
  std::size_t name_width = 5, kind_width = 4, shape_width = 12;
  std::int64_t total = 0;
  for (const LayerReport& layer : report.layers) {
    name_width = std::max(name_width, layer.name.size());
    kind_width = std::max(kind_width, layer.kind.size());
    shape_width = std::max(shape_width, brackets(layer.output_shape).size());
    total += layer.parameters;
  }
  Text text;
  const auto row = [&](std::string_view name, std::string_view kind, std::string_view shape,
                       const auto& parameters) {
    put(text, "{:<{}}  {:<{}}  {:<{}}  {:>10}\n", name, name_width, kind, kind_width, shape,
        shape_width, parameters);
  };
  row("layer", "kind", "output shape", "parameters");
  for (const LayerReport& layer : report.layers) {
    row(layer.name, layer.kind, brackets(layer.output_shape), layer.parameters);
  }
  row("total", "", "", total);
  for (const LayerReport& layer : report.layers) {
    if (layer.variables.empty()) continue;
    put(text, "\n{}\n", layer.name);
    for (const VariableReport& variable : layer.variables) put_variable(text, variable);
    for (const QuantizerReport& quantizer : layer.quantizers) put_quantizer(text, quantizer);
  }
  return out << fmt::to_string(text);
}

}  // namespace perch
