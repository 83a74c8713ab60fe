#include "quantize_flags.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <utility>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>
#include <perch/io/quant_config.h>
#include <perch/quant/quantizer.h>

#include "flags.h"
#include "option_settings.h"

using namespace perch;

namespace {

// In file names. The first three are tfmot's.
const std::vector<std::pair<std::string, std::string>> codes = {
    {"all_values", "AV"},   {"last_value", "LV"}, {"moving_average", "MA"},
    {"fixed", "FX"},        {"percentile", "PC"}, {"histogram_mse", "HM"},
    {"entropy", "KL"},      {"mse", "MSE"},       {"lsq", "LSQ"},
    {"lsq_plus", "LSQP"},   {"pact", "PACT"},     {"tqt", "TQT"},
    {"dorefa", "DRF"},      {"binary", "BIN"},    {"ternary", "TER"},
    {"power_of_two", "PO2"}};
constexpr std::size_t of_tfmot = 3;

std::string code_of(const std::string& quantizer) {
  for (const auto& [name, code] : codes) {
    if (name == quantizer) return code;
  }
  return quantizer;
}

std::vector<std::string> quantizer_names(QuantizeFlags::Use use) {
  std::vector<std::string> names;
  for (const auto& [name, code] : codes) {
    if (use == QuantizeFlags::Use::train || names.size() < of_tfmot) names.push_back(name);
  }
  if (use == QuantizeFlags::Use::read) return names;
  for (const std::string& name : registered_quantizers()) names.push_back(name);
  names.emplace_back("none");
  return names;
}

void set_range(RangePolicy& policy, const std::vector<float>& range) {
  if (range.size() == 2) policy = Fixed{range[0], range[1]};
}

void check_scheme_bits(const char* flag, int bits) {
  PERCH_CHECK(bits >= 2 && bits <= 16, "{} is {}, must be 2 to 16 with --scheme n_bit", flag, bits);
}

// Of a file's name: the width that its weights were trained with first.
std::string from(int first_bits, int last_bits) {
  return first_bits == last_bits ? "" : fmt::format("_from{}", first_bits);
}

// Checks the specification that a flag stands for.
void check_spec(const std::string& flag, const QuantSpec& spec) {
  with_flag(flag, [&] { validate(spec); });
}

}  // namespace

void QuantizeFlags::add_to(CLI::App& app, Use use) {
  use_ = use;
  const std::string group = use == Use::train
                                ? quantization_group
                                : "Quantization (for files of tfmot, which do not store it)";
  auto add = [&](CLI::Option* option) { options_.push_back(option->group(group)); };
  add(app.add_option("--quantizer", quantizer_, "How weights are quantized")
          ->type_name(fmt::format("{}", fmt::join(quantizer_names(use), "|")))
          ->capture_default_str());
  add(app.add_flag("--per-channel")->description("One weight range per output channel (default)"));
  add(app.add_flag("--per-tensor", per_tensor_, "One weight range per kernel"));
  add(app.add_flag("--symmetric", symmetric_, "Weight ranges symmetric about 0"));
  add(app.add_flag("--asymmetric")->description("Weight ranges as they are (default)"));
  add(app.add_flag("--narrow-range", narrow_range_, "Weight levels 1 .. 2^bits - 1"));
  add(app.add_flag("--full-range")->description("Weight levels 0 .. 2^bits - 1 (default)"));
  add(app.add_option("--weight-bits", weight_bits_,
                     "1 to 16; default: 8, or what the quantizer needs")
          ->type_name("N"));
  add(app.add_option("--activation-bits", activation_bits_, "The same for activations")
          ->type_name("N"));
  if (use == Use::read) {
    add(app.add_flag("--observe-only-depthwise", observe_only_,
                     "Depthwise kernels stay float, as the original script's did"));
  } else {
    add_training_options(app, group);
  }
}

