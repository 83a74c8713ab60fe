// Checkpoint files: whole or refused, whatever happens to them or to their writing.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <tests/io/small_models.h>
#include <tests/support/allocation_counter.h>
#include <tests/support/errors.h>
#include <tests/support/places.h>
#include <tests/support/temp_folder.h>
#include <unistd.h>

#include <perch/core/random.h>
#include <perch/io/atomic_file.h>
#include <perch/io/checkpoint.h>
#include <perch/io/file_calls.h>
#include <perch/io/safetensors.h>
#include <perch/io/sealed.h>

using namespace perch;
using namespace perch::test;
using namespace perch::io;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

TrainingState some_state(std::int64_t step = 500) {
  TrainingState state{.epoch = 2, .batch = 100, .step = step};
  state.totals = {.loss = 0.1 + 0.2, .correct = 7, .images = 64};
  state.seconds = 1.5;
  state.history = {{.epoch = 0,
                    .loss = 2.25,
                    .accuracy = 0.1,
                    .val_loss = std::numeric_limits<double>::infinity()},
                   {.epoch = 1,
                    .loss = 1.0 / 3.0,
                    .accuracy = 0.25,
                    .oscillating = 0.5,
                    .clipped = 1.0 / 3.0,
                    .clipped_layers = {{"quant_z", 0.1}, {"quant_a", 0.0}}}};
  state.tensors = {{"model/conv2d/kernel", Tensor({2, 2}, {1.0f, -2.5f, 3e-38f, 4.0f})},
                   {"model/quant_conv2d/kernel_min", Tensor::scalar(-0.75f)},
                   {"optimizer/m/conv2d/kernel", Tensor({2, 2}, {0.0f, -0.0f, 1e-45f, 4.0f})}};
  state.values = {{"model/quant_conv2d/optimizer_step", "500"}, {"optimizer/iterations", "500"}};
  state.settings = {{"epochs", "5"}, {"note", "Müller \"\n"}};
  return state;
}

void check_same(const TrainingState& a, const TrainingState& b) {
  CHECK(a.step == b.step);
  CHECK((a.epoch == b.epoch && a.batch == b.batch && a.stopped == b.stopped));
  CHECK((a.totals.loss == b.totals.loss && a.totals.correct == b.totals.correct &&
         a.totals.images == b.totals.images && a.seconds == b.seconds));
  CHECK(a.values == b.values);
  CHECK(a.settings == b.settings);
  REQUIRE(a.history.size() == b.history.size());
  for (std::size_t i = 0; i < a.history.size(); ++i) {
    CHECK(a.history[i].loss == b.history[i].loss);
    CHECK(a.history[i].val_loss == b.history[i].val_loss);
    CHECK(a.history[i].oscillating == b.history[i].oscillating);
    CHECK(a.history[i].clipped == b.history[i].clipped);
    REQUIRE(a.history[i].clipped_layers.size() == b.history[i].clipped_layers.size());
    for (std::size_t k = 0; k < a.history[i].clipped_layers.size(); ++k) {
      CHECK(a.history[i].clipped_layers[k].layer == b.history[i].clipped_layers[k].layer);
      CHECK(a.history[i].clipped_layers[k].share == b.history[i].clipped_layers[k].share);
    }
  }
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    const Tensor& other = b.tensors.at(name);
    CHECK(tensor.shape() == other.shape());
    CHECK(std::memcmp(tensor.data(), other.data(), tensor.values().size_bytes()) == 0);
  }
}

/// True when the bytes are refused as they should be; what loads must be what was saved.
bool refused(const std::string& bytes, const TrainingState& saved) {
  try {
    check_same(parse_checkpoint(std::as_bytes(std::span(bytes)), "a.safetensors"), saved);
    return false;
  } catch (const Error& error) {
    CHECK(static_cast<int>(error.code()) == static_cast<int>(ErrorCode::bad_data));
    CHECK_THAT(error.what(), Contains("a.safetensors"));
    return true;
  }
}

// Writing, call by call. Calls fail from a chosen one on, or once; what was done is noted.
struct Calls {
  int number = 0, fail_at = -1, error = ENOSPC;
  bool short_writes = false;
};
Calls calls;
FileCalls real;

