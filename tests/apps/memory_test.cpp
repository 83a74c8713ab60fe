// What train says of memory: beforehand, and when there is too little.
#include <filesystem>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

#include <perch/core/sanitizers.h>

using namespace perch::test;
using Catch::Contains;

TEST_CASE("a dry run foretells the peak, and leaves nothing", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder, 400, 40), save = folder / "models";
  const Arguments training = {"train", "temp_net", "--data",       data,  "--save",
                              save,    "--quiet",  "--batch-size", "200", "--validation-split",
                              "0"};
  Arguments dry = training;
  dry.push_back("--dry-run");
  const Json plan = result(dry);
  CHECK(plan.at("steps_per_epoch") == 2);
  CHECK_FALSE(std::filesystem::exists(save));
  if (PERCH_ADDRESS_SANITIZER || PERCH_THREAD_SANITIZER) {
    WARN("a sanitizer's own memory is not foretold");
    return;
  }
  const double peak = result(training).at("peak_rss_mb");
  INFO(plan.at("planned_peak_mb") << " foretold, " << peak << " taken");
  CHECK(plan.at("planned_peak_mb") > 0.75 * peak);
  CHECK(plan.at("planned_peak_mb") < 1.35 * peak);
}

TEST_CASE("memory that is not there is told with a batch size that takes less", "[slow]") {
  if (PERCH_ADDRESS_SANITIZER || PERCH_THREAD_SANITIZER) {
    WARN("a sanitizer's own memory does not fit into limits");
    return;
  }
  const TestFolder folder;
  const std::string data = write_data(folder, 2000, 0);
  const ProcessResult process =
      run_process({"sh", "-c", "ulimit -v 900000; exec \"$@\"", "sh", perch_program(), "train",
                   "resnet20", "--data", data, "--save", folder / "models", "--quiet",
                   "--batch-size", "1800", "--threads", "2"});
  CHECK(process.exit_code == 1);
  CHECK_THAT(process.err, Contains("out of memory") && Contains("--batch-size 900"));
}
