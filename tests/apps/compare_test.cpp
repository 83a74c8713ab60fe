#include <filesystem>
#include <sstream>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;
namespace fs = std::filesystem;

namespace {

/// results.json without what differs from run to run.
std::string results_in(const fs::path& folder) {
  Json json = Json::parse(read_file(folder / "results.json"));
  json.erase("provenance");
  for (Json& cell : json.at("cells")) cell.erase("times");
  return json.dump(1);
}

Arguments grid(const std::string& data, const std::string& out) {
  return {"compare",        "depthwise_net",
          "--granularity",  "per_tensor,per_channel",
          "--methods",      "qat,ptq",
          "--weight-bits",  "8,4",
          "--seeds",        "2",
          "--epochs",       "1",
          "--float-epochs", "1",
          "--data",         data,
          "--out",          out,
          "--jobs",         "1"};
}

}  // namespace

TEST_CASE("compare runs a grid, and goes on with it where it is changed", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), out = folder / "out";
  const auto lines = events(grid(data, out));
  CHECK(count("cell", lines) == 16);
  CHECK(lines.back().at("failed") == 0);
  for (const char* file : {"results.json", "results.csv", "report.html", "experiment.json"}) {
    CHECK(fs::is_regular_file(fs::path(out) / file));
  }
  const Json results = Json::parse(read_file(fs::path(out) / "results.json"));
  CHECK(results.at("cells").size() == 16);
  CHECK(results.at("contrasts").size() == 4);
  for (const Json& cell : results.at("cells")) {
    const fs::path of_cell = fs::path(out) / "cells" / cell.at("id").get<std::string>();
    CHECK(fs::is_regular_file(fs::path(out) / cell.at("model").get<std::string>()));
    CHECK(fs::is_regular_file(of_cell / "predictions.csv"));
    CHECK(cell.at("start_accuracy").is_number());
    const fs::path run = fs::path(out) / cell.at("times").at("run").get<std::string>();
    CHECK(fs::is_regular_file(run / "status.json"));
    // The accuracy is that of the predictions.
    std::istringstream predictions(read_file(of_cell / "predictions.csv"));
    std::string line;
    std::getline(predictions, line);
    int right = 0, all = 0;
    while (std::getline(predictions, line)) {
      const auto first = line.find(','), second = line.find(',', first + 1);
      right += line.substr(first + 1, second - first - 1) == line.substr(second + 1);
      ++all;
    }
    CHECK(all == 40);
    CHECK(cell.at("test_accuracy").get<double>() == Approx(right / 40.0));
  }

  const std::string before = results_in(out);
  CHECK(count("cell", events(grid(data, out))) == 0);
  Arguments dry = grid(data, out);
  dry.emplace_back("--dry-run");
  CHECK(events(dry).back().at("estimated_seconds") == 0.0);
  CHECK(results_in(out) == before);
  // A report alone gives the same files.
  const std::string report = read_file(fs::path(out) / "report.html");
  fs::remove(fs::path(out) / "report.html");
  result({"report", out});
  CHECK(read_file(fs::path(out) / "report.html") == report);

  Arguments more = grid(data, out);
  more[7] = std::string("8,4,3");
  CHECK(count("cell", events(more)) == 8);

  // Side by side, elsewhere: the same accuracies.
  Arguments beside = grid(data, folder / "beside");
  beside.back() = std::string("2");
  events(beside);
  CHECK(results_in(folder / "beside") == before);
}

TEST_CASE("a grid that is killed again and again ends as one that was not", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), whole = folder / "whole", killed = folder / "killed";
  events(grid(data, whole));
  const auto end = [&](const char* signal, const char* seconds) {
    Arguments command = {"timeout", "-s", signal, seconds, perch_program()};
    const Arguments rest = grid(data, killed);
    command.insert(command.end(), rest.begin(), rest.end());
    run_process(command, {});
  };
  for (const char* seconds :
       {"0.2", "0.4", "0.6", "0.9", "0.3", "0.5", "0.7", "0.8", "0.4", "0.6"}) {
    end("KILL", seconds);
  }
  for (const char* seconds : {"0.3", "0.6"}) end("TERM", seconds);
  events(grid(data, killed));
  CHECK(results_in(killed) == results_in(whole));

  // Killed at its very first write.
  const fs::path early = folder / "early", unfinished = early / "experiment.json.perch-a1b2c3";
  fs::create_directories(early);
  write_file(unfinished, "{");
  events(grid(data, early));
  CHECK(results_in(early) == results_in(whole));
  CHECK(!fs::exists(unfinished));
}

