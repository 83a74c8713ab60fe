// Configuration files: precedence, perch config, and runs done again from what they left.
#include <filesystem>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;
namespace fs = std::filesystem;

namespace {

std::string write(const TestFolder& folder, const std::string& text,
                  const std::string& name = "perch.toml") {
  write_file(folder.path() / name, text);
  return folder / name;
}

/// The line of a setting in what `config show` prints.
std::string shown(const Arguments& arguments, const std::string& setting) {
  Arguments all = {"config", "show"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::istringstream lines(result(all).at("config").get<std::string>());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(setting + " = ")) return line;
  }
  return {};
}

void check_bad(const TestFolder& folder, const std::string& text,
               const std::vector<std::string>& words) {
  INFO(text);
  check_error(run_perch({"config", "check", write(folder, text)}), 65, words);
}

}  // namespace

TEST_CASE("a flag goes before --set, that before the file, that before defaults") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  const std::string file = write(
      folder, "model = \"depthwise_net\"\ndata = \"" + data + "\"\nepochs = 1\nseed = 3\n" +
                  "save = \"" + (folder / "out") + "\"\nquantizer = \"last_value\"\n" +
                  "granularity = \"per_tensor\"\nlearning_rate = 0.01\n[train]\nweight_bits = 6\n");
  const Json trained = result({"train", "--config", file, "--set", "learning_rate=0.02", "--set",
                               "weight_bits=5", "--seed", "4", "--per-channel", "--quiet"});
  CHECK(trained.at("name") == "depthwise_net_5wbits_8abits_asym_full_perch_LV");
  const std::string config =
      read_file(fs::path(trained.at("run").get<std::string>()) / "config.toml");
  for (const char* line : {"model = \"depthwise_net\"\n", "seed = 4\n", "learning_rate = 0.02\n",
                           "granularity = \"per_channel\"\n", "weight_bits = 5\n",
                           "quantizer = \"last_value\"\n", "batch_size = 64  # default\n"}) {
    INFO(config << "\nlacks " << line);
    CHECK(config.find(line) != std::string::npos);
  }

  // A run is done again from what it left, to the bit.
  const std::string model = read_file(trained.at("model").get<std::string>());
  const Json again =
      result({"train", "--config", trained.at("run").get<std::string>() + "/config.toml", "--save",
              folder / "again"});
  CHECK(again.at("test_loss") == trained.at("test_loss"));
  CHECK(read_file(again.at("model").get<std::string>()) == model);
}

TEST_CASE("every run leaves a configuration that trains it again", "[slow]") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  for (const char* flags :
       {"--quantizer none", "--scheme n_bit --weight-bits 4", "--bits-schedule 8,4",
        "--quantizer lsq --range-rate-factor 0.5", "--quantizer fixed --weight-range -1 1",
        "--optimizer sgd --momentum 0.9 --schedule cosine --warmup 3 --per-tensor --symmetric",
        "--oscillations --dampen 1e-1 --activations-from 1 --checkpoint-every 3 --resume auto",
        "--name 007", "--name 1.10", "--name a\nb"}) {
    INFO(flags);
    Arguments train = {"train",  "depthwise_net", "--data", data,
                       "--save", folder / "out",  "--quiet"};
    std::istringstream words(flags);
    for (std::string word; std::getline(words, word, ' ');) train.push_back(word);
    const Json run = result(train);
    const std::string config = run.at("run").get<std::string>() + "/config.toml";
    CHECK(result({"config", "check", config}).at("commands") == Json({"train"}));
    CHECK(result({"train", "--config", config, "--resume", "auto"}).at("test_loss") ==
          run.at("test_loss"));
    const Json again = result({"train", "--config", config, "--save", folder / "again"});
    CHECK(again.at("test_loss") == run.at("test_loss"));
    CHECK(again.at("name") == run.at("name"));
  }
}

