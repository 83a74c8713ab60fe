#include <algorithm>
#include <filesystem>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;
namespace fs = std::filesystem;

namespace {

/// The result of a training of ds_net in folder/models.
Json trained(const TestFolder& folder, const Arguments& more = {}) {
  Arguments arguments = {"train",  "ds_net",          "--data", folder / "data",
                         "--save", folder / "models", "--quiet"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return result(arguments);
}

std::size_t count(const std::vector<std::string>& names, const std::string& part) {
  return static_cast<std::size_t>(std::ranges::count_if(
      names, [&](const std::string& name) { return name.find(part) != std::string::npos; }));
}

}  // namespace

TEST_CASE("train leaves a folder with its settings, environment, course, log and model") {
  const TestFolder folder, here;
  const std::string data = write_data(folder);
  const auto process =
      run_perch({"train", "ds_net", "--data", data, "--save", folder / "models", "--json",
                 "--epochs", "2", "--weight-bits", "4", "--batch-size", "30", "--oscillations"},
                {.directory = here.path()});
  REQUIRE(process.exit_code == 0);
  CHECK(here.content().empty());
  const Json last = Json::parse(process.out.substr(process.out.rfind("{\"event\":\"result\"")));
  const fs::path run = last.at("run").get<std::string>();
  CHECK(run.parent_path() == folder / "models/runs");
  CHECK_THAT(run.filename().string(), Catch::StartsWith("ds_net-"));
  const auto file = [&](const char* name) { return read_file(run / name); };

  CHECK_THAT(file("config.toml"),
             Catch::Contains("model = \"ds_net\"\n") && Catch::Contains("weight_bits = 4\n") &&
                 Catch::Contains("seed = 0  # default\n") &&
                 Catch::Contains("granularity = \"per_channel\"  # default\n") &&
                 Catch::Contains("oscillations = true\n") && Catch::Contains("# clip_norm\n"));
  const Json environment = Json::parse(file("env.json"));
  for (const char* name : {"version", "compiler", "compiler_flags", "cpu", "instruction_set",
                           "threads", "seed", "command", "blas", "blas_core"}) {
    CHECK(environment.contains(name));
  }
  CHECK(environment.at("data_checksum").get<std::string>().size() == 16);
  CHECK(environment.at("train_images") == 100);
  const Json status = Json::parse(file("status.json"));
  CHECK(status.at("state") == "complete");
  CHECK(status.at("test_accuracy") == last.at("test_accuracy"));
  CHECK(status.at("test_loss") == last.at("test_loss"));
  const std::string csv = file("metrics.csv"), lines = file("metrics.jsonl");
  CHECK(std::ranges::count(csv, '\n') == 3);
  CHECK(std::ranges::count(lines, '\n') == 2);
  CHECK(Json::parse(lines.substr(0, lines.find('\n'))).at("oscillating").is_number());
  CHECK(Json::parse(lines.substr(0, lines.find('\n'))).at("clipped").is_number());
  CHECK_THAT(file("log.txt"), Catch::Contains("Z perch train ds_net") &&
                                  Catch::Contains("Z epoch 2/2: loss") &&
                                  Catch::Contains("Z saved: "));
  const fs::path model = last.at("model").get<std::string>();
  CHECK(read_file(run / model.filename()) == read_file(model));
  const auto content = folder.content();
  CHECK(count(content, "events.out.tfevents.") == 1);
  CHECK(fs::exists(model));
  CHECK(count(content, ".h5") == 2);  // one in SAVE, one in the run's folder
}

TEST_CASE("the run's folder goes elsewhere, or nowhere") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0);
  const Json elsewhere = trained(folder, {"--run-dir", folder / "my/runs"});
  CHECK(fs::path(elsewhere.at("run").get<std::string>()).parent_path() == folder / "my/runs");
  CHECK_FALSE(fs::exists(folder / "models/runs"));
  CHECK_FALSE(trained(folder, {"--no-run-dir"}).contains("run"));
  CHECK_FALSE(fs::exists(folder / "models/runs"));
  // No epochs: no course, but settings and a model.
  const fs::path untrained = trained(folder, {"--epochs", "0"}).at("run").get<std::string>();
  CHECK(Json::parse(read_file(untrained / "env.json")).contains("data_checksum"));
  CHECK_FALSE(fs::exists(untrained / "metrics.csv"));

  check_error(run_perch({"train", "ds_net", "--data", data, "--no-run-dir", "--run-dir", "x"}), 2,
              {"--run-dir", "--no-run-dir"});
  write_file(folder.path() / "file", std::string("x"));
  check_error(run_perch({"train", "ds_net", "--quiet", "--data", data, "--save", folder / "models",
                         "--run-dir", folder / "file"}),
              73, {"file", "another folder"});
}

