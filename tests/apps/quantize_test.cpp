// perch quantize: from a float file to a quantized one, and what it refuses.
#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;

TEST_CASE("quantize writes what evaluate reads, with every step", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 40), save = folder / "models";
  const Json trained = result({"train", "ds_net", "--data", data, "--save", save, "--batch-size",
                               "20", "--epochs", "3", "--quantizer", "none"});
  const std::string model = trained.at("model");
  const Json done = result({"quantize", model, "--data", data, "--save", save, "--per-tensor",
                            "--calibrate", "40", "--equalise", "--bias-correction", "--adaround",
                            "--adaround-iterations", "20"});
  CHECK(keys(done) == std::vector<std::string>{"event", "model", "name", "run",
                                               "float_test_accuracy", "test_accuracy", "seconds",
                                               "peak_rss_mb"});
  CHECK(done.at("name") == "ds_net_8wbits_8abits_asym_full_perten_AV");
  CHECK(done.at("float_test_accuracy") == trained.at("test_accuracy"));
  CHECK(done.at("test_accuracy").get<double>() >=
        done.at("float_test_accuracy").get<double>() - 0.1);
  const Json evaluated = result({"evaluate", done.at("model"), "--data", data, "--split", "test"});
  CHECK(evaluated.at("accuracy") == done.at("test_accuracy"));

  const auto all = events({"quantize", model, "--data", data, "--save", save, "--name", "other",
                           "--adaround", "--adaround-iterations", "5"});
  REQUIRE(all.size() == 4);
  CHECK(all[0].at("event") == "adaround");
  CHECK(all[0].at("layer") == "conv2d");
  CHECK(all[3].at("name") == "other_8wbits_8abits_asym_full_perch_AV");
}

TEST_CASE("quantize refuses options without effect and models that are quantized") {
  const TestFolder folder;
  const std::string data = write_data(folder, 40, 0), save = folder / "models";
  const std::string model = result({"train", "ds_net", "--data", data, "--save", save, "--epochs",
                                    "0", "--quantizer", "none"})
                                .at("model");
  const auto refused = [&](const Arguments& flags, const std::vector<std::string>& words) {
    Arguments arguments{"quantize", model, "--data", data, "--save", save};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    check_error(run_perch(arguments), 2, words);
  };
  refused({"--quantizer", "none"}, {"--quantizer none"});
  refused({"--ranges-until", "3"}, {"--ranges-until", "without training"});
  refused({"--adaround-iterations", "3"}, {"--adaround-iterations", "without --adaround"});
  refused({"--calibrate", "0"}, {"--calibrate is 0"});
  refused({"--calibrate", "41"}, {"--calibrate is 41", "40 training images"});
  refused({"--quantizer", "lsq", "--adaround"}, {"adaround", "grid of a range"});
  const Json done = result({"quantize", model, "--data", data, "--save", save, "--quiet"});
  CHECK_FALSE(done.contains("test_accuracy"));
  check_error(run_perch({"quantize", done.at("model"), "--data", data}), 2,
              {"quantized already", "float model"});
}
