// Files that an experiment names: rules of quantization, float models.
#include <filesystem>
#include <sstream>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;
namespace fs = std::filesystem;

TEST_CASE("files of rules are an axis, known by their content", "[slow]") {
  const TestFolder folder, here;
  const std::string data = write_data(folder), out = folder / "out";
  const auto rules = [&](const std::string& name, int bits) {
    write_file(folder / name,
               "[[rule]]\nkinds = [\"Conv2D\", \"DepthwiseConv2D\"]\nweights = { bits = " +
                   std::to_string(bits) + " }\n");
    return folder / name;
  };
  const std::string few = rules("few.toml", 3), many = rules("many.toml", 8);
  // Paths are those from where compare is called, in a file too.
  write_file(folder / "grid.toml",
             "model = \"depthwise_net\"\nseeds = 1\n[grid]\nquant_config = "
             "[\"few.toml\", \"many.toml\"]\nmethod = [\"qat\", \"ptq\"]\n"
             "[float]\nepochs = 1\n");
  const auto run = [&] {
    const ProcessResult process =
        run_perch({"compare", "grid.toml", "--data", data, "--out", out, "--jobs", "1", "--json"},
                  {.directory = folder.path()});
    REQUIRE(process.exit_code == 0);
    std::vector<Json> lines;
    std::istringstream text(process.out);
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    return lines;
  };
  auto lines = run();
  REQUIRE(count("cell", lines) == 4);
  const auto cells_of_lines = [&] {
    std::vector<std::string> ids;
    for (const Json& line : lines) {
      if (line.at("event") == "cell") ids.push_back(line.at("cell"));
    }
    return ids;
  };
  CHECK_THAT(cells_of_lines()[0], Catch::StartsWith("few-qat-s0-"));
  const Json results = Json::parse(read_file(fs::path(out) / "results.json"));
  CHECK(results.at("cells").at(0).at("settings").at("quant_config") == "few");
  const std::string command = results.at("cells").at(0).at("command");
  CHECK_THAT(command, Catch::Contains("--quant-config quant_configs/") &&
                          Catch::Contains("/few.toml --data"));
  const auto begin = command.find("quant_configs/");
  const std::string copy = command.substr(begin, command.find(".toml", begin) + 5 - begin);
  CHECK(read_file(fs::path(out) / copy) == read_file(few));

  rules("few.toml", 4);
  lines = run();
  REQUIRE(count("cell", lines) == 2);
  for (const std::string& id : cells_of_lines()) CHECK_THAT(id, Catch::StartsWith("few-"));
  // The same content elsewhere makes the same cells.
  const auto elsewhere = folder / "elsewhere";
  fs::create_directory(elsewhere);
  for (const std::string& file : {few, many}) {
    fs::copy(file, fs::path(elsewhere) / fs::path(file).filename());
  }
  CHECK(count("cell", events({"compare", "depthwise_net", "--grid",
                              "quant_config=" + elsewhere + "/few.toml," + elsewhere + "/many.toml",
                              "--grid", "method=qat,ptq", "--float-epochs", "1", "--seeds", "1",
                              "--data", data, "--out", out, "--jobs", "1"})) == 0);

  // An axis goes before what is said for all cells, even with the same file.
  CHECK(count("cell", events({"compare", "depthwise_net", "--set", "quant_config=" + few, "--grid",
                              "quant_config=" + few + "," + many, "--seeds", "1", "--data", data,
                              "--out", folder / "twice", "--jobs", "1", "--dry-run"})) == 2);

  const auto refused = [&](const std::string& files, int exit_code, Arguments more,
                           const std::vector<std::string>& words) {
    Arguments arguments = {
        "compare", "depthwise_net", "--grid",        "quant_config=" + files, "--data",
        data,      "--out",         folder / "other"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    check_error(run_perch(arguments), exit_code, words);
    CHECK_FALSE(fs::exists(folder / "other"));
  };
  refused(folder / "none.toml", 66, {}, {"none.toml", "existing file"});
  refused(many + "," + elsewhere + "/many.toml", 2, {}, {"many.toml", "rename"});
  refused(many, 2, {"--weight-bits", "8,4"}, {"--weight-bits", "--quant-config"});
  write_file(folder / "wrong.toml", std::string("[[rule]]\nkindz = \"Conv2D\"\n"));
  refused(folder / "wrong.toml", 65, {}, {"wrong.toml, line 2", "kinds"});
  write_file(folder / "wrong.toml",
             std::string("\n[[rule]]\nlayers = \"dense_7\"\nweights = {}\n"));
  refused(many + "," + folder / "wrong.toml", 2, {}, {"rule 1, line 2 of", "wrong.toml", "dense"});
}

TEST_CASE("cells begin with a float model that is there, known by its content", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder), out = folder / "out", save = folder / "models";
  const auto trained = [&](const std::string& name, Arguments more) {
    Arguments command = {"train", "depthwise_net", "--data",      data,  "--save", save, "--name",
                         name,    "--no-run-dir",  "--quantizer", "none"};
    command.insert(command.end(), more.begin(), more.end());
    return result(command);
  };
  const Json first = trained("start_0", {"--seed", "0"});
  trained("start_1", {"--seed", "1"});
  write_file(folder / "grid.toml",
             "model = \"depthwise_net\"\nseeds = 2\n[grid]\nmethod = [\"qat\", "
             "\"ptq\"]\n[float]\nfile = \"" +
                 save + "/start_{seed}_float.h5\"\n");
  const Arguments grid = {"compare", folder / "grid.toml", "--data", data, "--out", out, "--jobs",
                          "1"};
  CHECK(count("cell", events(grid)) == 4);
  const Json cells = Json::parse(read_file(fs::path(out) / "results.json")).at("cells");
  CHECK(cells.at(0).at("start_accuracy") == first.at("test_accuracy"));
  // As train and quantize make of that file.
  const std::string file = first.at("model");
  CHECK(cells.at(0).at("test_accuracy") ==
        result({"train", "depthwise_net", "--data", data, "--save", save, "--from", file})
            .at("test_accuracy"));
  CHECK(cells.at(1).at("test_accuracy") ==
        result({"quantize", file, "--data", data, "--save", save}).at("test_accuracy"));

  CHECK(count("cell", events(grid)) == 0);
  trained("start_1", {"--seed", "1", "--epochs", "2"});
  CHECK(count("cell", events(grid)) == 2);
  // One file for all seeds: one quantization, which takes no seed.
  Arguments one = {"compare",   "depthwise_net",
                   "--methods", "qat,ptq",
                   "--set",     "float.file=" + file,
                   "--seeds",   "2",
                   "--data",    data,
                   "--out",     folder / "one",
                   "--jobs",    "1"};
  CHECK(count("cell", events(one)) == 3);

  const auto refused = [&](const std::string& start, int exit_code, Arguments more,
                           const std::vector<std::string>& words) {
    Arguments arguments = {
        "compare", "depthwise_net", "--set", "float.file=" + start, "--seeds", "1", "--data", data,
        "--out",   folder / "other"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    check_error(run_perch(arguments), exit_code, words);
    CHECK_FALSE(fs::exists(folder / "other"));
  };
  refused(folder / "none_{seed}.h5", 66, {}, {"none_0.h5", "train"});
  refused(folder / "{seed}/none_{seed}.h5", 66, {}, {"0/none_0.h5", "train"});
  refused(file, 2, {"--float-epochs", "1"}, {"leave one out"});
  refused(file, 2, {"--set", "float.augment=true"}, {"float augment", "leave it out"});
  refused(file, 2, {"--set", "input_scale=raw"}, {"unit pixels", "input_scale = \"unit\""});
  const std::string quantized =
      result({"quantize", file, "--data", data, "--save", save}).at("model");
  refused(quantized, 2, {}, {"is quantized already", "float model"});
  const std::string other =
      result({"train", "ds_net", "--data", data, "--save", save, "--quantizer", "none"})
          .at("model");
  refused(other, 65, {}, {"ds_net_float.h5"});
  const std::string converted = save + "/other.safetensors";
  result({"convert", other, converted});
  refused(converted, 65, {}, {"other.safetensors"});
  write_file(folder / "wrong.h5", std::string("no model"));
  refused(folder / "wrong.h5", 65, {}, {"wrong.h5"});
}
