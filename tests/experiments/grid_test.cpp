#include <set>

#include <catch2/catch.hpp>
#include <tests/support/temp_folder.h>
#include <tests/support/vocabulary.h>

#include <perch/core/error.h>
#include <perch/experiments/command.h>

using namespace perch;
using namespace perch::experiments;
using perch::test::vocabulary;

namespace {

Experiment experiment() {
  return {.model = "temp_net",
          .seeds = {0, 7},
          .float_epochs = 2,
          .grid = {{"method", {"qat", "ptq"}},
                   {"granularity", {"per_tensor", "per_channel"}},
                   {"weight_bits", {"8", "4"}},
                   {"quantizer", {"all_values"}}},
          .train = {{"epochs", "3"}, {"augment", "true"}, {"width", "0.5"}},
          .start = {{"augment", "true"}},
          .question = ""};
}

}  // namespace

TEST_CASE("a grid has every combination once, whole seeds first") {
  const auto cells = cells_of(experiment());
  REQUIRE(cells.size() == 16);
  std::set<std::string> labels;
  for (const Cell& cell : cells) labels.insert(label_of(experiment(), cell));
  CHECK(labels.size() == 16);
  CHECK(label_of(experiment(), cells[1]) == "qat-per_tensor-weight_bits_4-s0");
  for (std::size_t i = 0; i < 8; ++i) CHECK(cells[i].seed == 0);
}

TEST_CASE("cells become commands") {
  const auto cells = cells_of(experiment());
  CHECK(cell_command(experiment(), cells[1], vocabulary(), "start.h5") ==
        Arguments{"train", "temp_net", "--seed", "0", "--from", "start.h5", "--epochs", "3",
                  "--augment", "--width", "0.5", "--per-tensor", "--weight-bits", "4",
                  "--quantizer", "all_values"});
  // Quantization after training takes nothing of training's.
  CHECK(cell_command(experiment(), cells[6], vocabulary(), "start.h5") ==
        Arguments{"quantize", "start.h5", "--per-channel", "--weight-bits", "8", "--quantizer",
                  "all_values"});
  // The start sees what makes the network.
  CHECK(start_command(experiment(), cells[1], vocabulary()) ==
        Arguments{"train", "temp_net", "--quantizer", "none", "--seed", "0", "--epochs", "2",
                  "--augment", "--width", "0.5"});
}

TEST_CASE("networks and what cells begin with are axes, too") {
  Experiment one = experiment();
  one.model.clear();
  one.seeds = {0};
  one.grid = {{"model", {"temp_net", "ds_net"}}, {"start", {"float", "fresh"}}};
  one.train = {};
  CHECK_NOTHROW(check(one, vocabulary()));
  CHECK(network_names(one) == "temp_net and ds_net");
  const auto cells = cells_of(one);
  REQUIRE(cells.size() == 4);
  CHECK(label_of(one, cells[3]) == "ds_net-fresh-s0");
  CHECK(start_command(one, cells[2], vocabulary())[1] == "ds_net");
  CHECK(begins_with_float(one, cells[2]));
  CHECK(cell_command(one, cells[2], vocabulary(), "start.h5") ==
        Arguments{"train", "ds_net", "--seed", "0", "--from", "start.h5"});
  CHECK_FALSE(begins_with_float(one, cells[3]));
  CHECK(cell_command(one, cells[3], vocabulary(), "") ==
        Arguments{"train", "ds_net", "--seed", "0"});

  one.train = {{"method", "ptq"}};
  CHECK_THROWS_WITH(cell_command(one, cells[3], vocabulary(), ""),
                    Catch::Contains("ds_net-fresh-s0") && Catch::Contains("start fresh"));
  one.train = {};
  one.float_epochs = 0;
  one.start = {};
  CHECK_THROWS_WITH(check(one, vocabulary()), Catch::Contains("without a float start"));
  one.start = {{"file", "a.h5"}};
  CHECK_THROWS_WITH(check(one, vocabulary()), Catch::Contains("of one network"));
}

TEST_CASE("options of quantization after training are settings of those cells") {
  Experiment one = experiment();
  one.grid = {{"method", {"qat", "ptq"}}, {"equalise", {"false", "true"}}};
  one.train = {};
  CHECK_NOTHROW(check(one, vocabulary()));
  const auto cells = cells_of(one);
  CHECK(cell_command(one, cells[1], vocabulary(), "start.h5") ==
        cell_command(one, cells[0], vocabulary(), "start.h5"));
  CHECK(cell_command(one, cells[3], vocabulary(), "start.h5") ==
        Arguments{"quantize", "start.h5", "--equalise"});
  one.grid[0].values = {"qat"};
  CHECK_THROWS_WITH(check(one, vocabulary()),
                    Catch::Contains("equalise") && Catch::Contains("ptq"));
}

TEST_CASE("several words of one setting, and flags that are off") {
  Experiment one = experiment();
  one.float_epochs = 0;
  one.start = {};
  one.grid = {{"weight_range", {"-1,1"}}, {"augment", {"false"}}, {"levels", {"symmetric_narrow"}}};
  one.train = {};
  CHECK(cell_command(one, cells_of(one)[0], vocabulary(), "") ==
        Arguments{"train", "temp_net", "--seed", "0", "--weight-range", "-1", "1", "--symmetric",
                  "--narrow-range"});
}

TEST_CASE("what no cell can be is refused") {
  CHECK_NOTHROW(check(experiment(), vocabulary()));
  const auto refused = [](auto change, const std::string& word) {
    Experiment wrong = experiment();
    change(wrong);
    CHECK_THROWS_WITH(check(wrong, vocabulary()), Catch::Contains(word));
  };
  refused([](Experiment& e) { e.grid.push_back({"weigth_bits", {"8"}}); }, "weight_bits");
  refused([](Experiment& e) { e.grid[1].values = {"per_chanel"}; }, "per_channel");
  refused([](Experiment& e) { e.grid[1].values = {}; }, "no cells");
  refused([](Experiment& e) { e.seeds = {}; }, "no cells");
  refused([](Experiment& e) { e.grid[2].values = {"8", "8"}; }, "twice");
  refused([](Experiment& e) { e.grid.push_back({"method", {"qat"}}); }, "twice");
  refused([](Experiment& e) { e.float_epochs = 0, e.start = {}; }, "float model");
  refused([](Experiment& e) { e.float_epochs = 0; }, "without a float start");
  refused([](Experiment& e) { e.start = {{"weight_bits", "4"}}; }, "unknown setting");
  refused([](Experiment& e) { e.start = {{"epochs", "4"}}; }, "unknown setting");
  refused([](Experiment& e) { e.train = {{"augment", "yes"}}; }, "true");
  refused([](Experiment& e) { e.question = "quantizer"; }, "question");
  refused([](Experiment& e) { e.seeds.resize(6251); }, "50000 cells");
  refused([](Experiment& e) { e.seeds.resize(std::size_t{1} << 20); }, "50000 cells");
}

TEST_CASE("the question is granularity, else the first axis that varies") {
  Experiment one = experiment();
  CHECK(question_of(one) == "granularity");
  one.grid[1].values = {"per_channel"};
  CHECK(question_of(one) == "method");
  one.question = "weight_bits";
  CHECK(question_of(one) == "weight_bits");
  one.question = "";
  for (Axis& axis : one.grid) axis.values.resize(1);
  CHECK(question_of(one).empty());
}
