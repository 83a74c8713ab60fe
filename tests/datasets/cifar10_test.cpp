#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>

#include <perch/core/interrupt.h>
#include <perch/datasets/cifar10.h>
#include <perch/datasets/npy.h>

#include "tests/support/errors.h"
#include "tests/support/places.h"
#include "tests/support/temp_folder.h"

using namespace perch;
using Catch::Contains;
using test::error_of;
using test::write_file;

namespace {

constexpr int pixels = 1024;

/// A record whose pixel at (plane c, position p) is a function of all three.
std::string record(int label, int id) {
  std::string bytes(1, static_cast<char>(label));
  for (int c = 0; c < 3; ++c) {
    for (int p = 0; p < pixels; ++p) bytes += static_cast<char>((id * 31 + c * 7 + p * 3) & 255);
  }
  return bytes;
}

std::string records(int count, int first_id = 0) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += record((first_id + i) % 10, first_id + i);
  return bytes;
}

bool is_image(const Dataset& data, std::int64_t index, int id, float divisor) {
  std::vector<float> image(3 * pixels);
  data.read(index, image.data());
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < 3; ++c) {
      const auto value = static_cast<float>((id * 31 + c * 7 + p * 3) & 255);
      if (image[static_cast<std::size_t>(3 * p + c)] != value / divisor) return false;
    }
  }
  return true;
}

/// Sets an environment variable while it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    const char* const former = std::getenv(name);
    if (former != nullptr) former_ = former;
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() { ::setenv(name_, former_.c_str(), 1); }

 private:
  const char* name_;
  std::string former_;
};

}  // namespace

TEST_CASE("a folder of batches becomes NHWC images in file order") {
  const test::TempFolder folder;
  write_file(folder / "data_batch_2.bin", records(70, 130));
  write_file(folder / "data_batch_1.bin", records(130));
  write_file(folder / "test_batch.bin", records(3, 500));
  const auto [train, test] = datasets::cifar10(folder.path());

  REQUIRE(train.size() == 200);
  REQUIRE(test.size() == 3);
  CHECK(train.image_shape() == Shape{32, 32, 3});
  CHECK(train.classes() == 10);
  for (const int i : {0, 63, 64, 129, 130, 199}) {
    CHECK(train.label(i) == i % 10);
    CHECK(is_image(train, i, i, 255.0f));
    CHECK(is_image(train.with_input_scale(InputScale::raw), i, i, 1.0f));
  }
  CHECK(is_image(test.subset(1, 3), 1, 502, 255.0f));
}

TEST_CASE("a folder without a test batch has an empty test set") {
  const test::TempFolder folder;
  write_file(folder / "data_batch_1.bin", records(1));
  CHECK(datasets::cifar10(folder.path()).test.size() == 0);
}

TEST_CASE("a folder that holds cifar-10-batches-bin counts as that one, wherever it is named") {
  const test::TempFolder folder, nothing;
  write_file(folder / "cifar-10-batches-bin/data_batch_1.bin", records(2));
  write_file(folder / "perch/cifar-10-batches-bin/data_batch_1.bin", records(3));
  CHECK(datasets::cifar10(folder.path()).train.size() == 2);
  const Environment cache("XDG_CACHE_HOME", folder.path().string());
  {
    const Environment data("PERCH_DATA_DIR", folder.path().string());
    CHECK(datasets::cifar10().train.size() == 2);
  }
  const Environment data("PERCH_DATA_DIR", "");
  CHECK(datasets::cifar10().train.size() == 3);
}

TEST_CASE("without data the message names the three ways on") {
  const test::TempFolder folder;
  const std::string missing =
      error_of(ErrorCode::missing_input, [&] { datasets::cifar10(folder / "absent"); });
  CHECK_THAT(missing, Contains("absent") && Contains("--data DIR") && Contains("PERCH_DATA_DIR") &&
                          Contains("datasets/cifar10_mini") &&
                          Contains("perch data fetch cifar10") && Contains("--mirror URL"));
  CHECK_THAT(error_of(ErrorCode::missing_input, [&] { datasets::cifar10(folder.path()); }),
             Contains("has no data_batch_*.bin"));
  CHECK_THAT(error_of(ErrorCode::missing_input, [&] { datasets::cifar10_file(folder / "x.bin"); }),
             Contains("x.bin"));
}

