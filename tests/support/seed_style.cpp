#include <tests/support/seed_style.h>

#include <perch/core/check.h>
#include <perch/quant/apply.h>

namespace perch::golden {

namespace {

RangePolicy policy_of(const std::string& quantizer) {
  if (quantizer.starts_with("AV")) return AllValues{};
  if (quantizer.starts_with("MA")) return MovingAverage{};
  if (quantizer == "LV") return LastValue{};
  fail(ErrorCode::bad_data, "golden: unknown quantizer {}", quantizer);
}

QuantizeConfig config_of(const SeedStyle& style, const Granularity& per_axis, bool observe_only) {
  const bool honours_axis = style.per_axis && style.quantizer != "AV";
  QuantSpec kernel{.bits = style.weight_bits,
                   .granularity = honours_axis ? per_axis : per_tensor,
                   .symmetric = style.symmetric,
                   .narrow_range = style.narrow_range,
                   .range = policy_of(style.quantizer),
                   .observe_only = observe_only};
  QuantSpec activation{.bits = style.activation_bits, .range = MovingAverage{}};
  return {.weights = {{"kernel", kernel}}, .activation = activation};
}

}  // namespace

SeedStyle seed_style(const Group& attributes) {
  const auto integer = [&](const char* name, int absent) {
    return attributes.has_attribute(name) ? static_cast<int>(attributes.integer(name)) : absent;
  };
  return {.quantizer = attributes.text("quantizer"),
          .weight_bits = integer("w_bits", 8),
          .activation_bits = integer("a_bits", 8),
          .symmetric = integer("symmetric", 0) != 0,
          .narrow_range = integer("narrow_range", 0) != 0,
          .per_axis = integer("per_axis", 0) != 0,
          .depthwise_fix = integer("dw_fix", 0) != 0};
}

QuantizeConfig conv_config(const SeedStyle& style) {
  return config_of(style, per_channel, false);
}

QuantizeConfig depthwise_config(const SeedStyle& style) {
  return config_of(style, per_axes({3}), !style.depthwise_fix);
}

void quantize_like_seed(Model& model, const SeedStyle& style) {
  if (!style.quantized()) return;
  const auto configs =
      choose_configs(model, [&](const Layer& layer) -> std::optional<QuantizeConfig> {
        if (layer.kind() == "Conv2D") return conv_config(style);
        if (layer.kind() == "DepthwiseConv2D") return depthwise_config(style);
        return std::nullopt;
      });
  apply_in_place(model, configs, {});
}

}  // namespace perch::golden
