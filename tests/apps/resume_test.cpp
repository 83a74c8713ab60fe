// perch train, stopped by signals and gone on with.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

constexpr const char* stem = "depthwise_net_8wbits_8abits_asym_full_perch_AV";

/// Long enough to be stopped amid it.
Arguments training(const std::string& data, const std::string& save) {
  return {"train",     "depthwise_net",  "--data",    data,         "--save",
          save,        "--per-channel",  "--epochs",  "6",          "--batch-size",
          "20",        "--ranges-until", "3epochs",   "--schedule", "step",
          "--augment", "--quiet",        "--threads", "1",          "--checkpoint-every",
          "3"};
}

Arguments with(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

/// Ends it by a signal after so many seconds, if it is still running then.
ProcessResult run_for(const std::string& seconds, const std::string& signal,
                      const Arguments& arguments) {
  return run_process(
      with({"timeout", "--preserve-status", "-s", signal, seconds, perch_program()}, arguments));
}

std::string model_in(const std::string& save) {
  return read_file(fs::path(save) / (std::string(stem) + ".h5"));
}

}  // namespace

TEST_CASE("a training that is killed again and again ends in the same file", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 400, 40), whole = folder / "whole";
  const std::string killed = folder / "killed", stopped = folder / "stopped";
  const Json expected = result(training(data, whole));

  std::string seconds;
  for (int i = 0; i < 20; ++i) {
    seconds = std::to_string(0.05 + 0.02 * i);
    const ProcessResult process =
        run_for(seconds, "KILL", with(training(data, killed), {"--resume", "auto"}));
    if (process.exit_code == 0) break;
    CHECK(process.exit_code == 128 + SIGKILL);
  }
  const Json after = result(with(training(data, killed), {"--resume", "auto"}));
  CHECK(model_in(killed) == model_in(whole));
  CHECK(after.at("test_loss") == expected.at("test_loss"));

  // SIGTERM loses nothing at all and says how to go on.
  int times = 0;
  for (int i = 0; i < 20; ++i) {
    const ProcessResult process = run_for(std::to_string(0.1 + 0.03 * i), "TERM",
                                          with(training(data, stopped), {"--resume", "auto"}));
    if (process.exit_code == 0) break;
    if (process.exit_code == 128 + SIGTERM) continue;  // before the program began
    CHECK(process.exit_code == 75);
    CHECK_THAT(process.err, Contains("interrupted"));
    times += process.err.find("--resume auto goes on") != std::string::npos;
  }
  CHECK(times >= 1);
  result(with(training(data, stopped), {"--resume", "auto"}));
  CHECK(model_in(stopped) == model_in(whole));

  // Its metrics are those of a whole run, and every process went on in the same run's folder but
  // for those that were stopped before anything was saved.
  const auto metrics = [&](const std::string& save) {
    std::vector<std::string> found;
    for (const auto& run : fs::directory_iterator(fs::path(save) / "runs")) {
      // One that was killed while its folder was being made has none.
      if (!fs::exists(run.path() / "status.json")) continue;
      const Json status = Json::parse(read_file(run.path() / "status.json"));
      if (status.at("state") != "complete") continue;
      std::istringstream rows(read_file(run.path() / "metrics.csv"));
      std::string losses;
      for (std::string row; std::getline(rows, row);) {
        // Without the times.
        for (int field = 0; field < 5; ++field) {
          losses += row.substr(0, row.find(',')) + ",";
          row.erase(0, row.find(',') + 1);
        }
      }
      found.push_back(losses);
      CHECK(fs::is_symlink(run.path() / "checkpoints"));
    }
    return found;
  };
  CHECK(metrics(whole).size() == 1);
  CHECK(metrics(stopped) == metrics(whole));
  CHECK(metrics(killed) == metrics(whole));
}

