// Every quantizer from the command line: trained, saved, and the same again from the file.
#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <tests/apps/command_line.h>

using namespace perch::test;

namespace {

const std::vector<std::string> names{
    "all_values", "last_value",    "moving_average", "fixed",
    "percentile", "histogram_mse", "entropy",        "mse",
    "lsq",        "lsq_plus",      "pact",           "tqt",
    "dorefa",     "binary",        "ternary",        "power_of_two"};

/// The rule that `inspect --quant-config` names for a layer.
std::string rule_of(const Json& report, const std::string& layer) {
  for (const auto& entry : report.at("layers")) {
    if (entry.at("name") == layer) return entry.at("rule");
  }
  FAIL("no layer " << layer);
  return {};
}

}  // namespace

TEST_CASE("each quantizer, of weights and of activations, comes back from its file", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20), save = folder / "models";
  for (const std::string& name : names) {
    for (const bool activations : {false, true}) {
      CAPTURE(name, activations);
      Arguments arguments{"train",    "ds_net", "--data",       data,
                          "--save",   save,     "--batch-size", "20",
                          "--epochs", "2",      "--name",       fmt::format("{}", activations)};
      arguments.insert(arguments.end(),
                       {activations ? "--activation-quantizer" : "--quantizer", name});
      const Json trained = result(arguments);
      const Json evaluated =
          result({"evaluate", trained.at("model"), "--data", data, "--split", "test"});
      CHECK(evaluated.at("loss") == trained.at("test_loss"));
    }
  }
}

TEST_CASE("groups, roundings, schedules and scales of powers of two are honoured in training",
          "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20), save = folder / "models";
  std::vector<double> losses;
  for (const Arguments& flags :
       {Arguments{}, Arguments{"--group-size", "1"}, Arguments{"--rounding", "half_even"},
        Arguments{"--rounding", "stochastic"}, Arguments{"--power-of-two-scale"},
        Arguments{"--ranges-until", "1"}, Arguments{"--activations-from", "3"},
        Arguments{"--full-from", "4"}, Arguments{"--calibrate", "40"},
        Arguments{"--batch-norm-until", "1epoch"}, Arguments{"--dampen", "50"},
        Arguments{"--integer-bias"}, Arguments{"--fold-batch-norm", "running"},
        Arguments{"--fold-batch-norm", "batch"}}) {
    Arguments arguments{"train",         "ds_net", "--data",       data, "--save",   save,
                        "--weight-bits", "3",      "--batch-size", "20", "--epochs", "2"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Json trained = result(arguments);
    const Json evaluated =
        result({"evaluate", trained.at("model"), "--data", data, "--split", "test"});
    CHECK(evaluated.at("loss") == trained.at("test_loss"));
    const double loss = trained.at("test_loss");
    for (const double other : losses) CHECK(loss != other);
    losses.push_back(loss);
  }
}

TEST_CASE("widths one after another name the file, and oscillation is reported") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20);
  const auto with = [&](const Arguments& flags) {
    Arguments arguments{"train",           "ds_net",       "--data", data,       "--save",
                        folder / "models", "--batch-size", "20",     "--epochs", "2"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return arguments;
  };
  const Json trained = result(with({"--bits-schedule", "8,3"}));
  CHECK(trained.at("name") == "ds_net_3wbits_8abits_asym_full_perch_AV_from8");
  const Json last = result({"inspect", trained.at("model")});
  for (const Json& layer : last.at("layers")) {
    for (const Json& quantizer : layer.at("quantizers")) {
      const bool kernel = quantizer.at("variable").get<std::string>().ends_with("kernel");
      CHECK(quantizer.at("bits") == (kernel ? 3 : 8));
    }
  }
  const auto lines =
      run_perch(with({"--freeze-oscillating", "0.02", "--weight-bits", "2", "--json"}));
  CHECK(lines.out.find("\"oscillating\":") != std::string::npos);

  check_error(run_perch(with({"--bits-schedule", "8,4", "--weight-bits", "8"})), 2,
              {"--bits-schedule", "exclude"});
  check_error(run_perch(with({"--quantizer", "binary", "--bits-schedule", "2,1"})), 2, {"binary"});
  check_error(run_perch(with({"--ranges-until", "soon"})), 2, {"--ranges-until", "2epochs"});
  check_error(run_perch(with({"--dampen", "-1"})), 2, {"--dampen", "negative"});
}