void QuantizeFlags::add_training_options(CLI::App& app, const std::string& group) {
  auto add = [&](CLI::Option* option) { options_.push_back(option->group(group)); };
  add(app.add_option("--quant-config", quant_config_,
                     "Rules by layer instead of the flags above and below (docs/quantizers.md)")
          ->type_name("FILE.toml"));
  add(app.add_option("--scheme", scheme_,
                     "A whole network as hardware wants it, instead of --quantizer; n_bit takes "
                     "--weight-bits and --activation-bits")
          ->type_name(fmt::format("{}", fmt::join(scheme_names(), "|"))));
  add(app.add_option("--activation-quantizer", activation_quantizer_,
                     "How activations are quantized; the names are --quantizer's")
          ->type_name("NAME")
          ->capture_default_str());
  add(app.add_option("--group-size", group_size_,
                     "One weight range per N input channels of each output channel")
          ->type_name("N"));
  add(app.add_option("--weight-range", weight_range_, "For --quantizer fixed; default: -1 1")
          ->type_name("MIN MAX")
          ->expected(2));
  add(app.add_option("--activation-range", activation_range_,
                     "For --activation-quantizer fixed; default: -1 1")
          ->type_name("MIN MAX")
          ->expected(2));
  add(app.add_option("--rounding", rounding_,
                     "Of weights and activations: as TensorFlow, as PyTorch, at random in training")
          ->type_name("half_up|half_even|stochastic")
          ->capture_default_str());
  add(app.add_flag("--power-of-two-scale", power_of_two_scale_,
                   "Weight and activation scales are powers of two"));
  add(app.add_option("--fold-batch-norm", fold_,
                     "Folds batch normalisation into quantized kernels, scaled by these statistics")
          ->type_name("running|batch"));
  add(app.add_flag("--integer-bias", integer_bias_,
                   "Biases are int32 at input scale x weight scale"));
  schedule_.add_to(app, schedule_group);
}

std::vector<std::string> QuantizeFlags::given() const {
  std::vector<std::string> names = names_of_given(options_);
  std::ranges::copy(schedule_.given(), std::back_inserter(names));
  return names;
}

std::vector<std::string> QuantizeFlags::given_for_training() const {
  return schedule_.given();
}

bool QuantizeFlags::has(const std::string& flag) const {
  const auto names = given();
  return std::find(names.begin(), names.end(), flag) != names.end();
}

void QuantizeFlags::check() const {
  check_choice("--quantizer", quantizer_, quantizer_names(use_));
  if (!quant_config_.empty()) {
    const std::vector<std::string> of_training = given_for_training();
    for (const auto& flag : given()) {
      const bool trains = std::ranges::find(of_training, flag) != of_training.end();
      PERCH_CHECK(flag == "--quant-config" || trains,
                  "{} and --quant-config exclude each other; put it into the file", flag);
    }
    rules();
  } else if (has("--scheme")) {
    check_scheme();
  } else {
    check_combinations();
  }
  if (use_ != Use::train || !quantizes()) return;
  schedule_.check(rules());
  if (!schedule_.bits().empty()) check_bits_schedule();
}

void QuantizeFlags::check_bits_schedule() const {
  PERCH_CHECK(!has("--weight-bits"),
              "--weight-bits and --bits-schedule exclude each other; the schedule's first width is "
              "the one that training begins with");
  if (!quant_config_.empty()) return;
  if (has("--scheme")) {
    PERCH_CHECK(scheme_ == "n_bit",
                "--bits-schedule and --scheme {} exclude each other; use --scheme n_bit, whose "
                "weights may have other widths",
                scheme_);
    for (const int bits : schedule_.bits()) check_scheme_bits("--bits-schedule", bits);
    return;
  }
  for (const int bits : schedule_.bits()) {
    QuantSpec spec = weights();
    spec.bits = bits;
    check_spec("--bits-schedule", spec);
  }
}

