#include <array>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/layers/spec.h>
#include <perch/quant/config.h>

namespace perch {
namespace {

constexpr std::array<std::pair<const char*, FoldStatistics>, 2> names{
    {{"running", FoldStatistics::running}, {"batch", FoldStatistics::batch}}};

}  // namespace

FoldStatistics fold_statistics(const std::string& name) {
  for (const auto& [held, statistics] : names) {
    if (name == held) return statistics;
  }
  fail(ErrorCode::usage, "batch normalisation is folded with statistics {}, not \"{}\"",
       choices(name, {"running", "batch"}), name);
}

std::string fold_statistics_name(FoldStatistics statistics) {
  return names[statistics == FoldStatistics::running ? 0 : 1].first;
}

std::vector<int> channel_axes(const std::string& layer_kind, const Shape& weight) {
  if (layer_kind == "DepthwiseConv2D" && weight.rank() == 4) return {2, 3};
  if (weight.rank() == 0) return {};
  return {weight.rank() - 1};
}

std::string main_weight(const std::string& layer_kind) {
  if (layer_kind == "DepthwiseConv2D") return "depthwise_kernel";
  return layer_kind == "Conv2D" || layer_kind == "Dense" ? "kernel" : "";
}

std::string activation_of(Layer& layer) {
  LayerSpec spec;
  read_config(layer, spec);
  const ConfigValue* const value = spec.find("activation");
  return value != nullptr && std::holds_alternative<std::string>(*value)
             ? std::get<std::string>(*value)
             : "";
}

}  // namespace perch