TEST_CASE("a scheme and its bits name the file, in training and after it") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20);
  const auto name = [&](Arguments arguments, const Arguments& flags) {
    for (const std::string& word :
         {std::string("--data"), data, std::string("--save"), std::string(folder / "models")}) {
      arguments.push_back(word);
    }
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return result(arguments).at("name").get<std::string>();
  };
  const auto trained = [&](const Arguments& flags) {
    return name({"train", "ds_net", "--batch-size", "20", "--epochs", "2"}, flags);
  };
  CHECK(trained({"--scheme", "default_8bit"}) == "ds_net_default_8bit");
  CHECK(trained({"--scheme", "n_bit", "--weight-bits", "4"}) == "ds_net_n_bit_4wbits_8abits");
  CHECK(trained({"--scheme", "n_bit", "--bits-schedule", "8,4"}) ==
        "ds_net_n_bit_4wbits_8abits_from8");
  REQUIRE(trained({"--quantizer", "none"}) == "ds_net_float");
  CHECK(name({"quantize", folder / "models/ds_net_float.h5"},
             {"--scheme", "n_bit", "--weight-bits", "4", "--activation-bits", "6"}) ==
        "ds_net_n_bit_4wbits_6abits");
}

TEST_CASE("a trained range of the input alone gets the learning rate of its width") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20), rules = folder / "input.toml";
  std::ofstream(rules) << "scheme = \"default_8bit\"\n"
                          "input = { quantizer = \"lsq\", bits = 7 }\n";
  const auto loss = [&](const Arguments& flags) {
    Arguments arguments{
        "train",        "ds_net", "--data",         data,  "--save",          folder / "models",
        "--batch-size", "20",     "--quant-config", rules, "--learning-rate", "0.01"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return result(arguments).at("test_loss").get<double>();
  };
  const double usual = loss({});
  CHECK(usual == loss({"--range-rate-factor", "0.125"}));  // 2^((1 - 7) / 2)
  CHECK(usual != loss({"--range-rate-factor", "1"}));
}

TEST_CASE("a rules file quantizes, names the model and is explained by inspect") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20), rules = folder / "mine.toml";
  std::ofstream(rules)
      << "scheme = \"default_8bit\"\nfold = \"running\"\n[[rule]]\nplace = \"first\"\n"
         "float = true\n";
  const Json trained = result({"train", "ds_net", "--data", data, "--save", folder / "models",
                               "--batch-size", "20", "--quant-config", rules});
  CHECK(trained.at("name") == "ds_net_mine");
  const Json decided = result({"inspect", "ds_net", "--quant-config", rules});
  CHECK(rule_of(decided, "conv2d").starts_with("rule 1, line 3"));
  CHECK(rule_of(decided, "depthwise_conv2d") == "scheme");
  CHECK(rule_of(decided, "flatten").empty());
  CHECK(rule_of(decided, "batch_normalization_1") == "scheme");  // folded

  check_error(
      run_perch({"train", "ds_net", "--data", data, "--quant-config", rules, "--per-tensor"}), 2,
      {"--per-tensor", "--quant-config", "exclude"});
  check_error(run_perch({"train", "ds_net", "--data", data, "--quant-config", rules,
                         "--range-weight-decay", "0.1"}),
              2, {"--range-weight-decay", "without a trained range"});
  // A scheme by its flag is the same as in a file.
  const auto loss = [&](const Arguments& flags) {
    Arguments arguments{"train", "ds_net", "--data", data, "--save", folder / "models"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return result(arguments).at("test_loss").get<double>();
  };
  std::ofstream(rules) << "scheme = \"n_bit\"\nweight_bits = 3\nfold = \"batch\"\n";
  CHECK(loss({"--quant-config", rules}) ==
        loss({"--scheme", "n_bit", "--weight-bits", "3", "--fold-batch-norm", "batch"}));
  check_error(run_perch({"train", "ds_net", "--data", data, "--quant-config", folder / "no.toml"}),
              66, {"no.toml"});
  std::ofstream(rules) << "[[rule]]\nlayers = \"conv\"\nfloat = true\n";
  check_error(run_perch({"train", "ds_net", "--data", data, "--quant-config", rules}), 2,
              {"rule 1, line 1", "nearest: conv2d"});
  CHECK_FALSE(std::filesystem::exists(folder / "models/ds_net_no.h5"));
}
