#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/core/toml_file.h>
#include <perch/io/quant_config.h>

namespace perch::io {
namespace {

/// Reads tables of one file; its errors name the place.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  QuantRules rules(const toml::table& root) const;

 private:
  [[noreturn]] void refuse(const toml::node& at, const std::string& why) const {
    fail(ErrorCode::bad_data, "{}, line {}: {}", file_, at.source().begin.line, why);
  }
  /// Runs what refuses a value without knowing where it stands.
  template <class Step>
  auto placed(const toml::node& at, const Step& step) const {
    try {
      return step();
    } catch (const Error& error) {
      refuse(at, error.what());
    }
  }
  void check_keys(const toml::table& table, const std::vector<std::string>& known) const {
    for (const auto& [key, value] : table) {
      const std::string name(key.str());
      if (std::ranges::find(known, name) != known.end()) continue;
      refuse(value, fmt::format("unknown key \"{}\"; there are {}", name, choices(name, known)));
    }
  }
  template <class T>
  std::optional<T> value(const toml::table& table, const char* key, const char* expected) const {
    const toml::node* const node = table.get(key);
    if (node == nullptr) return std::nullopt;
    const std::optional<T> found = node->value_exact<T>();
    if (!found) refuse(*node, fmt::format("\"{}\" must be {}", key, expected));
    return found;
  }

  std::vector<std::string> texts(const toml::table& table, const char* key) const;
  ConfigValue setting(const toml::node& node, const std::string& key) const;
  QuantSpec spec(const toml::node& node, const QuantSpec& defaults) const;
  std::optional<QuantSpec> activation_spec(const toml::table& table, const char* key) const;
  std::optional<QuantizeConfig> config(const toml::table& table) const;
  LayerRule rule(const toml::node& node, std::size_t number) const;
  std::optional<NBitOptions> scheme(const toml::table& root) const;
  std::optional<FoldStatistics> fold(const toml::table& table) const;
  bool integer_bias(const toml::table& table) const;

  std::string file_;
};

std::vector<std::string> Reader::texts(const toml::table& table, const char* key) const {
  const toml::node* const node = table.get(key);
  if (node == nullptr) return {};
  const auto text = [&](const toml::node& item) {
    const auto found = item.value_exact<std::string>();
    if (!found) refuse(item, fmt::format("\"{}\" must be a text or a list of texts", key));
    return *found;
  };
  if (!node->is_array()) return {text(*node)};
  std::vector<std::string> result;
  for (const toml::node& item : *node->as_array()) result.push_back(text(item));
  if (result.empty()) refuse(*node, fmt::format("\"{}\" is empty; leave it out", key));
  return result;
}

ConfigValue Reader::setting(const toml::node& node, const std::string& key) const {
  if (const auto flag = node.value_exact<bool>()) return *flag;
  if (const auto whole = node.value_exact<std::int64_t>()) return *whole;
  if (const auto number = node.value_exact<double>()) return static_cast<float>(*number);
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const toml::array* const list = node.as_array()) {
    std::vector<std::int64_t> values;
    for (const toml::node& item : *list) {
      const auto whole = item.value_exact<std::int64_t>();
      if (!whole) refuse(item, fmt::format("\"{}\" must be a list of whole numbers", key));
      values.push_back(*whole);
    }
    return values;
  }
  refuse(node, fmt::format("\"{}\" must be a number, a text, true, false or a list", key));
}

/// The settings of QuantSpec by their names in files, "quantizer" for the policy's.
QuantSpec Reader::spec(const toml::node& node, const QuantSpec& defaults) const {
  const toml::table* const table = node.as_table();
  if (table == nullptr) {
    refuse(node, "a specification is a table, such as { quantizer = \"lsq\", bits = 4 }");
  }
  QuantSpec base = defaults;
  if (const auto name = value<std::string>(*table, "quantizer", "a quantizer's name")) {
    const bool activation = std::holds_alternative<MovingAverage>(defaults.range);
    base.range = placed(*table->get("quantizer"), [&] {
      const RangePolicy policy = policy_from_name(*name);
      return activation ? for_activations(policy) : policy;
    });
    base.bits = natural_bits(base.range);
  }
  if (const auto kind = value<std::string>(*table, "granularity", "a text")) {
    // So that the keys that go with it are known.
    if (*kind == "axes") base.granularity = per_axes({0});
    if (*kind == "group") base.granularity = per_group(0, 1);
  }
  LayerSpec settings = config_of(base);
  std::vector<std::string> known{"quantizer"};
  for (const auto& [key, value] : settings.config) {
    if (key != "range") known.push_back(key);
  }
  if (auto* const custom = std::get_if<Custom>(&base.range)) {
    // Its settings are its own: any other number.
    for (const auto& [key, number] : *table) {
      const std::string name(key.str());
      if (std::ranges::find(known, name) != known.end()) continue;
      const auto setting = number.value<double>();
      if (!setting) refuse(number, fmt::format("\"{}\" must be a number", name));
      custom->settings[name] = static_cast<float>(*setting);
      known.push_back(name);
    }
    settings = config_of(base);
  }
  check_keys(*table, known);
  for (auto& [key, held] : settings.config) {
    if (const toml::node* const given = table->get(key); given != nullptr && key != "range") {
      held = setting(*given, key);
    }
  }
  return placed(node, [&] { return spec_from_config(settings); });
}

std::optional<QuantSpec> Reader::activation_spec(const toml::table& table, const char* key) const {
  const toml::node* const node = table.get(key);
  if (node == nullptr) return std::nullopt;
  return spec(*node, {.range = MovingAverage{}});
}