void QuantizeFlags::check_scheme() const {
  check_choice("--scheme", scheme_, scheme_names());
  std::vector<std::string> fitting = given_for_training();
  fitting.insert(fitting.end(), {"--scheme", "--fold-batch-norm", "--integer-bias"});
  if (scheme_ == "n_bit") fitting.insert(fitting.end(), {"--weight-bits", "--activation-bits"});
  for (const auto& flag : given()) {
    PERCH_CHECK(
        std::ranges::find(fitting, flag) != fitting.end(),
        "{} has no effect with --scheme {}, which places quantizers of its own; leave one of "
        "them out",
        flag, scheme_);
  }
  for (const auto& [flag, bits] : {std::pair("--weight-bits", weight_bits_),
                                   std::pair("--activation-bits", activation_bits_)}) {
    if (bits) check_scheme_bits(flag, *bits);
  }
}

void QuantizeFlags::check_combinations() const {
  for (const auto& [one, other] :
       std::array<std::pair<const char*, const char*>, 4>{{{"--per-channel", "--per-tensor"},
                                                           {"--per-tensor", "--group-size"},
                                                           {"--symmetric", "--asymmetric"},
                                                           {"--narrow-range", "--full-range"}}}) {
    PERCH_CHECK(!(has(one) && has(other)), "{} and {} exclude each other; leave one out", one,
                other);
  }
  if (!quantizes()) {
    for (const auto& flag : given()) {
      PERCH_CHECK(flag == "--quantizer",
                  "{} has no effect with --quantizer none; leave it out or choose a quantizer",
                  flag);
    }
    return;
  }
  for (const auto& [flag, bits] : std::array<std::pair<const char*, std::optional<int>>, 2>{
           {{"--weight-bits", weight_bits_}, {"--activation-bits", activation_bits_}}}) {
    PERCH_CHECK(!bits || (*bits >= 1 && *bits <= 16), "{} is {}, must be 1 to 16", flag,
                bits.value_or(0));
  }
  if (use_ == Use::read) return;
  check_choice("--rounding", rounding_, {"half_up", "half_even", "stochastic"});
  auto names = quantizer_names(use_);
  names.pop_back();
  check_choice("--activation-quantizer", activation_quantizer_, names);
  PERCH_CHECK(!has("--weight-range") || quantizer_ == "fixed",
              "--weight-range has no effect with --quantizer {}; leave it out or use fixed",
              quantizer_);
  PERCH_CHECK(!has("--activation-range") || activation_quantizer_ == "fixed",
              "--activation-range has no effect with --activation-quantizer {}; leave it out or "
              "use fixed",
              activation_quantizer_);
  check_spec("--quantizer", weights());
  check_spec("--activation-quantizer", activations());
}

bool QuantizeFlags::quantizes() const {
  return quantizer_ != "none";
}

QuantSpec QuantizeFlags::weights() const {
  const RangePolicy policy = policy_from_name(quantizer_);
  QuantSpec spec{.bits = schedule_.bits().empty() ? weight_bits_.value_or(natural_bits(policy))
                                                  : schedule_.bits().front(),
                 .granularity = per_tensor_ ? per_tensor : per_channel,
                 .symmetric = symmetric_,
                 .narrow_range = narrow_range_,
                 .range = policy};
  // Kernels' input channels lie before their output channels.
  if (has("--group-size")) spec.granularity = per_group(-2, group_size_);
  set_range(spec.range, weight_range_);
  spec.power_of_two_scale = power_of_two_scale_;
  spec.rounding = rounding_ == "half_even"    ? Rounding::half_even
                  : rounding_ == "stochastic" ? Rounding::stochastic
                                              : Rounding::half_up;
  return spec;
}

QuantSpec QuantizeFlags::activations() const {
  const RangePolicy policy = for_activations(policy_from_name(activation_quantizer_));
  QuantSpec spec{.bits = activation_bits_.value_or(natural_bits(policy)), .range = policy};
  set_range(spec.range, activation_range_);
  spec.power_of_two_scale = power_of_two_scale_;
  spec.rounding = weights().rounding;
  return spec;
}

