// perch analyze: documented keys, files and refusals.
#include <algorithm>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;

namespace {

/// ds_net's file, with `quantization` as train's flags.
std::string trained(const TestFolder& folder, const std::string& data,
                    const Arguments& quantization) {
  Arguments command{"train", "ds_net", "--data", data, "--save", folder / "models"};
  command.insert(command.end(), {"--batch-size", "20"});
  command.insert(command.end(), quantization.begin(), quantization.end());
  return result(command).at("model");
}

}  // namespace

TEST_CASE("analyze reports each quantized layer by the documented keys, the same each time") {
  const TestFolder folder;
  const std::string data = write_data(folder, 60, 40);
  const std::string model = trained(folder, data, {"--weight-bits", "4"});
  const Arguments command{"analyze", model, "--data", data, "--limit", "30"};
  const Json report = result(command);
  CHECK(keys(report) == Arguments{"event", "layers"});
  REQUIRE(report.at("layers").size() == 6);
  for (const Json& layer : report.at("layers")) {
    CHECK(keys(layer) == Arguments{"name", "kind", "weight_bits", "activation_bits",
                                   "weight_sqnr_db", "activation_sqnr_db", "clipped",
                                   "unused_levels", "cosine", "activation_clipped",
                                   "activation_unused_levels", "activation_cosine"});
    const bool weighted = layer.at("kind").get<std::string>().ends_with("Conv2D");
    CHECK(layer.at("weight_sqnr_db").is_number() == weighted);
    CHECK(layer.at("activation_sqnr_db").is_number());
    CHECK(layer.at("clipped").get<double>() <= 1.0);
    CHECK(layer.at("unused_levels").get<int>() < (weighted ? 16 : 256));
    CHECK(layer.at("cosine").get<double>() > 0.5);
    if (!weighted) CHECK(layer.at("clipped") == layer.at("activation_clipped"));
  }
  Arguments one_thread = command;
  one_thread.insert(one_thread.end(), {"--threads", "1"});
  CHECK(result(one_thread) == report);

  Arguments channels = command;
  channels.push_back("--channels");
  const Json conv = result(channels).at("layers").at(1);
  const Json ranges = conv.at("channels");
  const Json histogram = conv.at("histograms").at(0);
  CHECK(histogram.at("variable") == "kernel");
  CHECK(histogram.at("counts").size() == 64);
  CHECK(histogram.at("low") < histogram.at("high"));
  REQUIRE(ranges.size() == 16);
  CHECK(keys(ranges[0]) ==
        Arguments{"variable", "index", "min", "max", "scale", "zero_point", "clipped", "sqnr_db"});
  const auto text = run_perch(channels);
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.out, Catch::Contains("quant_depthwise_conv2d depthwise_kernel, 16 in all"));
}

TEST_CASE("a search within a budget writes rules that training takes") {
  const TestFolder folder;
  const std::string data = write_data(folder, 60, 0);
  const std::string model = trained(folder, data, {"--quantizer", "none"});
  const std::string rules = folder / "bits.toml", table = folder / "layers.csv";
  const Json report = result({"analyze", model, "--data", data, "--search", "--budget", "0.4",
                              "--config-out", rules, "--csv", table});
  CHECK(keys(report) == Arguments{"event", "layers", "float_accuracy", "float_loss", "allocation"});
  REQUIRE(report.at("layers").size() == 4);
  for (const Json& layer : report.at("layers")) {
    CHECK(layer.at("weight_sqnr_db").is_null());
    CHECK(keys(layer.at("bits")) == Arguments{"2", "3", "4", "6", "8"});
    CHECK(keys(layer.at("bits").at("4")) == Arguments{"accuracy", "loss"});
  }
  const Json allocation = report.at("allocation");
  CHECK(allocation.at("share").get<double>() <= 0.4);
  const Json inspected = result({"inspect", model, "--quant-config", rules});
  std::size_t chosen = 0;
  for (const Json& layer : inspected.at("layers")) {
    const std::string name = layer.at("name"), quantization = layer.at("quantization");
    CAPTURE(name, quantization);
    if (!allocation.at("bits").contains(name)) {
      CHECK_THAT(quantization, !Catch::Contains("weights"));
      continue;
    }
    CHECK(quantization ==
          "weights " + allocation.at("bits").at(name).dump() + " bits last_value per channel");
    ++chosen;
  }
  CHECK(chosen == 4);
  const Json retrained = result({"train", "ds_net", "--data", data, "--quant-config", rules,
                                 "--save", folder / "models", "--batch-size", "20"});
  const Json both = result({"analyze", retrained.at("model"), "--data", data, "--sensitivity"});
  std::size_t measured = 0;
  for (const Json& layer : both.at("layers")) measured += layer.contains("bits") ? 1 : 0;
  CHECK(measured == 4);

  const std::string csv = read_file(table);
  CHECK(csv.starts_with("name,kind,weight_bits,"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
}

TEST_CASE("analyze refuses what it cannot do") {
  const TestFolder folder;
  const std::string data = write_data(folder, 40, 0);
  const std::string model = trained(folder, data, {"--quantizer", "none"});
  const auto refused = [&](const Arguments& flags, const std::vector<std::string>& words) {
    Arguments arguments{"analyze", model, "--data", data, "--quiet"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    check_error(run_perch(arguments), 2, words);
  };
  refused({}, {"float model", "--sensitivity"});
  refused({"--sensitivity", "--channels"}, {"--channels"});
  refused({"--search"}, {"--search needs --budget"});
  refused({"--budget", "0.5"}, {"--budget", "without --search"});
  refused({"--search", "--budget", "1.5"}, {"--budget is 1.5"});
  refused({"--search", "--budget", "0.1"}, {"smallest possible is 0.25"});
  refused({"--sensitivity", "--config-out", folder / "a.toml"}, {"--config-out"});
  refused({"--limit", "0"}, {"--limit is 0"});
}