TEST_CASE("a training that is stopped outside of its steps ends in the same file", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 400, 4000), whole = folder / "whole";
  const std::string stopped = folder / "stopped";
  // Runs a command into a pipe, $said, waits until a phase begins and sends the signal.
  const auto stop = [&](const std::string& until, const Arguments& command) {
    const std::string script =
        "said=$1; shift; mkfifo $said; \"$@\" >$said & pid=$!; exec 3<$said; " + until +
        "; kill -TERM $pid; cat <&3 >/dev/null; wait $pid; code=$?; rm $said; exit $code";
    return run_process(with({"sh", "-c", script, "sh", folder / "said", perch_program()}, command));
  };
  // Calibration begins when the folder is locked.
  Arguments calibrated = training(data, folder / "calibrated");
  calibrated[1] = std::string("resnet20");
  ProcessResult process = stop("until ls " + (folder / "calibrated") +
                                   "/*.checkpoints/.lock >/dev/null 2>&1; do sleep 0.01; done",
                               with(calibrated, {"--calibrate", "400"}));
  CHECK(process.exit_code == 75);
  CHECK_THAT(process.err, Contains("nothing was saved"));

  // Behind the last epoch's end: re-estimation and evaluation on the test images.
  const auto command = [&](const std::string& save) {
    return with(training(data, save), {"--calibrate", "350", "--reestimate-batch-norm", "350"});
  };
  const Json expected = result(command(whole));
  process = stop("while read -r line <&3; do case $line in *'\"epoch\":5,'*) break;; esac; done",
                 with(command(stopped), {"--json"}));
  CHECK(process.exit_code == 75);
  CHECK_THAT(process.err, Contains("--resume auto goes on"));
  const Json after = result(with(command(stopped), {"--resume", "auto"}));
  CHECK(model_in(stopped) == model_in(whole));
  CHECK(after.at("test_loss") == expected.at("test_loss"));
}

TEST_CASE("a signal while options are read ends a command that heeds it in good order") {
  const TestFolder folder;
  const std::string data = write_data(folder), file = folder / "perch.toml";
  // Reading the configuration waits for its writer.
  const auto stop = [&](const Arguments& command) {
    const std::string script =
        "config=$1; shift; mkfifo $config; \"$@\" & pid=$!; exec 3>$config; kill -TERM $pid; "
        "exec 3>&-; wait $pid; code=$?; rm $config; exit $code";
    return run_process(with({"sh", "-c", script, "sh", file, perch_program()}, command)).exit_code;
  };
  CHECK(stop(with(training(data, folder / "save"), {"--config", file})) == 75);
  CHECK(stop({"quantize", folder / "none.h5", "--data", data, "--config", file}) == 75);
  CHECK(stop({"config", "show", file}) == 128 + SIGTERM);
}

