#include <type_traits>
#include <variant>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/ops/integer_forward.h>
#include <perch/layers/spec.h>
#include <perch/train/settings.h>

namespace perch {
namespace {

using Settings = std::map<std::string, std::string>;

std::string text_of(const ConfigValue& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::vector<std::int64_t>>) {
          return fmt::format("{}", fmt::join(held, ","));
        } else {
          return fmt::format("{}", held);
        }
      },
      value);
}

/// "model.quant_conv2d.kernel.bits": layers by name, their parts by role.
void add_layer(const LayerSpec& spec, const std::string& path, Settings& settings) {
  if (!spec.kind.empty()) settings[path + ".kind"] = spec.kind;
  if (!spec.trainable) settings[path + ".trainable"] = "false";
  for (const auto& [key, value] : spec.config) {
    settings[fmt::format("{}.{}", path, key)] = text_of(value);
  }
  for (const auto& [role, child] : spec.children) {
    const bool node = spec.kind == "Model" || !child.name.empty();
    const std::string child_path = fmt::format("{}.{}", path, node ? child.name : role);
    if (node) settings[child_path + ".inputs"] = role;
    add_layer(child, child_path, settings);
  }
}

}  // namespace

Settings settings_of(Model& model, const Optimizer& optimizer, const Loss& loss, bool fused,
                     const Dataset& data, const FitOptions& options) {
  Settings settings = options.settings;
  const auto put = [&](const char* name, const auto& value) {
    settings[name] = fmt::format("{}", value);
  };
  put("epochs", options.epochs);
  put("batch_size", options.batch_size);
  put("validation_split", options.validation_split);
  put("shuffle", options.shuffle);
  put("seed", options.seed);
  put("schedule", schedule_name(options.schedule.kind));
  put("schedule.warmup_steps", options.schedule.warmup_steps);
  put("schedule.step_factor", options.schedule.step_factor);
  settings["schedule.step_at"] = fmt::format("{}", fmt::join(options.schedule.step_at, ","));
  put("augmentation.crop_padding", options.augmentation.crop_padding);
  put("augmentation.flip", options.augmentation.flip);
  put("clip_norm", options.clip_norm);
  put("range_rate_factor", options.range_rate_factor);
  put("range_weight_decay", options.range_weight_decay);
  if (options.on_non_finite != OnNonFinite::stop) {
    settings["on_non_finite"] =
        options.on_non_finite == OnNonFinite::skip ? std::string("skip") : std::string("go_back");
  }
  put("fused", fused);
  put("integer_forward", integer_forward());
  put("optimizer", optimizer.name());
  for (const auto& [name, value] : optimizer.settings()) settings["optimizer." + name] = value;
  put("loss", loss.name());
  put("loss.label_smoothing", loss.options().label_smoothing);
  put("data.scale", data.input_scale() == InputScale::raw ? "raw" : "unit");
  settings["model.input"] = model.input_shape().to_string();
  add_layer(describe(model), "model", settings);
  return settings;
}

}  // namespace perch
