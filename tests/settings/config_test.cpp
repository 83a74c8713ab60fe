#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <tests/support/temp_folder.h>

#include <perch/settings/config_file.h>
#include <perch/settings/json_schema.h>

using namespace perch;
using namespace perch::test;

namespace {

std::vector<SettingKey> keys() {
  return {{.name = "epochs", .kind = SettingKind::integer, .usual = "1"},
          {.name = "learning_rate", .kind = SettingKind::number, .usual = "0.001"},
          {.name = "augment", .kind = SettingKind::flag, .usual = "false"},
          {.name = "optimizer", .kind = SettingKind::word, .words = {"adam", "sgd"}},
          {.name = "ranges_until"},
          {.name = "weight_range", .kind = SettingKind::number, .count = SettingCount::words},
          {.name = "bits_schedule", .kind = SettingKind::integer, .count = SettingCount::commas},
          key_of(*find_flag_setting("granularity")),
          key_of(*find_flag_setting("levels"))};
}

ConfigSchema schema() {
  return {{.name = "", .description = "All", .keys = keys()},
          {.name = "grid", .description = "Axes", .keys = keys(), .axes = true},
          {.name = "train", .description = "Training", .keys = keys()}};
}

std::vector<ConfigEntry> read(const std::string& text) {
  const TempFolder folder;
  write_file(folder / "a.toml", text);
  return read_config(folder / "a.toml", schema());
}

void check_refused(const std::string& text, const std::string& words) {
  INFO(text);
  CHECK_THROWS_WITH(read(text), Catch::Contains(words));
}

}  // namespace

TEST_CASE("a configuration is read in its order, with places") {
  const auto entries = read(
      "epochs = 3\nlearning_rate = 1\nranges_until = 500\naugment = false\n"
      "[train]\nweight_range = [-1, 0.5]\nbits_schedule = \"8,4\"\n"
      "[grid]\ngranularity = [\"per_tensor\", \"per_channel\"]\nweight_range = [[-1, 1], "
      "\"-2,2\"]\n"
      "epochs = 2\n");
  REQUIRE(entries.size() == 9);
  CHECK(entries[0].key == "epochs");
  CHECK(entries[0].origin.ends_with("a.toml, line 1"));
  CHECK(entries[1].value() == "1");
  CHECK(entries[2].value() == "500");
  CHECK(entries[4].table == "train");
  CHECK(entries[4].values == std::vector<std::string>{"-1", "0.5"});
  CHECK(entries[5].values == std::vector<std::string>{"8", "4"});
  CHECK(entries[5].is_list);
  CHECK(entries[6].table == "grid");
  CHECK(entries[6].values == std::vector<std::string>{"per_tensor", "per_channel"});
  CHECK(entries[7].values == std::vector<std::string>{"-1,1", "-2,2"});
  CHECK(entries[8].values == std::vector<std::string>{"2"});
}

TEST_CASE("what a configuration may not hold is refused with its line and the nearest") {
  check_refused("epochs = 1\nepoch = 2\n",
                "line 2: unknown key \"epoch\"; the nearest is \"epochs\"");
  check_refused("[train]\n\nlearning_rte = 2\n", "line 3: unknown key \"learning_rte\" in [train]");
  check_refused("[trian]\nepochs = 1\n", "line 1: unknown table [trian]; the nearest is [train]");
  check_refused("train = 3\n", "\"train\" must be a table");
  check_refused("epochs = 1.5\n", "\"epochs\" is 1.5, must be a whole number");
  check_refused("epochs = \"1\"\n", "without quotes");
  check_refused("epochs = true\n", "must be a whole number");
  check_refused("epochs = [1, 2]\n", "must be a number, a text, true or false");
  check_refused("ranges_until = true\n", "is no flag");
  check_refused("augment = 1\n", "must be true or false");
  check_refused("augment = \"true\"\n", "without quotes");
  check_refused("optimizer = \"adm\"\n", "nearest: adam");
  check_refused("granularity = \"per_chanel\"\n", "nearest: per_channel");
  check_refused("weight_range = [-1, \"x\"]\n", "must be a number");
  check_refused("[grid]\nepochs = []\n", "no values");
  check_refused("epochs = 1\nepochs = 2\n", "line 2");
  check_refused("epochs = 1979-05-27\n", "\"epochs\" must be");
}

TEST_CASE("assignments are settings, too") {
  const ConfigEntry top = parse_assignment("epochs=3", schema());
  CHECK((top.table.empty() && top.key == "epochs" && top.value() == "3" && !top.in_file));
  const ConfigEntry axis = parse_assignment("grid.epochs=3,4", schema());
  CHECK((axis.table == "grid" && axis.values.size() == 2));
  for (const auto& [text, word] :
       {std::pair("epochs", "KEY=VALUE"), std::pair("=3", "KEY=VALUE"),
        std::pair("epochs=", "KEY=VALUE"), std::pair("train.epoch=3", "train.epochs"),
        std::pair("epochs=three", "whole number"), std::pair("trian.epochs=3", "train.epochs")}) {
    INFO(text);
    CHECK_THROWS_WITH(parse_assignment(text, schema()), Catch::Contains(word));
  }
}

TEST_CASE("settings become options") {
  std::vector<std::string> words;
  const auto add = [&](const char* name, const std::string& value) {
    const auto all = keys();
    append_options(words, *find_key(all, name), value);
  };
  add("epochs", "3");
  add("augment", "false");
  add("augment", "true");
  add("weight_range", "-1,1");
  add("bits_schedule", "8,4");
  add("granularity", "per_tensor");
  add("levels", "symmetric_narrow");
  CHECK(words == std::vector<std::string>{"--epochs", "3", "--augment", "--weight-range", "-1", "1",
                                          "--bits-schedule", "8,4", "--per-tensor", "--symmetric",
                                          "--narrow-range"});
}

TEST_CASE("the JSON Schema says what the reader takes") {
  const auto json = nlohmann::json::parse(json_schema(schema(), "test"));
  const auto& properties = json.at("properties");
  CHECK(json.at("additionalProperties") == false);
  CHECK(properties.at("epochs").at("type") == "integer");
  CHECK(properties.at("epochs").at("default") == 1);
  CHECK(properties.at("augment").at("default") == false);
  CHECK(properties.at("optimizer").at("enum") == nlohmann::json({"adam", "sgd"}));
  CHECK(properties.at("weight_range").at("anyOf").at(1).at("items").at("type") == "number");
  CHECK(properties.at("grid").at("properties").at("epochs").at("anyOf").size() == 2);
  CHECK(properties.at("train").at("additionalProperties") == false);
}