TEST_CASE("what a higher place says leaves out what it excludes below") {
  const TestFolder folder;
  const std::string file = write(folder,
                                 "model = \"temp_net\"\nquantizer = \"lsq\"\nweight_bits = 4\n"
                                 "dampen = 0.1\n");
  CHECK(shown({file}, "weight_bits") == "weight_bits = 4  # " + file + ", line 3");
  CHECK(shown({file, "--set", "quantizer=none"}, "weight_bits").empty());
  CHECK(shown({file, "--set", "quantizer=none"}, "quantizer") ==
        "quantizer = \"none\"  # --set quantizer=none");
  CHECK(shown({file, "--set", "scheme=n_bit"}, "weight_bits") ==
        "weight_bits = 4  # " + file + ", line 3");
  CHECK(shown({file, "--set", "scheme=n_bit"}, "quantizer").empty());
  CHECK(shown({file, "--set", "scheme=default_8bit"}, "weight_bits").empty());
  CHECK(shown({file, "--set", "bits_schedule=8,4"}, "weight_bits").empty());
  CHECK_FALSE(shown({file, "--set", "bits_schedule=8,4"}, "bits_schedule").empty());
  // The last --set of a key counts.
  CHECK(shown({file, "--set", "granularity=per_tensor", "--set", "granularity=per_channel"},
              "granularity") == "granularity = \"per_channel\"  # --set granularity=per_channel");
  // A flag that is off says nothing else.
  const std::string kept = write(folder, "model = \"temp_net\"\nrun_dir = \"R\"\n", "kept.toml");
  CHECK(shown({kept, "--set", "no_run_dir=false"}, "run_dir").starts_with("run_dir = \"R\""));
  CHECK(shown({kept, "--set", "no_run_dir=true"}, "run_dir").empty());
  // In one place they contradict each other.
  check_bad(folder, "model = \"temp_net\"\nscheme = \"n_bit\"\nquantizer = \"lsq\"\n",
            {"line", "--quantizer", "--scheme"});
}

TEST_CASE("each --set and --grid takes one word, so that anything may follow") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  CHECK(result({"train", "--set", "epochs=2", "temp_net", "--data", data, "--dry-run"})
            .at("epochs") == 2);
  CHECK(count("cell",
              events({"compare", "--set", "seeds=1", "--grid", "optimizer=adam,sgd", "temp_net",
                      "--data", data, "--out", folder / "out", "--jobs", "1", "--dry-run"})) == 2);
}

TEST_CASE("every command has its table and takes what it has from above the tables") {
  const TestFolder folder;
  const std::string file = write(folder,
                                 "quantizer = \"last_value\"\noscillations = true\ndata = \"D\"\n"
                                 "[train]\nweight_bits = 4\n"
                                 "[quantize]\nmodel = \"float.h5\"\nequalise = true\n"
                                 "[analyze]\nlimit = 7\n");
  CHECK(result({"config", "check", file}).at("commands") == Json({"train", "quantize", "analyze"}));
  CHECK(shown({file, "--for", "quantize"}, "model") ==
        "model = \"float.h5\"  # " + file + ", line 7");
  CHECK(shown({file, "--for", "quantize"}, "data").starts_with("data = \"D\""));
  CHECK(shown({file, "--for", "quantize"}, "quantizer").starts_with("quantizer = \"last_value\""));
  CHECK(shown({file, "--for", "quantize"}, "weight_bits").empty());
  CHECK(shown({file, "--for", "analyze"}, "quantizer") == "quantizer = \"all_values\"  # default");
  CHECK(shown({file, "--for", "analyze"}, "limit").starts_with("limit = 7"));
  // What is missing is named.
  check_error(run_perch({"analyze", "--config", file}), 2, {"MODEL is required", "model"});
  check_error(run_perch({"quantize", "--config", file}), 66, {"float.h5"});
}

TEST_CASE("what perch config shows is a configuration") {
  const TestFolder folder;
  for (const char* command : {"train", "quantize", "analyze"}) {
    const Json first = result({"config", "show", "--for", command});
    const std::string file = write(folder, first.at("config").get<std::string>());
    CHECK(result({"config", "check", file}).at("commands") == Json({command}));
  }
  const std::string grid = source_folder() + "/examples/granularity.toml";
  const std::string text = result({"config", "show", grid}).at("config");
  const std::string file = write(folder, text);
  CHECK(result({"config", "check", file}).at("commands") == Json({"compare"}));
  CHECK(result({"config", "show", file}).at("config") == text);

  const std::string own = write(folder,
                                "model = \"temp_net\"\ndata = \"D\"\n[grid]\nweight_bits = [8, 4]\n"
                                "[compare]\nout = \"X\"\njobs = 2\nquiet = true\n");
  const std::string compared = result({"config", "show", own}).at("config");
  for (const char* line : {"out = \"X\"\n", "data = \"D\"\n", "jobs = \"2\"\n", "quiet = true\n"}) {
    CHECK_THAT(compared.substr(compared.find("[compare]")), Catch::Contains(line));
  }
  CHECK(result({"config", "show", write(folder, compared)}).at("config") == compared);
}

