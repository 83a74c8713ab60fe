// Files that perch cannot use, and targets that it cannot write: one-line errors, nothing changed.
#include <iterator>

#include <catch2/catch.hpp>
#include <signal.h>
#include <sys/resource.h>
#include <tests/io/edit_h5.h>
#include <tests/io/small_models.h>
#include <tests/support/errors.h>
#include <tests/support/temp_folder.h>

#include <perch/io/hdf5_reader.h>

namespace perch {
namespace {

using namespace test;

class SavedModel {
 public:
  SavedModel() { io::save_keras(model_, file()); }
  std::filesystem::path file() const { return folder_ / "model.h5"; }
  const TempFolder& folder() const { return folder_; }
  Model& model() { return model_; }

 private:
  TempFolder folder_;
  Sequential model_ = small_quantized_net();
};

std::string load_error(const std::filesystem::path& file) {
  const std::string message = error_of(ErrorCode::bad_data, [&] {
    io::load_keras(file, {.quantize_configs = per_channel_configs()});
  });
  CHECK(message.find(file.string()) == 0);
  return message;
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

void add_floats(hid_t file, const char* path, std::vector<hsize_t> extents, hid_t creation) {
  const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
  H5Dclose(H5Dcreate2(file, path, H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
  H5Sclose(space);
}

std::string without(const std::string& text, const std::string& part, const std::string& instead) {
  std::string result = text;
  const std::size_t at = result.find(part);
  REQUIRE(at != std::string::npos);
  return result.replace(at, part.size(), instead);
}

std::vector<float> values_of(Model& model) {
  std::vector<float> all;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.counter != nullptr) continue;
    all.insert(all.end(), entry.tensor()->values().begin(), entry.tensor()->values().end());
  }
  return all;
}

const char* const kernel = "model_weights/dense/dense/kernel:0";

}  // namespace

TEST_CASE("a file that is not there is a missing input") {
  const TempFolder folder;
  error_of(ErrorCode::missing_input, [&] { io::load_keras(folder / "none.h5"); });
  error_of(ErrorCode::missing_input, [&] { io::load_keras(folder.path()); });
}

TEST_CASE("a file that is not HDF5 is bad data") {
  const TempFolder folder;
  for (const std::string content : {"", "PK\x03\x04", "just text, and a little more of it"}) {
    write_file(folder / "model.h5", content);
    CHECK(contains(load_error(folder / "model.h5"), "not an HDF5 file"));
  }
}

TEST_CASE("a truncated file is bad data, wherever it ends") {
  const SavedModel saved;
  const std::string whole = read_file(saved.file());
  for (const double share : {0.01, 0.1, 0.3, 0.5, 0.8, 0.95, 0.9999}) {
    INFO(share);
    const auto size = static_cast<std::size_t>(share * static_cast<double>(whole.size()));
    write_file(saved.file(), whole.substr(0, size));
    load_error(saved.file());
  }
}

TEST_CASE("a missing, misshapen or foreign dataset is named") {
  const SavedModel saved;
  edit_h5(saved.file(), [](hid_t id) { H5Ldelete(id, kernel, H5P_DEFAULT); });
  SECTION("missing") {
    CHECK(contains(load_error(saved.file()), "is missing"));
  }
  SECTION("misshapen") {
    edit_h5(saved.file(), [](hid_t id) { add_floats(id, kernel, {5, 3}, H5P_DEFAULT); });
    CHECK(contains(load_error(saved.file()), "[5, 3]"));
  }
  SECTION("larger than the file") {
    edit_h5(saved.file(), [](hid_t id) {
      add_floats(id, kernel, {std::uint64_t{1} << 32, 1 << 10}, H5P_DEFAULT);
    });
    CHECK(contains(load_error(saved.file()), "more than the file can hold"));
  }
  SECTION("behind a soft link") {
    edit_h5(saved.file(), [](hid_t id) {
      H5Lcreate_soft("/model_weights/dense/dense/bias:0", id, kernel, H5P_DEFAULT, H5P_DEFAULT);
    });
    CHECK(contains(load_error(saved.file()), "link"));
  }
  SECTION("in another file") {
    edit_h5(saved.file(), [](hid_t id) {
      H5Lcreate_external("/etc/hostname", "/", id, kernel, H5P_DEFAULT, H5P_DEFAULT);
    });
    CHECK(contains(load_error(saved.file()), "link"));
  }
  SECTION("stored outside") {
    edit_h5(saved.file(), [](hid_t id) {
      const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
      H5Pset_external(creation, "/etc/hostname", 0, 16 * 3 * 4);
      add_floats(id, kernel, {16, 3}, creation);
      H5Pclose(creation);
    });
    CHECK(contains(load_error(saved.file()), "not stored in the file itself"));
  }
  CHECK(contains(load_error(saved.file()), kernel));
}

TEST_CASE("what perch does not know in Keras's configuration is named") {
  const SavedModel saved;
  make_keras_only(saved.file());
  const std::string config = io::H5Group::open(saved.file()).text("model_config");
  const auto error_with = [&](const std::string& part, const std::string& instead) {
    set_text(saved.file(), "model_config", without(config, part, instead));
    return load_error(saved.file());
  };
  CHECK(contains(error_with("\"Flatten\"", "\"Flattne\""), "nearest: Flatten"));
  CHECK(contains(error_with("channels_last", "channels_first"), "channels_first"));
  CHECK(contains(error_with("\"epsilon\"", "\"eps\""), "eps = 0.001"));
  CHECK(contains(error_with("\"axis\":[3]", "\"axis\":[1]"), "axis"));
  CHECK(contains(error_with("AllValuesQuantizer", "OtherQuantizer"), "OtherQuantizer"));
  CHECK(contains(error_with("[null,6,6,2]", "[null,null,6,2]"), "null"));
  CHECK(contains(error_with("\"units\":3", "\"units\":300000000000"), "dense"));
  CHECK(contains(error_with("\"units\":3", "\"units\":\"three\""), "dense"));
  CHECK(contains(error_with("\"layers\":[",
                            "\"layers\":["
                            "7,"),
                 "model_config"));
  const std::string deep = std::string(20'000, '[') + std::string(20'000, ']');
  CHECK(contains(error_with("\"units\":3", "\"units\":" + deep), "nested too deeply"));
  CHECK(contains(error_with("{", ""), "JSON"));
}

TEST_CASE("a perch_config of another form is bad data") {
  const SavedModel saved;
  const std::string config = io::H5Group::open(saved.file()).text("perch_config");
  const auto error_with = [&](const std::string& part, const std::string& instead) {
    set_text(saved.file(), "perch_config", without(config, part, instead));
    return load_error(saved.file());
  };
  CHECK(contains(error_with("\"format_version\":1", "\"format_version\":2"), "newer perch"));
  CHECK(contains(error_with("\"bits\":5", "\"bits\":0"), "bits"));
  CHECK(contains(error_with("\"kind\":\"ReLU\"", "\"kind\":\"RLeU\""), "RLeU"));
  CHECK(contains(error_with("\"filters\":4", "\"filters\":-4"), "conv2d"));
  CHECK(contains(error_with("\"name\":\"flatten\"", "\"name\":\"dense\""), "not unique"));
}

TEST_CASE("weights of another architecture change nothing") {
  const SavedModel saved;
  Sequential wider{Conv2D(5, 3), Flatten(), Dense(3)};
  wider.build(small_image());
  const std::vector<float> before = values_of(wider);
  CHECK(contains(error_of(ErrorCode::bad_data, [&] { io::load_weights(wider, saved.file()); }),
                 "conv2d"));
  CHECK(values_of(wider) == before);

  Sequential same = small_quantized_net();
  for (StateEntry& entry : state_of(same)) {
    if (entry.weight != nullptr) entry.weight->mutable_value().fill(2.0f);
  }
  edit_h5(saved.file(), [](hid_t id) { H5Ldelete(id, kernel, H5P_DEFAULT); });
  const std::vector<float> untouched = values_of(same);
  error_of(ErrorCode::bad_data, [&] { io::load_weights(same, saved.file()); });
  CHECK(values_of(same) == untouched);
}

TEST_CASE("missing folders of a target are made") {
  const TempFolder folder;
  Sequential model = small_net();
  io::save_keras(model, folder / "one/two/model.h5");
  CHECK(std::filesystem::exists(folder / "one/two/model.h5"));
}

TEST_CASE("a target that cannot be made is an error and leaves nothing") {
  const TempFolder folder;
  Sequential model = small_net();
  write_file(folder / "file", "x");
  error_of(ErrorCode::cannot_create, [&] { io::save_keras(model, folder / "file/model.h5"); });
  std::filesystem::create_directory(folder / "model.h5");
  error_of(ErrorCode::cannot_create, [&] { io::save_keras(model, folder / "model.h5"); });
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
}

TEST_CASE("a full target leaves the existing file as it was") {
  SavedModel saved;
  const std::string before = read_file(saved.file());
  rlimit limit;
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  ErrorCode code = ErrorCode::failure;
  try {
    io::save_keras(saved.model(), saved.file());
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ::signal(SIGXFSZ, handler);
  CHECK(static_cast<int>(code) == static_cast<int>(ErrorCode::io));
  CHECK(contains(message, "writing failed"));
  CHECK(read_file(saved.file()) == before);
  CHECK(std::distance(std::filesystem::directory_iterator(saved.folder().path()), {}) == 1);
}

}  // namespace perch