TEST_CASE("quantize leaves a run too, without epochs") {
  const TestFolder folder;
  const std::string data = write_data(folder), save = folder / "models";
  const std::string model = trained(folder, {"--quantizer", "none", "--no-run-dir"}).at("model");
  const Json done = result({"quantize", model, "--data", data, "--save", save, "--weight-bits", "4",
                            "--adaround", "--adaround-iterations", "5", "--quiet"});
  const fs::path run = done.at("run").get<std::string>();
  CHECK(run.parent_path() == folder / "models/runs");
  CHECK_THAT(read_file(run / "config.toml"),
             Catch::StartsWith("# perch quantize ") && Catch::Contains("\n[quantize]\n") &&
                 Catch::Contains("adaround_iterations = 5\n") &&
                 Catch::Contains("calibrate = 100  # default\n") &&
                 Catch::Contains("weight_bits = 4\n") && !Catch::Contains("dampen"));
  const std::string config = (run / "config.toml").string();
  const Json again = result({"quantize", "--config", config, "--name", "again"});
  CHECK(again.at("test_accuracy") == done.at("test_accuracy"));
  const Json environment = Json::parse(read_file(run / "env.json"));
  CHECK(environment.at("data_checksum").get<std::string>().size() == 16);
  CHECK_FALSE(environment.contains("seed"));
  const Json status = Json::parse(read_file(run / "status.json"));
  CHECK(status.at("state") == "complete");
  CHECK(status.at("test_accuracy") == done.at("test_accuracy"));
  CHECK(status.at("float_test_accuracy") == done.at("float_test_accuracy"));
  CHECK(status.at("epochs").is_null());
  CHECK_THAT(read_file(run / "log.txt"),
             Catch::Contains("Z conv2d: squared error") && Catch::Contains("Z float test: loss"));
  const fs::path file = done.at("model").get<std::string>();
  CHECK(read_file(run / file.filename()) == read_file(file));

  const auto listed = events({"runs", save});
  REQUIRE(listed.size() == 3);
  CHECK(listed[0].at("epochs").is_null());
  CHECK(listed[0].at("quantization") == "all_values 4/8 per_channel");
  const Json other = result({"quantize", model, "--data", data, "--save", save, "--per-tensor"});
  const Json diff = result({"runs", "diff", run.string(), other.at("run"), "--in", save});
  CHECK(diff.at("settings").at("granularity").at("b") == "per_tensor");
  CHECK(diff.at("results").at("epochs").at("a").is_null());
  CHECK(diff.at("results").at("test_accuracy").at("difference").is_number());

  const Json nowhere = result({"quantize", model, "--data", data, "--save", save, "--no-run-dir"});
  CHECK_FALSE(nowhere.contains("run"));
  CHECK(events({"runs", save}).size() == 4);
  check_error(run_perch({"quantize", model, "--data", data, "--no-run-dir", "--run-dir", "x"}), 2,
              {"--run-dir", "--no-run-dir"});
}