bool fails() {
  if (calls.number++ != calls.fail_at) return false;
  errno = calls.error;
  return true;
}

class Injected {
 public:
  explicit Injected(const Calls& wanted) {
    calls = wanted;
    real = file_calls();
    file_calls() = {
        .make_temporary = [](char* path) { return fails() ? -1 : real.make_temporary(path); },
        .open_folder = [](const char* path) { return fails() ? -1 : real.open_folder(path); },
        .write = [](int descriptor, const void* data, std::size_t size) -> ssize_t {
          if (fails()) return -1;
          return real.write(descriptor, data, calls.short_writes ? (size + 1) / 2 : size);
        },
        .fsync = [](int descriptor) { return fails() ? -1 : real.fsync(descriptor); },
        .close =
            [](int descriptor) {
              const bool failed = fails();
              const int result = real.close(descriptor);
              if (failed) errno = calls.error;
              return failed ? -1 : result;
            },
        .rename = [](const char* from,
                     const char* to) { return fails() ? -1 : real.rename(from, to); },
        .unlink = [](const char* path) { return fails() ? -1 : real.unlink(path); },
    };
  }
  ~Injected() { file_calls() = real; }
};

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

std::shared_ptr<const TrainingState> load_checkpoint_of_folder(const fs::path& folder) {
  return std::make_shared<const TrainingState>(
      load_checkpoint(folder / "step-000000000002.safetensors"));
}

int open_descriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

}  // namespace

TEST_CASE("a checkpoint comes back as it was saved") {
  const TempFolder folder;
  const TrainingState state = some_state();
  save_checkpoint(state, folder / "a.safetensors");
  check_same(load_checkpoint(folder / "a.safetensors"), state);
  CHECK_THAT(error_of(ErrorCode::missing_input, [&] { load_checkpoint(folder / "b"); }),
             Contains("b"));
  // Safetensors, but none of ours.
  SafeTensors content = read_safetensors(folder / "a.safetensors");
  content.metadata.clear();
  write_atomically(folder / "other", safetensors_bytes(content));
  CHECK_THAT(error_of(ErrorCode::bad_data, [&] { load_checkpoint(folder / "other"); }),
             Contains("no perch-checkpoint file"));
}

TEST_CASE("a file of a newer perch is told as such, and nothing takes its place") {
  const TempFolder folder;
  const auto names = [&] { return names_in(folder / "run"); };
  CheckpointFolder checkpoints(folder / "run");
  for (const std::int64_t step : {1, 2}) checkpoints.save(some_state(step));
  // As it would be written: with another type of elements, too.
  const fs::path newest = folder / "run" / "step-000000000002.safetensors";
  const SafeTensors content = read_safetensors(newest);
  SafeTensors newer = content;
  put_seal(newer, {.format = "perch-checkpoint", .version = 2});
  auto bytes = safetensors_bytes(newer);
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  text.replace(text.find("F32"), 3, "F64");
  write_file(newest, text);
  const auto before = names();
  for (const auto& load : {newest_checkpoint, load_checkpoint_of_folder}) {
    CHECK_THAT(
        error_of(ErrorCode::bad_data, [&] { load(folder / "run"); }),
        Contains("step-000000000002") && Contains("newer perch") && Contains("version is 2"));
  }
  CHECK(names() == before);
  // A version that was damaged into another is damage.
  SafeTensors flipped = content;
  flipped.metadata["format_version"] = std::string("3");
  write_atomically(newest, safetensors_bytes(flipped));
  CHECK(newest_checkpoint(folder / "run")->step == 1);
}

TEST_CASE("a large file that is no safetensors file is refused by its first bytes") {
  const TempFolder folder;
  const fs::path file = folder / "large";
  write_file(file, std::string("\x10\0\0\0\0\0\0\0no header of JSON", 25));
  std::error_code sparse;
  fs::resize_file(file, std::uintmax_t{64} << 30, sparse);
  if (sparse) return;
  CHECK_THAT(error_of(ErrorCode::bad_data, [&] { load_checkpoint(file); }),
             Contains("does not begin"));
}