TEST_CASE("a complete training is not repeated, and --resume decides what becomes of it",
          "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), save = folder / "save";
  const Arguments once = with(training(data, save), {"--resume", "auto"});
  const auto first = events(once);
  const fs::path model = fs::path(save) / (std::string(stem) + ".h5");
  const auto written = fs::last_write_time(model);
  const auto again = events(once);
  CHECK(again == first);
  CHECK(fs::last_write_time(model) == written);
  // One model, and one folder of checkpoints.
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(save)) files += entry.is_regular_file();
  CHECK(files == 1);
  CHECK(fs::is_directory(fs::path(save) / (std::string(stem) + ".checkpoints")));

  // The best epoch's, where it is asked for.
  const Json best = result(with(training(data, save), {"--name", "b", "--best", "loss"}));
  const fs::path beside =
      fs::path(best.at("model").get<std::string>()).replace_extension(".checkpoints");
  CHECK(result({"evaluate", (beside / "best.h5").string(), "--data", data}).contains("accuracy"));
  check_error(run_perch(with(once, {"--best", "los"})), 2, {"--best", "loss"});

  // Lost, it is made again from the last state.
  const std::string bytes = read_file(model);
  fs::remove(model);
  result(once);
  CHECK(read_file(model) == bytes);

  // More epochs are more training, behind the end of the former.
  const Arguments longer = with(once, {"--name", "n"});
  result(longer);
  Arguments more = with(longer, {"--resume-anyway"});
  *std::ranges::find(more, "6") = std::string("8");
  const auto grown = events(more);
  CHECK(grown.size() == 9);
  CHECK(grown.at(7).at("epoch") == 7);
  CHECK(fs::is_regular_file(grown.back().at("model").get<std::string>()));
  CHECK(events(more) == grown);

  // Other settings, other data.
  check_error(run_perch(with(once, {"--seed", "5"})), 2, {"seed: 0 in the checkpoint, 5 now"});
  const Arguments other = {"--clip-norm", "2"};
  check_error(run_perch(with(once, other)), 2, {"clip_norm: 0 in the checkpoint, 2 now"});
  result(with(with(once, other), {"--resume-anyway"}));
  CHECK(read_file(model) == bytes);
  // What it began with.
  const auto start = [&](const std::string& seed) {
    return result({"train", "depthwise_net", "--quantizer", "none", "--epochs", "0", "--data", data,
                   "--save", folder / "start", "--name", seed, "--seed", seed})
        .at("model")
        .get<std::string>();
  };
  const std::string one = start("1"), two = start("2");
  const Arguments tuned = with(training(data, folder / "tuned"), {"--resume", "auto", "--from"});
  result(with(tuned, {one}));
  check_error(run_perch(with(tuned, {two})), 2, {"--from:"});
  fs::rename(one, two);
  result(with(tuned, {two}));
  // Without --resume it begins anew.
  result(with(training(data, save), {"--seed", "5"}));
  CHECK(read_file(model) != bytes);
}

TEST_CASE("checkpoints: what cannot be is refused, what cannot be written is told", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), save = folder / "save";
  const auto refused = [&](const Arguments& more, int exit_code,
                           const std::vector<std::string>& words) {
    check_error(run_perch(with(training(data, save), more)), exit_code, words);
  };
  refused({"--checkpoint-every", "2.5"}, 2, {"--checkpoint-every"});
  refused({"--checkpoint-every", "soon"}, 2, {"--checkpoint-every"});
  refused({"--keep", "-1"}, 2, {"--keep"});
  refused({"--keep", "0", "--resume", "auto"}, 2, {"--keep 0"});
  refused({"--resume-anyway"}, 2, {"--resume-anyway", "--resume"});
  refused({"--resume", folder / "none.safetensors"}, 66, {"none.safetensors"});
  refused({"--resume", folder / "a/best.h5"}, 2, {"best.h5", "--from"});
  write_file(fs::path(folder / "damaged.safetensors"), std::string("torn"));
  refused({"--resume", folder / "damaged.safetensors"}, 65, {"damaged.safetensors"});

  // In use by another process.
  const std::string checkpoints = save + "/" + stem + ".checkpoints";
  fs::create_directories(checkpoints);
  const ProcessResult locked =
      run_process(with({"flock", checkpoints + "/.lock", perch_program()}, training(data, save)));
  check_error(locked, 73, {"in use", stem});

  // No room for checkpoints, three times as large as the model: told at the end.
  Arguments larger = training(data, save);
  larger[1] = std::string("temp_net");
  const fs::path model = result(larger).at("model").get<std::string>();
  const std::string blocks = std::to_string(fs::file_size(model) / 512 + 2);
  fs::remove_all(save);
  const ProcessResult full = run_process(with(
      {"sh", "-c", "trap '' XFSZ; ulimit -f " + blocks + "; exec \"$@\"", "sh", perch_program()},
      larger));
  CHECK(full.exit_code == 74);
  CHECK_THAT(full.err, Contains("warning: no checkpoint of step 3") &&
                           Contains("checkpoints could not be written"));
  CHECK(fs::is_regular_file(model));
  CHECK_FALSE(fs::exists(fs::path(model).replace_extension(".checkpoints") / "complete.json"));
}