std::optional<QuantizeConfig> Reader::config(const toml::table& table) const {
  QuantizeConfig result;
  if (const toml::node* const weights = table.get("weights")) {
    result.weights["kernel"] = spec(*weights, {.granularity = per_channel, .range = AllValues{}});
  }
  result.activation = activation_spec(table, "activations");
  result.output = activation_spec(table, "outputs");
  result.integer_bias = integer_bias(table);
  if (result.integer_bias && result.weights.empty()) {
    refuse(*table.get("bias"),
           "\"bias\" takes its scale from a quantized kernel; give weights too");
  }
  result.fold = fold(table);
  if (result.fold && result.weights.empty()) {
    refuse(*table.get("fold"), "\"fold\" is about quantized kernels; give weights too");
  }
  const bool quantizes = !result.weights.empty() || result.activation || result.output;
  const bool stays_float = value<bool>(table, "float", "true or false").value_or(false);
  if (quantizes == stays_float) {
    refuse(table, quantizes ? "a layer that stays float has no weights, activations or outputs to "
                              "quantize; leave them or \"float\" out"
                            : "the rule says nothing; give weights, activations, outputs, or float "
                              "= true");
  }
  return stays_float ? std::nullopt : std::optional(result);
}

LayerRule Reader::rule(const toml::node& node, std::size_t number) const {
  const toml::table* const table = node.as_table();
  if (table == nullptr) refuse(node, "a rule is a table; write [[rule]]");
  check_keys(*table, {"layers", "kinds", "place", "float", "weights", "activations", "outputs",
                      "fold", "bias"});
  LayerRule result;
  result.origin = fmt::format("rule {}, line {} of {}", number, node.source().begin.line, file_);
  result.filter.names = texts(*table, "layers");
  result.filter.kinds = texts(*table, "kinds");
  if (const auto place = value<std::string>(*table, "place", "\"first\" or \"last\"")) {
    if (*place != "first" && *place != "last") {
      refuse(*table->get("place"), "\"place\" must be \"first\" or \"last\"");
    }
    result.filter.place = *place == "first" ? LayerFilter::Place::first : LayerFilter::Place::last;
  }
  if (result.filter.names.empty() && result.filter.kinds.empty() &&
      result.filter.place == LayerFilter::Place::any) {
    refuse(*table, "a rule needs layers, kinds or place; layers = \"*\" is every layer");
  }
  result.config = config(*table);
  return result;
}

std::optional<NBitOptions> Reader::scheme(const toml::table& root) const {
  const std::string name = value<std::string>(root, "scheme", "a text").value_or("none");
  std::vector<std::string> names = scheme_names();
  names.emplace_back("none");
  if (std::ranges::find(names, name) == names.end()) {
    refuse(*root.get("scheme"),
           fmt::format("unknown scheme \"{}\"; there are {}", name, choices(name, names)));
  }
  NBitOptions options;
  for (const auto& [key, bits] : {std::pair("weight_bits", &options.weight_bits),
                                  std::pair("activation_bits", &options.activation_bits)}) {
    const auto given = value<std::int64_t>(root, key, "a whole number");
    if (!given) continue;
    if (name != "n_bit") refuse(*root.get(key), fmt::format("\"{}\" belongs to n_bit", key));
    if (*given < 2 || *given > 16) {
      refuse(*root.get(key), fmt::format("\"{}\" is {}, must be 2 to 16", key, *given));
    }
    *bits = static_cast<int>(*given);
  }
  return name == "none" ? std::nullopt : std::optional(options);
}

std::optional<FoldStatistics> Reader::fold(const toml::table& table) const {
  const auto name = value<std::string>(table, "fold", "\"running\" or \"batch\"");
  if (!name) return std::nullopt;
  return placed(*table.get("fold"), [&] { return fold_statistics(*name); });
}

bool Reader::integer_bias(const toml::table& table) const {
  const auto name = value<std::string>(table, "bias", "\"int32\"");
  if (name && *name != "int32") {
    refuse(
        *table.get("bias"),
        fmt::format("a bias is \"int32\", at input scale times weight scale, not \"{}\"", *name));
  }
  return name.has_value();
}

QuantRules Reader::rules(const toml::table& root) const {
  check_keys(root, {"scheme", "weight_bits", "activation_bits", "input", "output_quantizers",
                    "fold", "bias", "rule"});
  QuantRules result;
  result.scheme = scheme(root);
  result.fold = fold(root);
  result.integer_biases = integer_bias(root);
  if (const toml::node* const input = root.get("input")) {
    const auto flag = input->value_exact<bool>();
    if (!flag) {
      result.input = spec(*input, {.range = MovingAverage{}});
    } else if (!*flag) {
      result.input = std::nullopt;
    }
  }
  result.output_quantizers = value<bool>(root, "output_quantizers", "true or false").value_or(true);
  if (result.scheme && root.contains("output_quantizers")) {
    refuse(*root.get("output_quantizers"), "\"output_quantizers\" has no effect with a scheme");
  }
  const toml::node* const rules = root.get("rule");
  if (rules == nullptr) return result;
  if (!rules->is_array()) refuse(*rules, "rules are tables of their own; write [[rule]]");
  for (const toml::node& node : *rules->as_array()) {
    result.rules.push_back(rule(node, result.rules.size() + 1));
  }
  return result;
}

}  // namespace

QuantRules read_quant_config(const std::filesystem::path& file) {
  return Reader(file.string()).rules(read_toml(file));
}

}  // namespace perch::io
