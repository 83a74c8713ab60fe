// LayerSpec: a layer's configuration as plain data, without weights. Cloning and files use it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <perch/layers/layer.h>
#include <perch/layers/model.h>

namespace perch {

using ConfigValue = std::variant<bool, std::int64_t, float, std::string, std::vector<std::int64_t>>;

struct ChildSpec;

struct LayerSpec {
  std::string kind;
  std::string name;
  bool trainable = true;
  std::vector<std::pair<std::string, ConfigValue>> config;
  /// Children and parts by role; a model's role is the list of the inputs' indices, "0,3".
  std::vector<ChildSpec> children;

  /// Null when absent.
  const ConfigValue* find(std::string_view key) const;
};

struct ChildSpec {
  std::string role;
  LayerSpec layer;
};

/// Reads the specification off a layer.
LayerSpec describe(Layer& layer);

/// A layer without weights. Throws Error(bad_data) for an unknown kind (with the nearest), an
/// unknown or missing configuration key or one of another type.
std::unique_ptr<Layer> make_layer(const LayerSpec& spec);

/// Sets what `visit` reports as configuration. Throws Error(bad_data) as make_layer does.
void apply_config(const LayerSpec& spec, Visitable& target);
/// Reads what `visit` reports as configuration.
void read_config(Visitable& source, LayerSpec& spec);

/// Makes a kind known to make_layer, or replaces it. Unlocked: register before threads make layers.
using LayerFactory = std::function<std::unique_ptr<Layer>(const LayerSpec&)>;
void register_layer(const std::string& kind, LayerFactory factory);
std::vector<std::string> layer_kinds();

/// An independent copy with the same weights, ranges and statistics.
std::unique_ptr<Model> clone_model(Model& model);
template <std::derived_from<Model> M>
M clone(M& model) {
  return std::move(dynamic_cast<M&>(*clone_model(model)));
}

}  // namespace perch