TEST_CASE("a grid comes out the same with one thread, with two, and side by side", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  std::vector<std::string> outcomes;
  const auto run = [&](Arguments command, const std::string& out, const char* jobs) {
    Arguments rest = grid(data, out);
    rest.back() = jobs;
    command.emplace_back(perch_program());
    command.insert(command.end(), rest.begin(), rest.end());
    const ProcessResult process = run_process(command, {});
    INFO(process.err);
    REQUIRE(process.exit_code == 0);
    outcomes.push_back(results_in(out));
    return Json::parse(read_file(fs::path(out) / "results.json")).at("provenance");
  };
  // The threads that a process has by itself are those of the cores that it may run on.
  CHECK(run({"taskset", "--cpu-list", "0"}, folder / "one", "1").at("threads") == 1);
  run({}, folder / "all", "1");
  CHECK(run({}, folder / "side", "2").at("side_by_side") == 2);
  CHECK(outcomes[1] == outcomes[0]);
  CHECK(outcomes[2] == outcomes[0]);
}

TEST_CASE("networks are compared, from float models and from fresh weights", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), out = folder / "out";
  const Arguments command = {"compare",        "depthwise_net,temp_net",
                             "--grid",         "start=float,fresh",
                             "--float-epochs", "1",
                             "--seeds",        "1",
                             "--data",         data,
                             "--out",          out};
  CHECK(events(command).size() == 5);  // four cells and the result
  const Json results = Json::parse(read_file(fs::path(out) / "results.json"));
  int with_start = 0;
  for (const Json& cell : results.at("cells")) {
    CHECK(cell.at("status") == "done");
    with_start += cell.at("start_accuracy").is_number();
  }
  CHECK(with_start == 2);
  CHECK_THAT(read_file(fs::path(out) / "report.html"),
             Catch::Contains("Does model make a difference for depthwise_net and temp_net?"));
  // The folder goes on with a part of them, and with more.
  Arguments fewer = command;
  fewer[1] = std::string("temp_net");
  CHECK(events(fewer).back().at("cells") == 2);
}

TEST_CASE("a setting of all cells may become an axis of one value, and the other way round",
          "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), out = folder / "out";
  const auto groups = [&](const std::string& bits, const std::string& seeds, std::size_t to_run) {
    const auto lines = events({"compare", "depthwise_net", "--set", bits, "--set",
                               "grid.granularity=per_tensor,per_channel", "--set", "seeds=" + seeds,
                               "--data", data, "--out", out, "--jobs", "1"});
    CHECK(count("cell", lines) == to_run);
    return Json::parse(read_file(fs::path(out) / "results.json")).at("groups");
  };
  CHECK(groups("grid.weight_bits=8", "0,1", 4).size() == 2);
  const Json all = groups("weight_bits=8", "0,1,2", 2);
  REQUIRE(all.size() == 2);
  CHECK(all.at(0).at("test_accuracy_percent").at("count") == 3);
  CHECK(keys(all.at(0).at("settings")) == std::vector<std::string>{"granularity"});
  CHECK(groups("grid.weight_bits=8", "0,1,2", 0).size() == 2);
}

TEST_CASE("a grid that grows runs what is new, in whatever order it is said", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  const auto run = [&](const Arguments& settings) {
    Arguments command = {"compare", "depthwise_net", "--seeds",      "1",      "--data",
                         data,      "--out",         folder / "out", "--jobs", "1"};
    command.insert(command.end(), settings.begin(), settings.end());
    const std::vector<Json> lines = events(command);
    CHECK(lines.back().at("failed") == 0);
    return count("cell", lines);
  };
  CHECK(run({"--weight-bits", "8", "--set", "learning_rate=0.01", "--set", "batch_size=32"}) == 1);
  CHECK(run({"--weight-bits", "8,4", "--set", "batch_size=32", "--set", "learning_rate=0.01"}) ==
        1);
  CHECK(run({"--set", "weight_bits=4", "--set", "batch_size=32", "--set", "learning_rate=0.01"}) ==
        0);
  CHECK(run({"--weight-bits", "4,8", "--granularity", "per_channel,per_tensor", "--set",
             "learning_rate=0.01", "--set", "batch_size=32"}) == 4);
}

