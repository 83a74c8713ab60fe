#include <algorithm>
#include <chrono>
#include <filesystem>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <tests/apps/command_line.h>

using namespace perch::test;
namespace fs = std::filesystem;

namespace {

Json layer(const Json& report, const std::string& name) {
  for (const auto& entry : report.at("layers")) {
    if (entry.at("name") == name) return entry;
  }
  FAIL("no layer " << name);
  return {};
}

Json variable(const Json& report, const std::string& layer_name, const std::string& name) {
  const Json owner = layer(report, layer_name);
  for (const auto& entry : owner.at("variables")) {
    if (entry.at("name").get<std::string>().ends_with(name)) return entry;
  }
  FAIL("no variable " << name);
  return {};
}

}  // namespace

TEST_CASE("train names its file by the original script's rule for every combination of flags",
          "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0), save = folder / "models";
  const std::vector<std::pair<std::string, std::string>> quantizers = {
      {"all_values", "AV"}, {"last_value", "LV"}, {"moving_average", "MA"}};
  int bits = 2;
  for (const auto& [quantizer, code] : quantizers) {
    for (int choice = 0; choice < 8; ++choice) {
      const bool per_tensor = choice & 1, symmetric = choice & 2, narrow = choice & 4;
      const auto event = result({"train", "ds_net", "--data", data, "--save", save,  //
                                 "--quantizer", quantizer,                           //
                                 per_tensor ? "--per-tensor" : "--per-channel",
                                 symmetric ? "--symmetric" : "--asymmetric",
                                 narrow ? "--narrow-range" : "--full-range",  //
                                 "--weight-bits", std::to_string(bits),       //
                                 "--activation-bits", std::to_string(18 - bits)});
      const std::string name = fmt::format("ds_net_{}wbits_{}abits_{}_{}_{}_{}", bits, 18 - bits,
                                           symmetric ? "sym" : "asym", narrow ? "narr" : "full",
                                           per_tensor ? "perten" : "perch", code);
      CHECK(event.at("name") == name);
      CHECK(event.at("model") == save + "/" + name + ".h5");
      CHECK(fs::is_regular_file(event.at("model").get<std::string>()));

      const auto quantizers_of = layer(result({"inspect", event.at("model")}), "quant_conv2d");
      const Json& kernel = quantizers_of.at("quantizers").at(0);
      CHECK(kernel.at("bits") == bits);
      CHECK(kernel.at("symmetric") == symmetric);
      CHECK(kernel.at("narrow_range") == narrow);
      CHECK(kernel.at("policy") == quantizer);
      CHECK(kernel.at("axes").size() == (per_tensor ? 0u : 1u));
      bits = bits == 16 ? 2 : bits + 1;
    }
  }
}

TEST_CASE("train's defaults are 8-bit AllValues per channel, and none is float") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0);
  const ProcessOptions here{.directory = folder.path()};
  CHECK(run_perch({"train", "temp_net", "--data", data, "--quiet"}, here).exit_code == 0);
  CHECK(fs::exists(folder / "models/temp_net_8wbits_8abits_asym_full_perch_AV.h5"));
  CHECK(run_perch({"train", "--quantizer", "none", "--name", "mine", "--data", data, "temp_net"},
                  here)
            .exit_code == 0);
  CHECK(fs::exists(folder / "models/mine_float.h5"));
  CHECK(run_perch({"train", "mobilenet_v2", "--width", "0.125", "--data", data}, here).exit_code ==
        0);
  CHECK(fs::exists(folder / "models/mobilenet_v2_0.125_8wbits_8abits_asym_full_perch_AV.h5"));
  CHECK(run_perch({"train", "resnet20", "--shortcut", "projection", "--data", data}, here)
            .exit_code == 0);
  const std::string projected =
      folder / "models/resnet20_projection_8wbits_8abits_asym_full_perch_AV.h5";
  CHECK(run_perch({"inspect", projected}).out.find("quant_conv2d_20") != std::string::npos);
}