TEST_CASE("checkpoints of earlier versions open") {
  const fs::path files = fs::path(source_folder()) / "tests" / "io" / "files";
  TrainingState expected = some_state();
  for (EpochResult& epoch : expected.history) {
    epoch.clipped = std::nullopt;  // not told then
    epoch.clipped_layers.clear();
  }
  check_same(load_checkpoint(files / "checkpoint_0.2.safetensors"), expected);
}

// For a version to come: its file goes beside the others.
TEST_CASE("write such a checkpoint", "[.][make]") {
  save_checkpoint(some_state(), fs::path(build_folder()) / "checkpoint.safetensors");
}

TEST_CASE("a checkpoint cut short anywhere is refused, and so is any flipped bit") {
  const TempFolder folder;
  const TrainingState state = some_state();
  const fs::path file = folder / "a.safetensors";
  save_checkpoint(state, file);
  const std::string whole = read_file(file);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(refused(whole.substr(0, size), state));
  }
  int harmless = 0;
  const Random random(1, "flips");
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    std::string flipped = whole;
    const std::uint64_t bit = random.bits(i) % (whole.size() * 8);
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    harmless += !refused(flipped, state);
  }
  // White space of the header that becomes other white space.
  CHECK(harmless < 100);
}

TEST_CASE("safetensors: what breaks the format's rules is refused") {
  const auto refused_header = [](const std::string& header, std::size_t data = 8) {
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    bytes.append(header).append(std::string(data, '\0'));
    return error_of(ErrorCode::bad_data, [&] {
      parse_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.safetensors");
    });
  };
  const auto entry = [](const std::string& shape, const std::string& offsets) {
    return "{\"dtype\":\"F32\",\"shape\":[" + shape + "],\"data_offsets\":[" + offsets + "]}";
  };
  const auto one = [&](const std::string& shape, const std::string& offsets) {
    return "{\"a\":" + entry(shape, offsets) + "}";
  };
  CHECK_THAT(refused_header(one("2", "0,16")), Contains("0..16 of 8"));
  CHECK_THAT(refused_header(one("3", "0,8")), Contains("shape"));
  CHECK_THAT(refused_header(one("1", "0,4")), Contains("behind the last"));
  CHECK_THAT(refused_header(one("1", "4,8")), Contains("begins at byte 4"));
  CHECK_THAT(refused_header(one("4611686018427387904,4611686018427387904,0,0", "0,8")),
             Contains("shape"));
  CHECK_THAT(refused_header(one("1,1,1,1,1,1,1,1,2", "0,8")), Contains("more than 8"));
  CHECK_THAT(refused_header("{\"a\":" + entry("1", "0,4") + ",\"b\":" + entry("1", "0,4") + "}"),
             Contains("begins at byte 0"));
  CHECK_THAT(refused_header("{\"a\":" + entry("1", "0,4") + ",\"a\":" + entry("1", "4,8") + "}"),
             Contains("a is there twice"));
  CHECK_THAT(refused_header("{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}"),
             Contains("F64"));
  CHECK_THAT(refused_header("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}"), Contains("twice"));
  CHECK_THAT(refused_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}"), Contains("lacks"));
  CHECK_THAT(refused_header("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0), Contains("twice"));
  CHECK_THAT(refused_header("{\"__metadata__\":{\"a\":1}}", 0), Contains("number"));
  CHECK_THAT(refused_header(one("-2", "0,8")), Contains("negative"));
  CHECK_THAT(refused_header(one("[2]", "0,8")), Contains("list"));
  CHECK_THAT(refused_header("[1]"), Contains("does not begin"));
  CHECK_THAT(refused_header("{\"a\":"), Contains("JSON"));
  std::string huge(16, '\xff');
  CHECK_THAT(
      error_of(ErrorCode::bad_data,
               [&] { parse_safetensors(std::as_bytes(std::span(huge.data(), huge.size())), "x"); }),
      Contains("header"));
}

TEST_CASE("every call that fails in writing leaves the earlier file whole and nothing behind") {
  const TempFolder folder;
  const fs::path file = folder / "a.safetensors";
  const TrainingState before = some_state(1), after = some_state(2);
  for (const int error : {ENOSPC, EIO}) {
    bool done = false;
    for (int call = 0; !done; ++call) {
      INFO("call " << call);
      save_checkpoint(before, file);
      const int descriptors = open_descriptors();
      try {
        const Injected injected({.fail_at = call, .error = error, .short_writes = true});
        save_checkpoint(after, file);
        done = calls.number <= call;  // no such call any more
      } catch (const Error& thrown) {
        const bool known =
            thrown.code() == ErrorCode::io || thrown.code() == ErrorCode::cannot_create;
        CHECK(known);
        CHECK_THAT(thrown.what(), Contains("a.safetensors"));
      }
      CHECK(open_descriptors() == descriptors);
      const std::int64_t step = load_checkpoint(file).step;
      const bool either = step == 1 || step == 2;
      CHECK(either);
      CHECK(names_in(folder.path()) == std::set<std::string>{"a.safetensors"});
      REQUIRE(call < 100);
    }
  }
}

TEST_CASE("memory that fails anywhere in saving or loading loses nothing") {
  if (!AllocationFailure::available()) return;
  const TempFolder folder;
  const fs::path file = folder / "a.safetensors";
  const TrainingState before = some_state(1), after = some_state(2);
  save_checkpoint(before, file);
  const std::string bytes = read_file(file);
  // Lets each allocation of `work` fail in turn, until there are no more; but for small ones:
  // nlohmann's destructors make some, where nothing can be thrown.
  const auto each = [&](const auto& work) {
    std::int64_t number = 0;
    for (bool happened = true; happened; ++number) {
      std::optional<ErrorCode> code;
      {
        const AllocationFailure failure(number, 512);
        try {
          work();
        } catch (const std::bad_alloc&) {
        } catch (const Error& error) {
          code = error.code();
        }
        happened = failure.happened();
      }
      // A message that could not be made may end as another error, but never as a damaged file.
      if (code) CHECK(static_cast<int>(*code) != static_cast<int>(ErrorCode::bad_data));
      CHECK(names_in(folder.path()) == std::set<std::string>{"a.safetensors"});
      REQUIRE(number < 20'000);
    }
    return number;
  };
  const int descriptors = open_descriptors();
  CHECK(each([&] { load_checkpoint(file); }) > 3);
  CHECK(each([&] { save_checkpoint(after, file); }) > 3);
  CHECK(open_descriptors() == descriptors);
  check_same(load_checkpoint(file), after);
  CHECK(read_file(file).size() == bytes.size());
}

TEST_CASE("a folder keeps the newest checkpoints and falls back to one that is whole", "[slow]") {
  const TempFolder folder;
  CheckpointFolder checkpoints(folder / "run", 2);
  CHECK(newest_checkpoint(checkpoints.path()) == nullptr);
  for (const std::int64_t step : {1, 2, 10}) checkpoints.save(some_state(step));
  CHECK(names_in(folder / "run") == std::set<std::string>{".lock", "step-000000000002.safetensors",
                                                          "step-000000000010.safetensors"});
  CHECK(newest_checkpoint(checkpoints.path())->step == 10);
  write_file(folder / "run" / "step-000000000010.safetensors", "torn");
  CHECK(newest_checkpoint(checkpoints.path())->step == 2);
  // A second process, or a second owner in this one, is told who has it.
  CHECK_THAT(error_of(ErrorCode::cannot_create, [&] { CheckpointFolder(folder / "run"); }),
             Contains("in use by process " + std::to_string(::getpid())));
  CHECK_FALSE(checkpoints.complete());
  checkpoints.set_complete("done");
  CHECK(checkpoints.complete() == "done");
  { const CheckpointFolder unused(folder / "new" / "deep"); }
  CHECK(names_in(folder.path()) == std::set<std::string>{"run"});
}

TEST_CASE("a training that goes on keeps the checkpoints that it came from") {
  const TempFolder folder;
  Sequential model = small_net();
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy);
  const fs::path run = folder / "run";
  const auto file = [](int step) { return fmt::format("step-{:012}.safetensors", step); };
  const auto steps = [&] {
    std::set<std::string> found = names_in(run);
    found.erase(".lock");
    return found;
  };
  // Three of an earlier process, what it was writing when it was killed, and a copy of somebody's.
  const auto begin = [&] {
    fs::remove_all(run);
    CheckpointFolder checkpoints(run);
    for (const std::int64_t step : {1, 2, 10}) checkpoints.save(some_state(step));
    checkpoints.set_complete("done");
    write_file(run / "best.h5", "of the earlier training");
    write_file(run / (file(11) + ".perch-AbCd12"), "half");
    write_file(run / (file(12) + ".backup"), "kept");
  };
  const auto goes_on = [&](const std::function<std::int64_t(CheckpointFolder&)>& from, int step) {
    begin();
    CheckpointFolder checkpoints(run);
    const std::int64_t done = from(checkpoints);
    const CallbackPtr callback = checkpoints.callback();
    callback->on_train_begin(trainer, {.steps_done = done});
    CHECK(steps().size() == 6);  // nothing goes before something else is there
    checkpoints.save(some_state(step));
    return steps();
  };
  const std::string copy = file(12) + ".backup";
  CHECK(goes_on([](CheckpointFolder& own) { return own.newest()->step; }, 11) ==
        std::set<std::string>{"best.h5", file(2), file(10), file(11), copy});
  // From an older one on: another course than the newest one's.
  CHECK(goes_on([&](CheckpointFolder& own) { return own.load(run / file(2))->step; }, 3) ==
        std::set<std::string>{"best.h5", file(1), file(2), file(3), copy});
  // Afresh, or from elsewhere.
  CHECK(goes_on([](CheckpointFolder&) { return 0; }, 3) == std::set<std::string>{file(3), copy});
  save_checkpoint(some_state(10), folder / "elsewhere.safetensors");
  CHECK(goes_on(
            [&](CheckpointFolder& own) { return own.load(folder / "elsewhere.safetensors")->step; },
            11) == std::set<std::string>{file(11), copy});
}

TEST_CASE("a best model that cannot be written is told, and the training goes on") {
  const TempFolder folder;
  CheckpointFolder checkpoints(folder / "run");
  Sequential model = small_net();
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy);
  const CallbackPtr best = checkpoints.best("loss");
  best->on_train_begin(trainer, {});
  {
    const Injected injected({.fail_at = 0});
    best->on_epoch_end(trainer, {.loss = 2.0});
  }
  CHECK(checkpoints.failures() == 1);
  CHECK_THAT(checkpoints.failure(), Contains("best.h5"));
  best->on_epoch_end(trainer, {.loss = 1.0});
  CHECK(checkpoints.failures() == 1);
  CHECK(fs::is_regular_file(folder / "run" / "best.h5"));
}

namespace {

// What a disk may hold after a power cut: of each file a prefix of what was written and synced, of
// the folder the entries as of its last sync, or any later ones.
struct Disk {
  enum class Kind { create, write, sync, rename, unlink, sync_folder };
  struct Call {
    Kind kind;
    std::string file, other;
    std::string data = {};
  };
  std::vector<Call> log;
  std::map<int, std::string> open;  // descriptor -> file; "" for the folder
};
Disk* disk = nullptr;

std::string name_of(const std::string& path) {
  return fs::path(path).filename().string();
}

class Recorded {
 public:
  explicit Recorded(Disk& target) {
    disk = &target;
    real = file_calls();
    file_calls() = {
        .make_temporary =
            [](char* path) {
              const int descriptor = real.make_temporary(path);
              disk->open[descriptor] = name_of(path);
              disk->log.push_back({Disk::Kind::create, name_of(path), ""});
              return descriptor;
            },
        .open_folder =
            [](const char* path) {
              const int descriptor = real.open_folder(path);
              disk->open[descriptor] = "";
              return descriptor;
            },
        .write = [](int descriptor, const void* data, std::size_t size) -> ssize_t {
          // In pieces of a sector, so that any of them may be the last.
          size = std::min<std::size_t>(size, 512);
          const auto* const text = static_cast<const char*>(data);
          disk->log.push_back(
              {Disk::Kind::write, disk->open.at(descriptor), "", std::string(text, size)});
          return real.write(descriptor, data, size);
        },
        .fsync =
            [](int descriptor) {
              const std::string& file = disk->open.at(descriptor);
              disk->log.push_back(
                  {file.empty() ? Disk::Kind::sync_folder : Disk::Kind::sync, file, ""});
              return real.fsync(descriptor);
            },
        .close =
            [](int descriptor) {
              disk->open.erase(descriptor);
              return real.close(descriptor);
            },
        .rename =
            [](const char* from, const char* to) {
              disk->log.push_back({Disk::Kind::rename, name_of(from), name_of(to)});
              return real.rename(from, to);
            },
        .unlink =
            [](const char* path) {
              disk->log.push_back({Disk::Kind::unlink, name_of(path), ""});
              return real.unlink(path);
            },
    };
  }
  ~Recorded() { file_calls() = real; }
};

/// A file as the disk may hold it: what is synced stays, the rest may be lost from a place on.
struct Inode {
  std::string data;
  std::size_t synced = 0;
};

/// The folder after the first `count` calls and a power cut: unsynced data dropped, torn or kept,
/// entries since the folder's last sync dropped or kept.
std::map<std::string, std::string> after_power_cut(const Disk& written, std::size_t count, int data,
                                                   bool entries) {
  std::map<std::string, std::shared_ptr<Inode>> now, synced;
  for (std::size_t i = 0; i < count; ++i) {
    const Disk::Call& call = written.log[i];
    switch (call.kind) {
      case Disk::Kind::create:
        now[call.file] = std::make_shared<Inode>();
        break;
      case Disk::Kind::write:
        now.at(call.file)->data += call.data;
        break;
      case Disk::Kind::sync:
        now.at(call.file)->synced = now.at(call.file)->data.size();
        break;
      case Disk::Kind::rename:
        now[call.other] = now.at(call.file);
        now.erase(call.file);
        break;
      case Disk::Kind::unlink:
        now.erase(call.file);
        break;
      case Disk::Kind::sync_folder:
        synced = now;
        break;
    }
  }
  std::map<std::string, std::string> result;
  for (const auto& [name, inode] : entries ? now : synced) {
    const std::size_t loose = inode->data.size() - inode->synced;
    std::string kept = inode->data.substr(0, inode->synced);
    if (data == 1) kept = inode->data;                                  // all got there
    if (data == 2) kept += inode->data.substr(kept.size(), loose / 2);  // half of it
    if (data == 3) kept.append(loose, '\0');  // its length, but not its bytes
    result[name] = std::move(kept);
  }
  return result;
}

}  // namespace

TEST_CASE("after a power cut at any moment the last committed checkpoint loads", "[slow]") {
  const TempFolder folder;
  Disk recorded;
  std::vector<std::size_t> committed;  // calls made when each save returned
  {
    CheckpointFolder checkpoints(folder / "run", 2);
    const Recorded recording(recorded);
    for (std::int64_t step = 1; step <= 34; ++step) {
      checkpoints.save(some_state(step));
      committed.push_back(recorded.log.size());
    }
  }
  int states = 0;
  for (std::size_t count = 0; count <= recorded.log.size(); ++count) {
    const auto returned = std::ranges::count_if(committed, [&](auto at) { return at <= count; });
    for (const int data : {0, 1, 2, 3}) {
      for (const bool entries : {false, true}) {
        const fs::path place = folder / "after";
        fs::remove_all(place);
        fs::create_directories(place);
        for (const auto& [name, content] : after_power_cut(recorded, count, data, entries)) {
          write_file(place / name, content);
        }
        ++states;
        const auto state = newest_checkpoint(place);
        INFO("behind call " << count << ", data " << data << ", entries " << entries);
        const std::int64_t step = state == nullptr ? 0 : state->step;
        CHECK(step >= returned);
      }
    }
  }
  CHECK(states >= 2000);
}