TEST_CASE("runs lists what train left, newest first, and what went wrong") {
  const TestFolder folder;
  write_data(folder);
  trained(folder, {"--name", "first"});
  trained(folder, {"--name", "second", "--quantizer", "none", "--epochs", "2"});
  CHECK(run_perch({"train", "ds_net", "--data", folder / "data", "--save", folder / "models",
                   "--quiet", "--learning-rate", "1e30", "--name", "third"})
            .exit_code == 1);
  auto lines = events({"runs", folder / "models"});
  REQUIRE(lines.size() == 4);
  CHECK(lines.back().at("runs") == 3);
  CHECK(lines.back().at("unreadable") == 0);
  const auto named = [&](const std::string& name) {
    const auto found = std::ranges::find_if(
        lines, [&](const Json& line) { return line.value("name", "") == name; });
    REQUIRE(found != lines.end());
    return *found;
  };
  CHECK(named("first").at("quantization") == "all_values 8/8 per_channel");
  CHECK(named("first").at("state") == "complete");
  CHECK(named("first").at("test_accuracy").is_number());
  CHECK(named("second").at("quantization") == "float");
  CHECK(named("second").at("epochs_done") == 2);
  CHECK(named("third").at("state") == "failed");
  CHECK_THAT(named("third").at("message").get<std::string>(), Catch::Contains("loss is"));
  CHECK(named("third").at("seconds") > 0.0);
  CHECK(lines[0].at("started") >= lines[2].at("started"));

  const auto text = run_perch({"runs", folder / "models/runs"});
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.out, Catch::StartsWith("id ") && Catch::Contains("first") &&
                           Catch::Contains("2/2") && Catch::Contains("failed: loss is"));

  // A run that is killed says nothing of its end; a broken one is told as such.
  const fs::path first = named("first").at("path").get<std::string>();
  std::string status = read_file(first / "status.json");
  status.replace(status.find("complete"), 8, "running");
  write_file(first / "status.json", status);
  const fs::path second = named("second").at("path").get<std::string>();
  write_file(second / "status.json", std::string("{"));
  lines = events({"runs", folder / "models"});
  CHECK(named("first").at("state") == "killed");
  CHECK(lines.back().at("unreadable") == 1);
  CHECK_THAT(run_perch({"runs", folder / "models"}).out,
             Catch::Contains("unreadable: ") && Catch::Contains("status.json"));
  check_error(run_perch({"runs", "diff", first.string(), second.string()}), 65, {"status.json"});
}

TEST_CASE("runs diff says what differs and what came of it") {
  const TestFolder folder;
  write_data(folder);
  trained(folder, {"--name", "first"});
  trained(folder, {"--name", "second", "--weight-bits", "3", "--per-tensor", "--seed", "1",
                   "--batch-size", "64"});
  const Json diff = result({"runs", "diff", "first", "second", "--in", folder / "models"});
  CHECK(keys(diff.at("settings")) == Arguments{"granularity", "name", "seed", "weight_bits"});
  CHECK(diff.at("settings").at("weight_bits").at("a") == 8);
  CHECK(diff.at("settings").at("weight_bits").at("b") == 3);
  CHECK(diff.at("environment").empty());
  const Json& accuracy = diff.at("results").at("test_accuracy");
  CHECK(accuracy.at("difference").get<double>() ==
        Approx(accuracy.at("b").get<double>() - accuracy.at("a").get<double>()));
  const auto text = run_perch({"runs", "diff", "first", "second", "--in", folder / "models"});
  CHECK_THAT(text.out, Catch::Contains("settings that differ\n  granularity") &&
                           Catch::Contains("environment that differs: none") &&
                           Catch::Contains("points"));

  trained(folder, {"--name", "first", "--threads", "1"});
  check_error(run_perch({"runs", "diff", "first", "second", "--in", folder / "models"}), 2,
              {"first", "2 runs"});
  check_error(run_perch({"runs", "diff", "fifth", "second", "--in", folder / "models"}), 66,
              {"fifth", "lists them"});
  check_error(run_perch({"runs", "diff", "./none", "second", "--in", folder / "models"}), 66,
              {"./none"});
  check_error(run_perch({"runs", "diff", "first"}), 2, {"required", "perch runs diff --help"});
  check_error(run_perch({"runs", folder / "nowhere"}), 66, {"nowhere", "--run-dir"});
  const auto none = run_perch({"runs", folder / "data"});
  CHECK(none.exit_code == 0);
  CHECK_THAT(none.out, Catch::StartsWith("no runs in "));
}
