// Wrong command lines: exit code 2, one line that says what is right, nothing made.
#include <catch2/catch.hpp>
#include <fmt/ranges.h>
#include <tests/apps/command_line.h>

using namespace perch::test;

namespace {

struct Case {
  Arguments arguments;
  Arguments words;  // that the message holds
};

/// Runs each with `common` before its arguments, in an empty folder.
void check_usage_errors(const std::vector<Case>& cases, const Arguments& common = {}) {
  const TestFolder folder;
  for (const auto& [arguments, words] : cases) {
    Arguments all = common;
    all.insert(all.end(), arguments.begin(), arguments.end());
    INFO(fmt::format("perch {}", fmt::join(all, " ")));
    check_error(run_perch(all, {.directory = folder.path()}), 2, words);
    CHECK(folder.content().empty());
  }
}

}  // namespace

TEST_CASE("unknown words are answered with the nearest valid one") {
  check_usage_errors({
      {{}, {"a command is missing", "train"}},
      {{"trian"}, {"unknown command 'trian'", "nearest: train"}},
      {{"data", "fecth"}, {"perch data: ", "nearest: fetch"}},
      {{"--verison"}, {"--verison", "nearest: --version"}},
      {{"train"}, {"MODEL", "perch train --help"}},
      {{"train", "temp_met"}, {"perch train: ", "temp_met", "nearest: temp_net"}},
      {{"train", "temp_net", "--epocs", "3"}, {"--epocs", "nearest: --epochs"}},
      {{"train", "temp_net", "--epocs=3"}, {"--epocs", "nearest: --epochs"}},
      {{"train", "temp_net", "extra"}, {"extra", "perch train --help"}},
      {{"train", "temp_net", "--quantizer", "all_vales"}, {"nearest: all_values"}},
      {{"train", "temp_net", "--activation-quantizer", "lsqplus"}, {"nearest: lsq_plus"}},
      {{"train", "temp_net", "--rounding", "even"}, {"nearest: half_even"}},
      {{"train", "temp_net", "--optimizer", "adm"}, {"nearest: adam"}},
      {{"train", "temp_net", "--schedule", "cosin"}, {"nearest: cosine"}},
      {{"train", "temp_net", "--input-scale", "units"}, {"nearest: unit"}},
      {{"train", "temp_net", "--integer-forward", "fst"}, {"nearest: fast"}},
      {{"evaluate", "m.h5", "--split", "tests"}, {"nearest: test"}},
      {{"evaluate", "m.h5", "--quantizer", "none"}, {"none", "all_values"}},
      {{"evaluate", "m.h5", "--epochs", "1"}, {"--epochs", "perch evaluate --help"}},
  });
}

TEST_CASE("values out of range are named with the range") {
  const TestFolder data_folder;
  check_usage_errors(
      {
          {{"--weight-bits", "0"}, {"--weight-bits is 0", "1 to 16"}},
          {{"--weight-bits", "17"}, {"--weight-bits is 17", "1 to 16"}},
          {{"--activation-bits", "0"}, {"--activation-bits is 0", "1 to 16"}},
          {{"--weight-bits", "many"}, {"--weight-bits", "perch train --help"}},
          {{"--batch-size", "0"}, {"batch", "0"}},
          {{"--batch-size", "1000"}, {"1000", "72"}},
          {{"--validation-split", "1"}, {"--validation-split is 1", "[0, 1)"}},
          {{"--validation-split", "-0.1"}, {"--validation-split is -0.1", "[0, 1)"}},
          {{"--validation-split", "nan"}, {"--validation-split", "[0, 1)"}},
          {{"--validation-split", "0.99", "--batch-size", "1"}, {"validation"}},
          {{"--epochs", "-1"}, {"--epochs is -1", "must not be negative"}},
          {{"--threads", "0"}, {"--threads is 0", "at least 1"}},
          {{"--seed", "-1"}, {"--seed is -1"}},
          {{"--learning-rate", "0"}, {"--learning-rate is 0", "positive"}},
          {{"--learning-rate", "inf"}, {"--learning-rate is inf"}},
          {{"--clip-norm", "0"}, {"--clip-norm is 0"}},
          {{"--warmup", "-1"}, {"--warmup is -1"}},
          {{"--optimizer", "sgd", "--momentum", "1"}, {"--momentum is 1", "[0, 1)"}},
          {{"--name", "a/b"}, {"--name 'a/b'", "--save"}},
      },
      {"train", "temp_net", "--data", write_data(data_folder, 80, 0)});
  check_usage_errors({
      {{"train", "mobilenet_v1", "--width", "0"}, {"width of mobilenet_v1 is 0", "at most 4"}},
      {{"train", "mobilenet_v2", "--width", "nan"}, {"width of mobilenet_v2 is nan"}},
      {{"train", "resnet20", "--shortcut", "projected"}, {"--shortcut", "projection"}},
  });
}

