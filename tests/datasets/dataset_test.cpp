#include <algorithm>
#include <array>

#include <catch2/catch.hpp>

#include <perch/datasets/dataset.h>
#include <perch/datasets/sha256.h>
#include <perch/datasets/synthetic.h>

#include "tests/support/errors.h"

using namespace perch;
using Catch::Contains;
using test::error_of;

TEST_CASE("uint8 images are divided by 255 or left raw, float images are left alone") {
  std::vector<std::uint8_t> bytes(256);
  for (int i = 0; i < 256; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i);
  const Dataset data = from_memory(bytes, {0, 1}, {8, 16, 1});
  std::array<float, 128> image{};
  data.read(1, image.data());
  for (int i = 0; i < 128; ++i) {
    CHECK(image[static_cast<std::size_t>(i)] == static_cast<float>(128 + i) / 255.0f);
  }
  data.with_input_scale(InputScale::raw).read(1, image.data());
  CHECK(image[127] == 255.0f);

  const Dataset floats = from_memory(std::vector<float>{-2.0f, 3.5f}, {4}, {2});
  floats.with_input_scale(InputScale::raw).read(0, image.data());
  CHECK((image[0] == -2.0f && image[1] == 3.5f));
  CHECK(floats.classes() == 5);
}

TEST_CASE("subsets are views with indices of their own") {
  const Dataset data = from_memory(std::vector<std::uint8_t>{10, 11, 12, 13}, {0, 1, 2, 3}, {1});
  const Dataset part = data.subset(1, 4).subset(1, 3).with_input_scale(InputScale::raw);
  float pixel = 0.0f;
  part.read(0, &pixel);
  CHECK(pixel == 12.0f);
  CHECK((part.size() == 2 && part.label(1) == 3 && part.classes() == 4));
  error_of(ErrorCode::usage, [&] { part.label(2); });
  error_of(ErrorCode::usage, [&] { part.read(-1, &pixel); });
  error_of(ErrorCode::usage, [&] { part.subset(1, 3); });
}

TEST_CASE("data in memory that does not fit together is refused") {
  const auto make = [](std::vector<std::uint8_t> images, std::vector<std::int32_t> labels,
                       std::int64_t classes) {
    return error_of(ErrorCode::bad_data, [&] { from_memory(images, labels, {1, 2}, classes); });
  };
  CHECK_THAT(make({1, 2, 3}, {0, 0}, 0), Contains("3 pixels") && Contains("make 4"));
  CHECK_THAT(make({}, {}, 0), Contains("no images"));
  CHECK_THAT(make({1, 2, 3, 4}, {0, -1}, 0), Contains("label -1 of image 1"));
  CHECK_THAT(make({1, 2, 3, 4}, {3, 0}, 3), Contains("label 3 of image 0") && Contains("0..2"));
}

TEST_CASE("synthetic images of one class resemble each other more than those of others") {
  const Dataset data = datasets::synthetic(30, {8, 8, 3}, 10, 7);
  const auto distance = [&](std::int64_t i, std::int64_t j) {
    std::array<float, 192> a{}, b{};
    data.read(i, a.data());
    data.read(j, b.data());
    double sum = 0.0;
    for (std::size_t p = 0; p < a.size(); ++p) sum += std::abs(a[p] - b[p]);
    return sum;
  };
  for (std::int64_t i = 0; i < 10; ++i) {
    CHECK(data.label(i) == i);
    CHECK(distance(i, i + 10) < distance(i, i + 11));
    CHECK(distance(i, i + 10) > 0.0);
  }
}

TEST_CASE("a checksum is that of the images, whatever they came from") {
  // FIPS 180-2, appendix B.1.
  CHECK(datasets::sha256_of("abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const Shape shape{2, 1, 1};
  const Dataset bytes = from_memory(std::vector<std::uint8_t>{1, 2, 3, 255}, {0, 1}, shape);
  const Dataset floats = from_memory(std::vector<float>{1, 2, 3, 255}, {0, 1}, shape);
  CHECK(checksum(bytes) == checksum(floats));
  CHECK(checksum(bytes.with_input_scale(InputScale::raw)) == checksum(bytes));
  CHECK(checksum(bytes) != checksum(bytes.subset(0, 1)));
  CHECK(checksum(bytes) !=
        checksum(from_memory(std::vector<std::uint8_t>{1, 2, 3, 255}, {0, 2}, shape)));
  CHECK(checksum(bytes) !=
        checksum(from_memory(std::vector<std::uint8_t>{1, 2, 3, 254}, {0, 1}, shape)));
}