TEST_CASE("compare takes a configuration, too, and a run's settings as those of its cells") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  const std::string file =
      write(folder,
            "model = \"depthwise_net\"\nepochs = 2\nseed = 9\nquantizer = \"lsq\"\nseeds = 2\n"
            "[grid]\nweight_bits = [8, 4]\n[train]\nepochs = 1\nsave = \"elsewhere\"\n"
            "[compare]\ndata = \"" +
                data + "\"\nout = \"" + (folder / "out") + "\"\njobs = 1\n");
  const auto lines = events({"compare", file, "--set", "grid.weight_bits=4,2", "--set",
                             "learning_rate=0.01", "--set", "epochs=3", "--dry-run"});
  REQUIRE(lines.size() == 5);
  CHECK(lines[0].at("command") ==
        "perch train depthwise_net --seed 0 --epochs 3 --learning-rate 0.01 --quantizer lsq "
        "--weight-bits 4");
  CHECK_FALSE(fs::exists(folder.path() / "out"));
}

TEST_CASE("the schema names every setting") {
  const Json schema = result({"config", "schema"}).at("schema");
  const Json& top = schema.at("properties");
  for (const char* key : {"model", "epochs", "granularity", "quantizer", "seeds", "grid", "train",
                          "quantize", "analyze", "compare", "float"}) {
    CHECK(top.contains(key));
  }
  CHECK(top.at("learning_rate").at("default") == 0.001);
  CHECK(top.at("quantizer").at("enum").size() > 10);
  for (const char* key : {"config", "set", "json", "help", "dry_run", "yes"}) {
    CHECK_FALSE(top.contains(key));
    CHECK_FALSE(top.at("compare").at("properties").contains(key));
  }
}

TEST_CASE("bad configurations are refused with their place") {
  const TestFolder folder;
  check_bad(folder, "epoch = 1\n", {"perch.toml, line 1", "\"epoch\"", "\"epochs\""});
  check_bad(folder, "weight_bits = 99\n", {"perch.toml, line 1", "--weight-bits is 99"});
  check_bad(folder, "model = \"temp_net\"\n\nmomentum = 0.5\n", {"line 3", "--momentum"});
  check_bad(folder, "model = \"tempnet\"\n", {"line 1", "temp_net"});
  check_bad(folder, "[quantize]\nadaround_iterations = 5\n", {"line 2", "--adaround"});
  check_bad(folder, "[analyze]\nbudget = 0.5\n", {"line 2", "--budget"});
  check_bad(folder, "model = \"temp_net\"\n[grid]\nweight_bits = [8, 99]\n",
            {"line 3", "weight-bits is 99"});
  check_bad(folder, "model = \"temp_net\"\n[grid]\nweight_bits = [8, 8]\n", {"line 3", "8 twice"});
  check_bad(folder, "model = \"temp_net\"\n[grid]\nmethod = [\"ptq\"]\n", {"line 3", "method ptq"});
  check_bad(folder, "model = \"temp_net\"\nseeds = 0\n[grid]\nweight_bits = 8\n",
            {"line 2", "seeds"});
  check_bad(folder, "model = \"temp_net\"\nseeds = [1, 1]\n[grid]\nweight_bits = 8\n",
            {"line 2", "1 twice"});
  check_bad(folder, "model = \"temp_net\"\n[float]\nepochs = 1\nfile = \"x.h5\"\n",
            {"line 4", "leave one out"});
  check_bad(folder, "model = \"temp_net\"\n[compare]\njobs = 0\n", {"line 3", "--jobs is 0"});
  check_bad(folder, "model = \"temp_net\"\n[compare]\nquestion = \"range\"\n",
            {"line 3", "question \"range\""});
  check_error(
      run_perch({"config", "check", write(folder, "[grid]\nweight_bits = [99]\n", "a.cfg")}), 2,
      {"a.cfg", ".toml"});
  check_bad(folder, "[grid]\nweight_bits = [8]\n", {"there is no model"});
  check_error(run_perch({"train", "--config", folder / "none.toml"}), 66, {"none.toml"});
  check_error(run_perch({"config", "check", folder.path().string()}), 66, {"existing file"});
  check_error(run_perch({"train", "temp_net", "--set", "epoch=1"}), 2, {"--set epoch=1", "epochs"});
  check_error(run_perch({"train", "temp_net", "--set", "weight_bits=99"}), 2,
              {"--set weight_bits=99", "--weight-bits is 99"});
  check_error(run_perch({"config", "show", "--for", "trian"}), 2, {"train"});
  check_error(run_perch({"config"}), 2, {"check", "show", "schema"});
}