TEST_CASE("train reports every epoch and a last result as JSON lines") {
  const TestFolder folder;
  const std::string data = write_data(folder), save = folder / "models";
  const auto start = std::chrono::steady_clock::now();
  const auto lines = events({"train", "temp_net", "--data", data, "--save", save, "--epochs", "2"});
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  REQUIRE(lines.size() == 3);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(keys(lines[i]) == Arguments{"event", "epoch", "loss", "accuracy", "val_loss",
                                      "val_accuracy", "images_per_second", "seconds", "clipped",
                                      "clipped_layers"});
    CHECK(keys(lines[i].at("clipped_layers")) == Arguments{"quant_conv2d"});
    CHECK(lines[i].at("event") == "epoch");
    CHECK(lines[i].at("epoch") == i);
    CHECK(lines[i].at("val_accuracy").is_number());
    CHECK(lines[i].at("images_per_second") > 0.0);
  }
  CHECK(keys(lines[2]) == Arguments{"event", "model", "name", "run", "test_loss", "test_accuracy",
                                    "seconds", "first_step_seconds", "peak_rss_mb"});
  CHECK(lines[2].at("peak_rss_mb") > 1.0);
  // The kernel counts the start in ticks of 10 ms, rounded down.
  CHECK(lines[2].at("first_step_seconds") > 0.0);
  CHECK(lines[2].at("first_step_seconds") < elapsed.count() + 0.02);

  fs::remove(fs::path(data) / "test_batch.bin");
  const auto without = events(
      {"train", "temp_net", "--data", data, "--save", save, "--validation-split", "0", "--quiet"});
  CHECK(without[0].at("val_loss").is_null());
  CHECK(keys(without[1]) ==
        Arguments{"event", "model", "name", "run", "seconds", "first_step_seconds", "peak_rss_mb"});
}

TEST_CASE("stdout holds results only and --quiet keeps stderr empty") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 10), save = folder / "models";
  const auto loud = run_perch({"train", "ds_net", "--data", data, "--save", save});
  CHECK_THAT(loud.out, Catch::Contains("saved: " + save));
  CHECK_THAT(loud.err, Catch::Contains("epoch"));
  const auto quiet = run_perch({"train", "ds_net", "--data", data, "--save", save, "--quiet"});
  CHECK(quiet.exit_code == 0);
  CHECK(complaints(quiet).empty());
}

TEST_CASE("the saved model is the same to the byte for any number of threads") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  std::vector<std::string> files;
  for (const char* threads : {"1", "2", "4"}) {
    const auto event =
        result({"train", "ds_net", "--data", data, "--save", folder / threads, "--threads", threads,
                "--batch-size", "16", "--epochs", "2", "--augment", "--seed", "7"});
    files.push_back(read_file(event.at("model").get<std::string>()));
  }
  REQUIRE_FALSE(files[0].empty());
  CHECK(files[0] == files[1]);
  CHECK(files[0] == files[2]);
}

TEST_CASE("fused or not, integer or not: the same training", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  const auto loss = [&](Arguments flags, const ProcessOptions& options = {}) {
    Arguments arguments{"train",  "ds_net",  "--data",   data, "--save",       folder / "m",
                        "--json", "--quiet", "--epochs", "2",  "--batch-size", "30"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const ProcessResult process = run_perch(arguments, options);
    REQUIRE(process.exit_code == 0);
    const auto last = process.out.rfind("{\"event\":\"result\"");
    return Json::parse(process.out.substr(last))["test_loss"].get<double>();
  };
  const double expected = loss({});
  CHECK(loss({"--no-fuse"}) == Approx(expected).epsilon(1e-3));
  CHECK(loss({}, {.environment = {{"PERCH_FUSE", "0"}}}) == Approx(expected).epsilon(1e-3));
  const double integer_bias = loss({"--integer-bias"});
  CHECK(integer_bias != expected);
  CHECK(loss({"--integer-bias", "--no-fuse"}) == Approx(integer_bias).epsilon(1e-3));
  // Rounded products are other numbers: close, but not as close.
  CHECK(loss({"--integer-forward", "off"}) == Approx(expected).epsilon(0.2));
  CHECK(loss({"--integer-forward", "on"}, {.environment = {{"PERCH_INTEGER", "off"}}}) ==
        Approx(expected).epsilon(0.2));
}

TEST_CASE("train --profile says where the time goes and writes a trace beside the model") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  const std::vector<Json> all = events({"train", "temp_net", "--data", data, "--save", folder / "m",
                                        "--batch-size", "30", "--profile", "--quiet"});
  const Json& profile = all[all.size() - 2];
  REQUIRE(profile["event"] == "profile");
  CHECK(profile["steps"] == 3);
  CHECK(profile["peak_gflops"].get<double>() > 0.0);
  bool forward = false, backward = false, update = false;
  for (const Json& op : profile["ops"]) {
    const bool block = op["op"] == "linear_block" && op.contains("gflops");
    forward |= block && op["phase"] == "forward";
    backward |= block && op["phase"] == "backward" && op["share_of_peak"].get<double>() > 0.0;
    update |= op["phase"] == "update";
  }
  CHECK(forward);
  CHECK(backward);
  CHECK(update);
  const auto trace = Json::parse(read_file(profile["trace"].get<std::string>()));
  CHECK(trace["traceEvents"].size() > 20);
}

