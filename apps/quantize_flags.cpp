#include "quantize_flags.h"

#include <algorithm>
#include <array>
#include <utility>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>

#include "flags.h"

using namespace perch;

namespace {

const std::vector<std::pair<std::string, std::string>> codes = {
    {"all_values", "AV"}, {"last_value", "LV"}, {"moving_average", "MA"}};

std::vector<std::string> quantizer_names(QuantizeFlags::Use use) {
  std::vector<std::string> names;
  for (const auto& [name, code] : codes) names.push_back(name);
  if (use == QuantizeFlags::Use::train) names.push_back("none");
  return names;
}

}  // namespace

void QuantizeFlags::add_to(CLI::App& app, Use use) {
  use_ = use;
  const std::string group = use == Use::train
                                ? "Quantization"
                                : "Quantization (for files of tfmot, which do not store it)";
  auto add = [&](CLI::Option* option) { options_.push_back(option->group(group)); };
  add(app.add_option("--quantizer", quantizer_, "How weight ranges follow the weights")
          ->type_name(fmt::format("{}", fmt::join(quantizer_names(use), "|")))
          ->capture_default_str());
  add(app.add_flag("--per-channel")->description("One weight range per output channel (default)"));
  add(app.add_flag("--per-tensor", per_tensor_, "One weight range per kernel"));
  add(app.add_flag("--symmetric", symmetric_, "Weight ranges symmetric about 0"));
  add(app.add_flag("--asymmetric")->description("Weight ranges as they are (default)"));
  add(app.add_flag("--narrow-range", narrow_range_, "Weight levels 1 .. 2^bits - 1"));
  add(app.add_flag("--full-range")->description("Weight levels 0 .. 2^bits - 1 (default)"));
  add(app.add_option("--weight-bits", weight_bits_, "2 to 16")
          ->type_name("N")
          ->capture_default_str());
  add(app.add_option("--activation-bits", activation_bits_, "2 to 16")
          ->type_name("N")
          ->capture_default_str());
  if (use == Use::read) {
    add(app.add_flag("--observe-only-depthwise", observe_only_,
                     "Depthwise kernels stay float, as the original script's did"));
  }
}

std::vector<std::string> QuantizeFlags::given() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : options_) {
    if (option->count() > 0) names.push_back(option->get_name());
  }
  return names;
}

bool QuantizeFlags::has(const std::string& flag) const {
  const auto names = given();
  return std::find(names.begin(), names.end(), flag) != names.end();
}

void QuantizeFlags::check() const {
  check_choice("--quantizer", quantizer_, quantizer_names(use_));
  for (const auto& [one, other] :
       std::array<std::pair<const char*, const char*>, 3>{{{"--per-channel", "--per-tensor"},
                                                           {"--symmetric", "--asymmetric"},
                                                           {"--narrow-range", "--full-range"}}}) {
    PERCH_CHECK(!(has(one) && has(other)), "{} and {} exclude each other; leave one out", one,
                other);
  }
  for (const auto& [flag, bits] : std::array<std::pair<const char*, int>, 2>{
           {{"--weight-bits", weight_bits_}, {"--activation-bits", activation_bits_}}}) {
    PERCH_CHECK(bits >= 2 && bits <= 16, "{} is {}, must be 2 to 16", flag, bits);
  }
  if (!quantizes()) {
    for (const auto& flag : given()) {
      PERCH_CHECK(flag == "--quantizer",
                  "{} has no effect with --quantizer none; leave it out or choose a quantizer",
                  flag);
    }
  }
}

bool QuantizeFlags::quantizes() const {
  return quantizer_ != "none";
}

QuantizeConfig QuantizeFlags::config() const {
  return {.weights = {{"kernel",
                       {.bits = weight_bits_,
                        .granularity = per_tensor_ ? per_tensor : per_channel,
                        .symmetric = symmetric_,
                        .narrow_range = narrow_range_,
                        .range = policy_from_name(quantizer_)}}},
          .activation = QuantSpec{.bits = activation_bits_, .range = MovingAverage{}}};
}

io::LoadOptions QuantizeFlags::load_options() const {
  QuantizeConfig depthwise = config();
  QuantSpec& kernel = depthwise.weights.at("kernel");
  kernel.observe_only = observe_only_;
  // Per axis always means the last axis in tfmot: of a depthwise kernel, the multiplier.
  if (!per_tensor_) kernel.granularity = per_axes({-1});
  return {.quantize_configs = {{"ConvQuantizer", config()}, {"DepthwiseQuantizer", depthwise}}};
}

std::string QuantizeFlags::tag() const {
  if (!quantizes()) return "float";
  const auto code = std::find_if(codes.begin(), codes.end(),
                                 [&](const auto& entry) { return entry.first == quantizer_; });
  return fmt::format("{}wbits_{}abits_{}_{}_{}_{}", weight_bits_, activation_bits_,
                     symmetric_ ? "sym" : "asym", narrow_range_ ? "narr" : "full",
                     per_tensor_ ? "perten" : "perch", code->second);
}