TEST_CASE("an interrupted grid says how it goes on") {
  const TestFolder folder;
  const std::string data = write_data(folder, 4000, 40), out = folder / "out";
  Arguments command = {"timeout", "--preserve-status", "-s", "TERM", "0.8", perch_program()};
  Arguments rest = grid(data, out);
  rest[11] = std::string("50");
  command.insert(command.end(), rest.begin(), rest.end());
  const ProcessResult process = run_process(command, {});
  CHECK(process.exit_code == 75);
  CHECK_THAT(process.err, Catch::Contains("the same command goes on"));
}

TEST_CASE("a cell that fails is marked, and the others go on", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), out = folder / "out";
  const ProcessResult process =
      run_perch({"compare", "depthwise_net", "--grid", "learning_rate=0.001,1e38", "--seeds", "1",
                 "--epochs", "2", "--data", data, "--out", out, "--quiet"});
  CHECK(process.exit_code == 1);
  CHECK_THAT(process.err, Catch::Contains("1 of 2 cells failed"));
  const Json results = Json::parse(read_file(fs::path(out) / "results.json"));
  CHECK(results.at("cells").at(0).at("status") == "done");
  CHECK(results.at("cells").at(1).at("status") == "failed");
  CHECK_THAT(results.at("cells").at(1).at("failure").get<std::string>(), Catch::Contains("loss"));
}

TEST_CASE("an experiment's file says the same as flags") {
  const TestFolder folder;
  const std::string data = write_data(folder), file = folder / "grid.toml";
  write_file(file, "model = \"depthwise_net\"\ndata = \"" + data +
                       "\"\nseeds = [3, 5]\n\n[grid]\ngranularity = [\"per_tensor\", "
                       "\"per_channel\"]\nweight_range = [\"-1,1\"]\nquantizer = \"fixed\"\n\n"
                       "[train]\nepochs = 1\naugment = true\n");
  const auto lines = events({"compare", file, "--out", folder / "out", "--dry-run"});
  REQUIRE(count("cell", lines) == 4);
  CHECK(lines[0].at("command") ==
        "perch train depthwise_net --seed 3 --epochs 1 --augment --per-tensor --weight-range -1 1 "
        "--quantizer fixed");
  CHECK(lines.back().at("cells_to_run") == 4);
  CHECK(lines.back().at("estimated_seconds") > 0.0);
  CHECK_FALSE(fs::exists(folder / "out"));
}

TEST_CASE("float networks are compared too, whose quantization nobody analyzes") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  CHECK(
      result({"compare", "depthwise_net", "--grid", "optimizer=adam,sgd", "--set", "quantizer=none",
              "--seeds", "1", "--jobs", "1", "--data", data, "--out", folder / "out"})
          .at("failed") == 0);
}

TEST_CASE("time and memory are foretold for the network that the settings make", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  const auto estimate = [&](const std::string& width, const std::string& jobs) {
    const auto lines =
        events({"compare", "mobilenet_v1", "--granularity", "per_tensor,per_channel", "--seeds",
                "1", "--set", "width=" + width, "--set", "batch_size=8", "--jobs", jobs, "--data",
                data, "--out", folder / "out", "--dry-run"});
    CHECK(lines.back().at("estimated_seconds") > 0.0);
    return lines.back();
  };
  const Json narrow = estimate("0.25", "1"), wide = estimate("1", "1");
  CHECK(wide.at("estimated_peak_mb") > 1.3 * narrow.at("estimated_peak_mb").get<double>());
  CHECK(narrow.at("measured_one_by_one").is_null());
  CHECK(narrow.at("side_by_side") == 1);
  const Json chosen = estimate("0.25", "auto");
  const Json &alone = chosen.at("measured_one_by_one"),
             &beside = chosen.at("measured_side_by_side");
  CHECK(alone.is_null() == beside.is_null());  // with one core there is nothing to choose
  if (alone.is_null()) return;
  CHECK(alone.at("images_per_second") > 0.0);
  CHECK(beside.at("images_per_second") > 0.0);
  const bool shared = chosen.at("side_by_side") > 1;
  CHECK(chosen.at("estimated_seconds") == (shared ? beside : alone).at("seconds"));
}