TEST_CASE("damaged batches are refused with file and record") {
  const test::TempFolder folder;
  const auto file = folder / "data_batch_1.bin";
  const auto message = [&] {
    return error_of(ErrorCode::bad_data, [&] { datasets::cifar10(folder.path()); });
  };
  write_file(file, records(3) + "x");
  CHECK_THAT(message(), Contains("data_batch_1.bin") && Contains("9220 bytes") && Contains("3073"));
  write_file(file, "");
  CHECK_THAT(message(), Contains("is empty"));
  write_file(file, records(100) + record(10, 0) + record(200, 0));
  CHECK_THAT(message(), Contains("label 10 of record 100"));
}

TEST_CASE("the embedded subset is balanced, interleaved and varied") {
  const auto folder = std::filesystem::path(test::source_folder()) / "datasets" / "cifar10_mini";
  const auto [train, test] = datasets::cifar10(folder);
  REQUIRE(train.size() == 2000);
  REQUIRE(test.size() == 500);
  for (const Dataset& set : {train, test}) {
    for (std::int64_t i = 0; i < set.size(); ++i) REQUIRE(set.label(i) == i % 10);
  }
  double sum = 0.0;
  std::vector<float> image(3 * pixels);
  for (std::int64_t i = 0; i < train.size(); ++i) {
    train.read(i, image.data());
    for (const float x : image) sum += x;
  }
  CHECK(sum / (2000.0 * 3 * pixels) == Approx(0.473).margin(0.02));
}

TEST_CASE("verify insists on the six official files") {
  const test::TempFolder folder;
  const auto official = [&](const std::string& name) {
    write_file(folder / name, "");
    std::filesystem::resize_file(folder / name, 30'730'000);
  };
  for (const std::string& name : datasets::cifar10_batch_files()) official(name);
  const auto findings = datasets::verify_cifar10(folder.path());
  REQUIRE(findings.size() == 6);
  CHECK_THAT(findings[5], Contains("test_batch.bin") && Contains("10000 records"));

  const auto verify = [&] { datasets::verify_cifar10(folder.path()); };
  write_file(folder / "data_batch_3.bin", records(1));
  CHECK_THAT(error_of(ErrorCode::bad_data, verify),
             Contains("data_batch_3.bin") && Contains("30730000"));
  official("data_batch_3.bin");
  std::fstream(folder / "data_batch_3.bin", std::ios::in | std::ios::out)
      .seekp(3073 * 41)
      .put('\12');
  CHECK_THAT(error_of(ErrorCode::bad_data, verify), Contains("label 10 of record 41"));
  std::filesystem::remove(folder / "data_batch_3.bin");
  CHECK_THAT(error_of(ErrorCode::missing_input, verify), Contains("data_batch_3.bin"));
}

TEST_CASE("reading and summing up images stops where a stop is asked for") {
  const test::TempFolder folder;
  write_file(folder / "data_batch_1.bin", records(70));
  const Dataset data = datasets::cifar10(folder.path()).train;
  struct Clear {
    ~Clear() { clear_interrupt(); }
  } const clear;
  request_interrupt();
  error_of(ErrorCode::interrupted, [&] { datasets::cifar10(folder.path()); });
  error_of(ErrorCode::interrupted,
           [&] { datasets::from_npy(folder / "data_batch_1.bin", folder / "none"); });
  // A checkpoint is worth a moment's patience.
  CHECK(checksum(data).size() == 64);
  std::this_thread::sleep_for(std::chrono::milliseconds(1010));
  error_of(ErrorCode::interrupted, [&] { checksum(data.subset(0, 2)); });
  clear_interrupt();
  CHECK(checksum(data.subset(0, 2)).size() == 64);
}
