#include <algorithm>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <tests/io/small_models.h>
#include <tests/support/errors.h>
#include <tests/support/temp_folder.h>

#include <perch/io/run_folder.h>
#include <perch/io/run_reader.h>
#include <perch/perch.h>

using namespace perch;
using namespace perch::test;
namespace fs = std::filesystem;

namespace {

Dataset some_data(std::int64_t count) {
  const Tensor images = some_images(count);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(i % 3));
  return from_memory(std::vector<float>(images.data(), images.data() + images.size()), labels,
                     small_image());
}

void train(const std::shared_ptr<io::RunFolder>& folder, std::int64_t epochs) {
  Sequential model = small_net();
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  trainer.fit(some_data(12), {.epochs = epochs,
                              .batch_size = 4,
                              .validation_split = 0.25,
                              .callbacks = {io::run_recorder(folder)}});
}

std::size_t lines_of(const fs::path& file) {
  const std::string text = read_file(file);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::shared_ptr<io::RunFolder> some_run(const fs::path& parent) {
  auto folder = io::RunFolder::create(parent, "net");
  folder->set_status({.started = io::utc_now(), .epochs = 2});
  folder->write_config("some run", {{"epochs", std::int64_t{2}},
                                    {"rate", 0.1, true},
                                    {"whole", 1.0, true},
                                    {"clip"},
                                    {"name", std::string("a \"b\"\n")}});
  folder->write_environment({{"threads", std::int64_t{2}}, {"cpu", std::string("one")}});
  return folder;
}

}  // namespace

TEST_CASE("a run's folder is read back as it was written") {
  const TempFolder place;
  fs::path path;
  {
    const auto folder = some_run(place.path() / "runs");
    path = folder->path();
    CHECK(io::is_run_name(path.filename()));
    train(folder, 2);
    CHECK(io::read_run(path).alive);
    folder->log("one line");
    io::RunStatus status = folder->status();
    status.state = io::RunState::complete;
    status.test_accuracy = 0.5;
    folder->set_status(status);
  }
  const io::RunReport run = io::read_run(path);
  CHECK(run.status.state == io::RunState::complete);
  CHECK(run.status.test_accuracy == 0.5);
  CHECK_FALSE(run.status.test_loss);
  CHECK(run.epochs_done == 2);
  CHECK(path.filename().string() ==
        fmt::format("net-{}-{}", path.filename().string().substr(4, 16), run.id));
  REQUIRE(run.settings.size() == 4);  // in TOML's order, and without the one that has no value
  CHECK(run.settings[0].value == io::RunValue(std::int64_t{2}));
  CHECK(run.settings[1].value == io::RunValue(std::string("a \"b\"\n")));
  CHECK(run.settings[2].value == io::RunValue(0.1));
  CHECK(run.settings[3].value == io::RunValue(1.0));
  CHECK_THAT(read_file(path / "config.toml"), Catch::Contains("rate = 0.1  # default\n") &&
                                                  Catch::Contains("epochs = 2\n") &&
                                                  Catch::Contains("# clip\n"));
  CHECK(run.facts.at(0).second == io::RunValue(std::int64_t{2}));
  CHECK(lines_of(path / "metrics.csv") == 3);
  CHECK(lines_of(path / "metrics.jsonl") == 2);
  CHECK_THAT(read_file(path / "log.txt"),
             Catch::Contains("Z epoch 2/2: loss") && Catch::EndsWith("Z one line\n"));
}

TEST_CASE("going on with a run writes its rows anew and adds to its log", "[slow]") {
  const TempFolder place;
  fs::path path;
  {
    const auto folder = some_run(place.path());
    path = folder->path();
    train(folder, 3);
    CHECK_THAT(error_of(ErrorCode::cannot_create, [&] { io::RunFolder::reopen(path, 1); }),
               Catch::Contains("in use"));
  }
  CHECK_FALSE(io::read_run(path).alive);
  const std::string csv = read_file(path / "metrics.csv");
  {
    const auto folder = io::RunFolder::reopen(path, 1);
    CHECK(folder->status().epochs == 2);
    CHECK(read_file(path / "metrics.csv") == csv);
    train(folder, 1);
  }
  CHECK(lines_of(path / "metrics.csv") == 2);
  CHECK(lines_of(path / "metrics.jsonl") == 1);
  CHECK(lines_of(path / "log.txt") == 4);
  std::size_t events = 0;
  for (const auto& entry : fs::directory_iterator(path)) {
    events += entry.path().filename().string().starts_with("events.out.tfevents");
  }
  CHECK(events == 2);
  CHECK_THAT(error_of(ErrorCode::missing_input, [&] { io::RunFolder::reopen(place / "no", 1); }),
             Catch::Contains("status.json"));
}

TEST_CASE("the model is kept under a further name, checkpoints by a link") {
  const TempFolder place;
  write_file(place / "m.h5", "model");
  write_file(place / "m.checkpoints/one", "");
  const auto folder = io::RunFolder::create(place / "runs", "m");
  folder->keep(place / "m.h5");
  folder->keep(place / "m.h5");
  CHECK(read_file(folder->path() / "m.h5") == "model");
  CHECK(fs::hard_link_count(place / "m.h5") == 2);
  folder->link_checkpoints(place / "none");
  CHECK_FALSE(fs::exists(folder->path() / "checkpoints"));
  folder->link_checkpoints(place / "m.checkpoints");
  CHECK(fs::read_symlink(folder->path() / "checkpoints") == "../../m.checkpoints");
  CHECK(fs::exists(folder->path() / "checkpoints/one"));
}

TEST_CASE("runs are found by a part of their names, and broken ones say what is wrong") {
  const TempFolder place;
  const fs::path one = some_run(place.path())->path(), two = some_run(place.path())->path();
  fs::create_directories(place / "else");
  CHECK(io::run_folders(place.path()).size() == 2);
  CHECK(io::find_run(place.path(), io::run_id(one)) == one);
  CHECK(io::find_run("nowhere", two.string()) == two);
  CHECK_THAT(error_of(ErrorCode::usage, [&] { io::find_run(place.path(), "net-"); }),
             Catch::Contains("2 runs") && Catch::Contains(one.filename().string()));
  CHECK_THAT(error_of(ErrorCode::missing_input, [&] { io::find_run(place.path(), "zz"); }),
             Catch::Contains("zz"));
  error_of(ErrorCode::missing_input, [&] { io::run_folders(place / "none"); });

  const auto wrong = [&](const char* file, const std::string& text, ErrorCode code) {
    const std::string before = read_file(one / file);
    if (text.empty()) {
      fs::remove(one / file);
    } else {
      write_file(one / file, text);
    }
    CHECK_THAT(error_of(code, [&] { io::read_run(one); }), Catch::Contains(file));
    write_file(one / file, before);
  };
  wrong("status.json", "", ErrorCode::missing_input);
  wrong("status.json", "{\"state\": \"run", ErrorCode::bad_data);
  wrong("status.json", "{}", ErrorCode::bad_data);
  wrong("status.json", "[1]", ErrorCode::bad_data);
  std::string odd = read_file(one / "status.json");
  odd.replace(odd.find("running"), 7, "resting");
  wrong("status.json", odd, ErrorCode::bad_data);
  wrong("config.toml", "epochs = ", ErrorCode::bad_data);
  wrong("config.toml", "epochs = [1]", ErrorCode::bad_data);
  wrong("config.toml", "", ErrorCode::missing_input);
  wrong("env.json", "[]", ErrorCode::bad_data);
  wrong("env.json", "{\"cpu\": {}}", ErrorCode::bad_data);
  CHECK(io::read_run(one).epochs_done == 0);
}