TEST_CASE("options that would have no effect are refused") {
  const TestFolder data_folder;
  check_usage_errors(
      {
          {{"--width", "0.5"}, {"temp_net", "--width", "mobilenet_v1"}},
          {{"--shortcut", "projection"}, {"temp_net", "--shortcut", "resnet20"}},
          {{"--momentum", "0.9"}, {"--momentum", "--optimizer sgd"}},
          {{"--weight-decay", "0.1"}, {"--weight-decay", "adamw"}},
          {{"--optimizer", "adamw", "--momentum", "0.9"}, {"--momentum", "--optimizer sgd"}},
          {{"--quantizer", "none", "--per-channel"}, {"--per-channel", "--quantizer none"}},
          {{"--quantizer", "none", "--weight-bits", "4"}, {"--weight-bits", "leave it out"}},
          {{"--per-channel", "--per-tensor"}, {"--per-channel", "--per-tensor", "exclude"}},
          {{"--symmetric", "--asymmetric"}, {"--symmetric", "--asymmetric", "exclude"}},
          {{"--full-range", "--narrow-range"}, {"--full-range", "--narrow-range", "exclude"}},
          {{"--group-size", "2", "--per-tensor"}, {"--per-tensor", "--group-size", "exclude"}},
          {{"--weight-range", "-1", "2"}, {"--weight-range", "--quantizer all_values"}},
          {{"--activation-range", "-1", "2"}, {"--activation-range", "moving_average"}},
          {{"--range-weight-decay", "0.1"}, {"--range-weight-decay", "lsq"}},
          {{"--scheme", "n_bits"}, {"nearest: n_bit"}},
          {{"--scheme", "default_8bit", "--weight-bits", "4"}, {"--weight-bits", "default_8bit"}},
          {{"--scheme", "n_bit", "--per-tensor"}, {"--per-tensor", "places quantizers"}},
          {{"--scheme", "n_bit", "--weight-bits", "1"}, {"2 to 16"}},
          {{"--scheme", "n_bit", "--range-rate-factor", "0.1"}, {"--range-rate-factor", "lsq"}},
          {{"--scheme", "default_8bit", "--bits-schedule", "8,4"},
           {"--bits-schedule", "default_8bit", "n_bit"}},
          {{"--scheme", "n_bit", "--bits-schedule", "8,1"}, {"--bits-schedule", "1", "2 to 16"}},
          {{"--group-size", "5"}, {"conv2d", "choose a divisor"}},
          {{"--fold-batch-norm", "moving"}, {"running"}},
          {{"--quantizer", "lsq", "--symmetric"}, {"--quantizer: symmetric", "lsq"}},
          {{"--quantizer", "binary", "--weight-bits", "4"}, {"binary has 1 bit, not 4"}},
          {{"--images", "a.npy", "--labels", "b.npy"}, {"--data", "--images", "exclude"}},
          {{"--images", "a.npy"}, {"--images", "--labels"}},
          {{"--test-images", "a.npy", "--test-labels", "b.npy"}, {"--test-images", "--images"}},
      },
      {"train", "temp_net", "--data", write_data(data_folder, 80, 0)});
}
