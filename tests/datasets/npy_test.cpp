#include <cstring>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <perch/datasets/npy.h>

#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

using namespace perch;
using Catch::Contains;
using test::error_of;
using test::write_file;

namespace {

std::string npy(const std::string& dictionary, const std::string& data, char version = 1) {
  std::string head = dictionary;
  while ((head.size() + 11) % 64 != 0) head += ' ';
  head += '\n';
  std::string file = "\x93NUMPY";
  file += version;
  file += '\0';
  file += static_cast<char>(head.size() & 255);
  file += static_cast<char>(head.size() >> 8);
  if (version > 1) file.append(2, '\0');
  return file + head + data;
}

std::string npy(const std::string& dtype, const std::string& shape, const std::string& data,
                char version = 1) {
  return npy(fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype, shape),
             data, version);
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

struct Pair {
  test::TempFolder folder;
  std::filesystem::path images = folder / "x.npy", labels = folder / "y.npy";

  Pair() {
    write_file(images, npy("|u1", "(2, 1, 2, 1)", std::string("\1\2\3\xff", 4)));
    write_file(labels, npy("<i8", "(2,)", bytes_of<std::int64_t>({1, 0})));
  }
  Dataset read() const { return datasets::from_npy(images, labels); }
  std::string error() const {
    return error_of(ErrorCode::bad_data, [&] { read(); });
  }
};

}  // namespace

TEST_CASE("npy pairs of uint8 and float32 images are read, in every version of the format") {
  const Pair pair;
  for (const char version : {'\1', '\2', '\3'}) {
    write_file(pair.images, npy("|u1", "(2, 1, 2, 1)", std::string("\1\2\3\xff", 4), version));
    const Dataset data = pair.read();
    float image[2];
    data.read(1, image);
    CHECK((data.size() == 2 && data.image_shape() == Shape{1, 2, 1} && data.label(0) == 1));
    CHECK((image[0] == 3.0f / 255.0f && image[1] == 1.0f));
  }
  write_file(pair.images, npy("<f4", "(2, 2, 1, 1)", bytes_of<float>({1.5f, -2, 3, 4})));
  float image[2];
  pair.read().read(0, image);
  CHECK((image[0] == 1.5f && image[1] == -2.0f));
}

TEST_CASE("npy labels may be of any integer type, byte order, and a column") {
  const Pair pair;
  const auto second = [&](const std::string& dtype, const std::string& data) {
    write_file(pair.labels, npy(dtype, "(2, 1)", data));
    return pair.read().label(1);
  };
  CHECK(second("|u1", std::string("\0\xfa", 2)) == 250);
  CHECK(second("|i1", std::string("\0\7", 2)) == 7);
  CHECK(second("<u2", bytes_of<std::uint16_t>({0, 300})) == 300);
  CHECK(second(">i2", std::string("\0\0\1\2", 4)) == 258);
  CHECK(second("<i4", bytes_of<std::int32_t>({0, 70000})) == 70000);
  CHECK(second("<u8", bytes_of<std::uint64_t>({0, 9})) == 9);
}

TEST_CASE("npy files that do not fit are refused and say what they hold") {
  const Pair pair;
  const auto images = [&](const std::string& file) {
    write_file(pair.images, file);
    return pair.error();
  };
  CHECK_THAT(images("PK\3\4 is a zip file"), Contains("x.npy") && Contains("not a .npy"));
  CHECK_THAT(images("\x93NUM"), Contains("not a .npy"));
  CHECK_THAT(images(npy("|u1", "(2, 1, 2, 1)", "123")), Contains("truncated"));
  CHECK_THAT(images(npy("|u1", "(2, 1, 2, 1)", "12345")), Contains("damaged"));
  CHECK_THAT(images(npy("|u1", "(2, 2)", "1234")), Contains("[2, 2]") && Contains("[N, H, W, C]"));
  CHECK_THAT(images(npy("<f8", "(1, 1, 1, 1)", "12345678")), Contains("float64"));
  CHECK_THAT(images(npy(">f4", "(2, 1, 1, 1)", "12345678")), Contains("big-endian float32"));
  CHECK_THAT(images(npy("|u1", "(3, 1, 1, 1)", "123")),
             Contains("3 images") && Contains("2 labels"));
  CHECK_THAT(images(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 1, 1, 1)}", "12")),
             Contains("Fortran"));
  CHECK_THAT(images(npy("|u1", "(9223372036854775807, 9, 9, 9)", "1")), Contains("too large"));
  for (const char* const dictionary :
       {"", "{", "{}", "{'descr': '|u1'}", "{'shape': (2,1,1,1), 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 1, 1, -1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 1, 1)} x",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 1, 1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 1, 1, 1, 1, 1, 1, 1)}"}) {
    CHECK_THAT(images(npy(dictionary, "12")), Contains("malformed"));
  }
  const std::string whole = npy("|u1", "(2, 1, 2, 1)", "1234");
  for (std::size_t cut = 0; cut < whole.size(); cut += 5) images(whole.substr(0, cut));
}

TEST_CASE("npy labels that are no labels are refused") {
  const Pair pair;
  const auto labels = [&](const std::string& file) {
    write_file(pair.labels, file);
    return pair.error();
  };
  CHECK_THAT(labels(npy("<f4", "(2,)", "12345678")), Contains("y.npy") && Contains("float32"));
  CHECK_THAT(labels(npy("|i1", "(2,)", "\1\xff")), Contains("label 1 is negative"));
  CHECK_THAT(labels(npy("<u4", "(2,)", "\1\1\1\1\xff\xff\xff\xff")), Contains("too large"));
  CHECK_THAT(labels(npy("|u1", "(1, 2)", "12")), Contains("[1, 2]"));
  std::filesystem::remove(pair.labels);
  CHECK_THAT(error_of(ErrorCode::missing_input, [&] { pair.read(); }), Contains("y.npy"));
}
