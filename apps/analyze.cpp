// perch analyze: what quantization does to a saved model, layer by layer, and what it would do.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/io/atomic_file.h>

#include "analyze_report.h"
#include "commands.h"
#include "config.h"
#include "model_file.h"
#include "model_run.h"

using namespace perch;

namespace {

struct AnalyzeFlags {
  ModelRunFlags run;
  std::int64_t limit = AnalyzeOptions{}.images;
  bool channels = false, sensitivity = false, search = false, quiet = false;
  std::optional<double> budget;
  std::string config_out, csv;

  bool measures() const { return sensitivity || search; }
};

void check(const AnalyzeFlags& flags) {
  PERCH_CHECK(flags.limit >= 1, "--limit is {}, must be at least 1", flags.limit);
  PERCH_CHECK(flags.run.batch_size >= 1, "--batch-size is {}, must be at least 1",
              flags.run.batch_size);
  PERCH_CHECK(flags.search || !flags.budget,
              "--budget has no effect without --search; leave it out");
  PERCH_CHECK(flags.search || flags.config_out.empty(),
              "--config-out has no effect without --search; leave it out");
  PERCH_CHECK(!flags.search || flags.budget,
              "--search needs --budget, the share of the weights' 8-bit size; "
              "for instance 0.5");
  PERCH_CHECK(!flags.budget || (*flags.budget > 0.0 && *flags.budget <= 1.0),
              "--budget is {}, must be above 0 and at most 1", flags.budget.value_or(0.0));
}

Sensitivity measure(const AnalyzeFlags& flags, Model& model, const Dataset& data) {
  SensitivityOptions options{.images = flags.limit,
                             .batch_size = flags.run.batch_size,
                             .loss = loss_for(model),
                             .configure = [&](Trainer& t) { flags.run.compute.apply(t); }};
  if (!flags.quiet) {
    options.on_layer = [](const LayerSensitivity& layer) {
      const auto& [bits, score] = *layer.scores.begin();
      fmt::print(stderr, "{}: loss {:.4f} with {} bits\n", layer.name, score.loss, bits);
    };
  }
  return sensitivity(model, data, options);
}

void write(const std::string& file, const std::string& text) {
  io::write_atomically(file, text);
}

void analyze(const AnalyzeFlags& flags, Output& output) {
  check(flags);
  const auto [model, data] = open_run(flags.run);
  const bool quantized = has_quantizers(*model);
  PERCH_CHECK(quantized || flags.measures(),
              "{} is a float model, which has no quantizers to analyze; give a "
              "quantized one, or "
              "--sensitivity to see what quantizing it would do",
              flags.run.model);
  PERCH_CHECK(quantized || !flags.channels,
              "{} is a float model, whose channels have no ranges yet; leave "
              "--channels out",
              flags.run.model);
  Analysis analysis;
  if (quantized) {
    analysis.layers =
        analyse(*model, data, {.images = flags.limit, .batch_size = flags.run.batch_size});
  }
  if (flags.measures()) analysis.sensitivity = measure(flags, *model, data);
  if (flags.search) {
    analysis.allocation = allocate_bits(analysis.sensitivity->layers, *flags.budget);
  }
  if (!flags.csv.empty()) write(flags.csv, csv_of(analysis));
  if (!flags.config_out.empty()) write(flags.config_out, toml_of(analysis));
  output.event(json_of(analysis, flags.channels));
  output.text(text_of(analysis, flags.channels));
}

}  // namespace

Command add_analyze(CLI::App& parent) {
  auto flags = std::make_shared<AnalyzeFlags>();
  CLI::App* app = parent.add_subcommand("analyze",
                                        "Where a quantized model loses precision, and which layers "
                                        "need how many bits");
  app->footer(
      "Examples:\n  perch analyze "
      "models/temp_net_8wbits_8abits_asym_full_perch_AV.h5 --data "
      "datasets/cifar10_mini\n  perch analyze models/ds_net_float.h5 "
      "--data datasets/cifar10_mini "
      "--search --budget 0.5 --config-out bits.toml");
  flags->run.add_to(*app);
  app->add_option("--limit", flags->limit, "Only the first N images")
      ->type_name("N")
      ->capture_default_str();
  app->add_flag("--channels", flags->channels,
                "The ranges of each layer's weights; as text the five worst");
  app->add_flag("--sensitivity", flags->sensitivity,
                "Loss and accuracy with the weights of one layer alone in 8, "
                "6, 4, 3 and 2 bits");
  app->add_flag("--search", flags->search,
                "Choose each layer's bits by these losses, within --budget");
  app->add_option("--budget", flags->budget, "Size of the weights as a share of that in 8 bits")
      ->type_name("SHARE");
  app->add_option("--config-out", flags->config_out,
                  "Write the chosen bits as rules for --quant-config")
      ->type_name("FILE.toml");
  app->add_option("--csv", flags->csv, "Write a row for each layer")->type_name("FILE.csv");
  app->add_flag("--quiet", flags->quiet, "No line for each layer that is measured");
  const auto config = std::make_shared<Config>(*app);
  config->add_to_command_line();
  const auto check_all = [flags] {
    check(*flags);
    flags->run.quantize.check();
  };
  return {app, [flags](Output& output) { analyze(*flags, output); }, check_all, config, true};
}