TEST_CASE("compare refuses what cannot be compared before work starts", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), out = folder / "out", file = folder / "grid.toml";
  const auto refused = [&](Arguments arguments, int exit_code,
                           const std::vector<std::string>& words) {
    arguments.insert(arguments.begin(), "compare");
    arguments.insert(arguments.end(), {"--out", out, "--data", data});
    check_error(run_perch(arguments), exit_code, words);
    CHECK_FALSE(fs::exists(out));
  };
  refused({"temp_nett"}, 2, {"temp_net"});
  refused({"temp_net", "--granularity", "per_channel", "--quantizers", "none"}, 2,
          {"--per-channel", "--quantizer none"});
  refused({"temp_net", "--weight-bits", "8,99"}, 2, {"99"});
  refused({"temp_net", "--grid", "learning_rat=1"}, 2, {"learning_rate"});
  refused({"temp_net", "--grid", "learning_rate"}, 2, {"KEY=VALUE"});
  refused({"temp_net", "--seeds", "0"}, 2, {"--seeds"});
  refused({"temp_net", "--seeds", "10001"}, 2, {"10001", "--yes"});
  refused({"temp_net", "--methods", "ptq"}, 2, {"--float-epochs"});
  for (const char* jobs : {"many", "0", "-1", "2x", "1025", ""}) {
    refused({"temp_net", "--jobs", jobs}, 2, {"--jobs", "1 to 1024"});
  }
  refused({"temp_net", "--question", "granularity"}, 2, {"question"});
  refused({"temp_net", "--seeds", "9000000000000000000"}, 2, {"--seeds", "at most"});
  refused({"temp_net", "--seeds", "2", "--first-seed", "9223372036854775807"}, 2,
          {"--first-seed", "too large"});
  refused({folder / "none.toml"}, 66, {"none.toml"});
  const auto refused_file = [&](const std::string& text, const std::vector<std::string>& words) {
    write_file(file, text);
    refused({file}, 65, words);
  };
  refused_file("model = \"temp_net\"\n[grid]\ngranularitty = [\"per_tensor\"]\n",
               {"grid.toml", "line 3", "granularity"});
  refused_file("modell = \"temp_net\"\n", {"line 1", "model"});
  refused_file("seeds = 3\n", {"model"});
  refused_file("model = \"temp_net\"\nseeds = \"three\"\n", {"line 2"});
  refused_file("model = \"temp_net\"\nseeds = 9000000000000000000\n", {"line 2", "at most"});
  refused_file("model = \"temp_net\"\n[float]\nlearning_rate = 0.1\n", {"epochs"});
  refused_file("model = \n", {"line 1"});
}

TEST_CASE("a disk that cannot hold the cells is told before they run") {
  if (run_process({"unshare", "--mount", "true"}, {}).exit_code != 0) {
    WARN("no right to mount a small disk: not tested");
    return;
  }
  const TestFolder folder;
  const std::string data = write_data(folder), disk = folder / "disk";
  fs::create_directory(disk);
  const ProcessResult process = run_process(
      {"unshare", "--mount", "sh", "-c",
       "mount -t tmpfs -o size=4m none \"$1\" && exec \"$0\" compare temp_net --data \"$2\" "
       "--out \"$1/out\" --seeds 3 --quiet",
       perch_program(), disk, data},
      {});
  check_error(process, 73, {"4 MB left", "the cells take about", "--out"});
}

TEST_CASE("a folder belongs to one experiment and one process", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), out = folder / "out";
  const Arguments small = {"compare", "depthwise_net", "--seeds", "1",      "--data",
                           data,      "--out",         out,       "--quiet"};
  events(small);
  Arguments other = small;
  other[1] = std::string("temp_net");
  check_error(run_perch(other), 73, {"another network", "--out"});
  write_file(fs::path(data) / "test_batch.bin", records(20));
  check_error(run_perch(small), 73, {"another data", "--out"});
  fs::remove(fs::path(data) / "test_batch.bin");
  check_error(run_perch(small), 66, {"test_batch.bin"});
  write_file(fs::path(data) / "test_batch.bin", records(40));

  Arguments locked = {"flock", out + "/.lock", perch_program()};
  locked.insert(locked.end(), small.begin(), small.end());
  check_error(run_process(locked, {}), 73, {"in use"});

  Arguments elsewhere = small;
  elsewhere[7] = data;
  check_error(run_perch(elsewhere), 73, {"no part of an experiment"});
  check_error(run_perch({"report", data}), 66, {"experiment.json"});
}