QuantizeConfig QuantizeFlags::config() const {
  return {.weights = {{"kernel", weights()}}, .activation = activations()};
}

QuantRules QuantizeFlags::rules() const {
  if (!quant_config_.empty()) {
    if (!file_rules_) file_rules_ = io::read_quant_config(quant_config_);
    return *file_rules_;
  }
  QuantRules rules;
  if (has("--scheme")) {
    rules.scheme = NBitOptions{.weight_bits = weight_bits_.value_or(8),
                               .activation_bits = activation_bits_.value_or(8)};
    if (!schedule_.bits().empty()) rules.scheme->weight_bits = schedule_.bits().front();
  } else {
    rules.rules = {{.filter = {.kinds = {"Conv2D", "DepthwiseConv2D"}},
                    .config = config(),
                    .origin = "--quantizer"}};
  }
  if (has("--fold-batch-norm")) rules.fold = fold_statistics(fold_);
  rules.integer_biases = integer_bias_;
  return rules;
}

FitOptions QuantizeFlags::schedule(const Optimizer& optimizer, FitOptions fit) const {
  return quantizes() ? schedule_.apply(rules(), optimizer, std::move(fit)) : fit;
}

std::vector<io::RunSetting> QuantizeFlags::resolved() const {
  if (!quantizes() || !quant_config_.empty() || has("--scheme")) return {};
  std::vector<io::RunSetting> settings = {{"activation_bits", std::int64_t{activations().bits}}};
  // A schedule of bits excludes them.
  if (schedule_.bits().empty()) settings.push_back({"weight_bits", std::int64_t{weights().bits}});
  return settings;
}

io::LoadOptions QuantizeFlags::load_options() const {
  QuantizeConfig depthwise = config();
  QuantSpec& kernel = depthwise.weights.at("kernel");
  kernel.observe_only = observe_only_;
  // Per axis always means the last axis in tfmot: of a depthwise kernel, the multiplier.
  if (!per_tensor_) kernel.granularity = per_axes({-1});
  return {.quantize_configs = {{"ConvQuantizer", config()}, {"DepthwiseQuantizer", depthwise}}};
}

std::string QuantizeFlags::suffix() const {
  return (has("--fold-batch-norm") ? "_fold" + fold_ : "") + (integer_bias_ ? "_int32bias" : "");
}

std::string QuantizeFlags::tag() const {
  if (!quantizes()) return "float";
  if (!quant_config_.empty()) return std::filesystem::path(quant_config_).stem().string();
  if (has("--scheme")) {
    const NBitOptions bits = *rules().scheme;
    const int last_bits = schedule_.bits().empty() ? bits.weight_bits : schedule_.bits().back();
    const std::string widths =
        scheme_ == "n_bit" ? fmt::format("_{}wbits_{}abits", last_bits, bits.activation_bits) : "";
    return scheme_ + widths + suffix() + from(bits.weight_bits, last_bits);
  }
  const QuantSpec weight = weights(), activation = activations();
  const int last_bits = schedule_.bits().empty() ? weight.bits : schedule_.bits().back();
  std::string tag = fmt::format("{}wbits_{}abits_{}_{}_{}_{}", last_bits, activation.bits,
                                symmetric_ ? "sym" : "asym", narrow_range_ ? "narr" : "full",
                                per_tensor_           ? "perten"
                                : has("--group-size") ? fmt::format("group{}", group_size_)
                                                      : "perch",
                                code_of(quantizer_));
  if (activation_quantizer_ != "moving_average") tag += "_" + code_of(activation_quantizer_);
  if (rounding_ != "half_up") tag += "_" + rounding_;
  if (power_of_two_scale_) tag += "_po2scale";
  return tag + suffix() + from(weight.bits, last_bits);
}