TEST_CASE("evaluate of the saved model gives train's test result, at the scale it was trained on") {
  const TestFolder folder;
  // More test images than a batch has, so that the batch size matters to the last bit of the loss.
  const std::string data = write_data(folder, 100, 150);
  for (const char* scale : {"unit", "raw"}) {
    const auto trained = result({"train", "depthwise_net", "--data", data, "--save", folder / scale,
                                 "--input-scale", scale, "--epochs", "2", "--batch-size", "10"});
    const std::string model = trained.at("model");
    const auto evaluated = result({"evaluate", model, "--data", data});
    CHECK(keys(evaluated) == Arguments{"event", "loss", "accuracy", "count", "images_per_second"});
    CHECK(evaluated.at("loss") == trained.at("test_loss"));
    CHECK(evaluated.at("accuracy") == trained.at("test_accuracy"));
    CHECK(evaluated.at("count") == 150);

    const auto same = result({"evaluate", model, "--data", data, "--input-scale", scale});
    CHECK(same.at("loss") == evaluated.at("loss"));
    const std::string other = scale == std::string("unit") ? "raw" : "unit";
    const auto wrong = result({"evaluate", model, "--data", data, "--input-scale", other});
    CHECK(wrong.at("loss") != evaluated.at("loss"));
  }
}

TEST_CASE("evaluate takes a folder's parts and files of records") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20);
  const std::string model =
      result({"train", "ds_net", "--data", data, "--save", folder / "models"}).at("model");
  const auto count = [&](Arguments more) {
    Arguments arguments = {"evaluate", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return result(arguments).at("count").get<int>();
  };
  CHECK(count({"--data", data}) == 20);
  CHECK(count({"--data", data, "--split", "test"}) == 20);
  CHECK(count({"--data", data, "--split", "train"}) == 80);
  CHECK(count({"--data", data + "/data_batch_1.bin"}) == 80);
  fs::remove(fs::path(data) / "test_batch.bin");
  CHECK(count({"--data", data}) == 80);
  check_error(run_perch({"evaluate", model, "--data", data, "--split", "test"}), 66,
              {"test_batch.bin", "--split train"});
}

TEST_CASE("train --from starts with the weights of a float file", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0);
  const auto kernel = [&](const std::string& file, const std::string& layer_name) {
    return variable(result({"inspect", file}), layer_name, "/kernel").at("values");
  };
  const std::string start = result({"train", "temp_net", "--data", data, "--save", folder / "float",
                                    "--quantizer", "none", "--seed", "3"})
                                .at("model");
  const auto train = [&](Arguments more) {
    Arguments arguments = {"train",  "temp_net",   "--data",          data,
                           "--save", folder / "q", "--learning-rate", "1e-20"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return kernel(result(arguments).at("model"), "quant_conv2d");
  };
  CHECK(train({"--from", start}) == kernel(start, "conv2d"));
  // What has trained ranges, or layers that became one, starts from a float file too.
  for (const Arguments& flags : {Arguments{"--quantizer", "lsq"}, Arguments{"--quantizer", "tqt"},
                                 Arguments{"--fold-batch-norm", "running"}}) {
    Arguments arguments{"--from", start};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    CHECK(train(arguments) == kernel(start, "conv2d"));
  }
  CHECK(train({}) != kernel(start, "conv2d"));
}

TEST_CASE("every optimizer option changes what is learned", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0);
  const auto weights = [&](Arguments more) {
    Arguments arguments = {"train",  "ds_net",          "--data",       data,
                           "--save", folder / "models", "--batch-size", "10"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return read_file(result(arguments).at("model").get<std::string>());
  };
  const std::vector<Arguments> variants = {
      {},
      {"--schedule", "cosine"},
      {"--schedule", "step"},
      {"--warmup", "3"},
      {"--augment"},
      {"--clip-norm", "0.01"},
      {"--learning-rate", "0.01"},
      {"--seed", "1"},
      {"--optimizer", "adamw"},
      {"--optimizer", "adamw", "--weight-decay", "0.1"},
      {"--optimizer", "sgd"},
      {"--optimizer", "sgd", "--momentum", "0.9"},
      {"--optimizer", "sgd", "--weight-decay", "0.1"},
  };
  std::vector<std::string> files;
  for (const auto& variant : variants) files.push_back(weights(variant));
  for (std::size_t i = 0; i < files.size(); ++i) {
    INFO(fmt::format("{}", fmt::join(variants[i], " ")));
    CHECK(std::count(files.begin(), files.end(), files[i]) == 1);
  }
}
