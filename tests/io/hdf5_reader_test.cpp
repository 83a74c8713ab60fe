// perch's reader of HDF5: what h5py writes is read, and no damage does harm.
#include <chrono>
#include <cmath>
#include <limits>
#include <random>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <tests/io/edit_h5.h>
#include <tests/support/errors.h>
#include <tests/support/places.h>
#include <tests/support/temp_folder.h>

#include <perch/io/hdf5_reader.h>
#include <perch/io/hdf5_writer.h>

namespace perch {
namespace {

using namespace test;
using io::H5Group;

const std::filesystem::path files = std::filesystem::path(source_folder()) / "tests/io/files";

std::string refusal(const std::function<void()>& read) {
  return error_of(ErrorCode::bad_data, read);
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

// A small file of both forms of text and a few numbers.
std::string small_file() {
  io::H5Writer root = io::H5Writer::create("small");
  root.add_text("text", "one");
  root.add_texts("names", {"layer", "other"});
  io::H5Writer layer = root.add_group("layer");
  layer.add_texts("names", {});
  layer.add_floats("a/kernel:0", Tensor({2, 2}, {1, 2, 3, 4}));
  layer.add_int64("a/step:0", 7);
  const auto image = root.image();
  return {reinterpret_cast<const char*>(image.data()), image.size()};
}

// Reads all that small_file() and the files of h5py hold; returns whether all went well.
bool survives(const std::string& bytes) {
  bool good = true;
  const auto attempt = [&](const auto& read) {
    try {
      read();
    } catch (const Error& error) {
      good = false;
      if (error.code() != ErrorCode::bad_data) FAIL(error.what());
      if (std::string(error.what()).find('\n') != std::string::npos) FAIL(error.what());
    }
  };
  attempt([&] {
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    const H5Group root = H5Group::open(std::string("f"), {begin, begin + bytes.size()});
    attempt([&] { root.text("text"); });
    attempt([&] { root.texts("names"); });
    attempt([&] {
      const H5Group layer = root.group("layer");
      attempt([&] { layer.texts("names"); });
      attempt([&] { layer.dataset("a/kernel:0").read_floats(); });
      attempt([&] { layer.dataset("a/step:0").read_integer(); });
    });
  });
  return good;
}

void put(std::string& bytes, std::size_t at, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<char>(value >> 8 * i);
}

void check_values(const Tensor& values, bool half) {
  REQUIRE(values.shape() == Shape{2, 3});
  const float least = std::ldexp(1.0f, -24);
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> expected{0, 1.5f, -2, 65504, least, infinity};
  INFO(half);
  CHECK(std::vector<float>(values.values().begin(), values.values().end()) == expected);
}

}  // namespace

TEST_CASE("what h5py writes is read, in either byte order") {
  for (const char* name : {"classic_little.h5", "classic_big.h5"}) {
    INFO(name);
    const H5Group root = H5Group::open(files / name);
    const H5Group layer = root.group("layer");
    CHECK(root.text("text") == "variable");
    CHECK(root.text("fixed") == "fixed");
    CHECK(root.texts("empty").empty());
    CHECK(root.texts("null").empty());
    CHECK(contains(refusal([&] { root.text("number"); }), "does not hold text"));
    CHECK(layer.texts("weight_names") == std::vector<std::string>{"a:0", "b:0"});
    CHECK(layer.texts("names") == std::vector<std::string>{"eins", "zwei\u00e9"});
    for (const char* type : {"f2", "f4", "f8"}) {
      check_values(layer.dataset(std::string("sub/") + type).read_floats(), type[1] == '2');
    }
    for (const char* type : {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}) {
      INFO(type);
      const io::H5Dataset dataset = layer.dataset(std::string("ints/") + type);
      CHECK_FALSE(dataset.is_float());
      CHECK(dataset.read_integer() == (type[0] == 'u' ? 100 : -100));
    }
    CHECK(root.dataset("scalar").shape().rank() == 0);
    CHECK(root.dataset("scalar").read_floats().values()[0] == 7);
  }
}

TEST_CASE("the latest format is read while its groups are small, and refused when they are not") {
  const H5Group root = H5Group::open(files / "latest.h5");
  CHECK(root.text("text") == "variable");
  CHECK(root.group("layer").texts("weight_names") == std::vector<std::string>{"a:0", "b:0"});
  check_values(root.dataset("layer/sub/f4").read_floats(), false);
  CHECK(root.dataset("scalar").read_floats().values()[0] == 7);

  const H5Group dense = H5Group::open(files / "latest_dense.h5");
  CHECK(contains(refusal([&] { dense.group("links"); }), "links has its many members in a heap"));
  CHECK(contains(refusal([&] { dense.group("attributes").text("a0"); }), "default settings"));
}

TEST_CASE("what perch does not read of HDF5 is refused by name") {
  const H5Group root = H5Group::open(files / "refused.h5");
  const auto error_of_dataset = [&](const std::string& name) {
    const std::string message = refusal([&] { root.dataset(name).read_floats(); });
    CHECK(contains(message, name));
    return message;
  };
  CHECK(contains(error_of_dataset("layer/chunked"), "chunks"));
  CHECK(contains(error_of_dataset("layer/deflated"), "chunks"));
  CHECK(contains(error_of_dataset("committed"), "committed"));
  CHECK(contains(error_of_dataset("filled"), "fill value"));
  CHECK(contains(error_of_dataset("complex"), "floating-point"));
  CHECK(contains(error_of_dataset("null"), "no usable shape"));
  CHECK(contains(error_of_dataset("soft"), "link"));
  CHECK(contains(error_of_dataset("elsewhere/external"), "link"));
  CHECK(contains(error_of_dataset("layer"), "not a readable dataset"));
  CHECK(contains(refusal([&] { root.group("unwritten"); }), "not a readable group"));
  CHECK(contains(refusal([&] { root.dataset("layer//chunked"); }), "without a name"));
  CHECK(root.dataset("unwritten").read_floats().values()[1] == 0);
}

TEST_CASE("a file that ends anywhere is refused") {
  const std::string whole = small_file();
  REQUIRE(survives(whole));
  for (std::size_t size = 0; size < whole.size(); size += size < 1000 ? 1 : 13) {
    if (survives(whole.substr(0, size))) FAIL(size);
  }
}

TEST_CASE("10,000 random damages give values or an error, soon") {
  const std::vector<std::string> wholes{small_file(), read_file(files / "latest.h5")};
  std::mt19937 random(1);
  const auto begin = std::chrono::steady_clock::now();
  int refused = 0;
  for (int round = 0; round < 10000; ++round) {
    std::string bytes = wholes[round % 2];
    for (int flips = 1 + round % 4; flips > 0; --flips) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    }
    refused += survives(bytes) ? 0 : 1;
  }
  CHECK(refused > 100);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}

TEST_CASE("structures that contain themselves or claim too much are refused") {
  const TempFolder folder;
  const std::filesystem::path file = folder / "f.h5";
  std::string bytes = small_file();
  SECTION("a node of the index of names leads to itself") {
    const std::size_t node = bytes.find("TREE");
    put(bytes, node + 32, node);
    write_file(file, bytes);
    CHECK(contains(refusal([&] { H5Group::open(file); }), "the root group"));
  }
  SECTION("nodes of many levels, all of whose children are one") {
    // 200 nodes of 60 children each: 60^200 ways to the bottom.
    const std::size_t nodes = bytes.size(), size = 24 + 60 * 16;
    for (int level = 199; level >= 0; --level) {
      std::string node("TREE");
      node.resize(size);
      node[5] = static_cast<char>(level);
      node[6] = 60;
      for (std::size_t child = 0; child < 60; ++child) {
        put(node, 32 + 16 * child, nodes + static_cast<std::size_t>(200 - level) * size);
      }
      bytes += node;
    }
    bytes += std::string("SNOD\1\0\0\0", 8);
    // The superblock repeats what the root group's header says of its index.
    const std::string address = bytes.substr(80, 8);
    std::string instead(8, '\0');
    put(instead, 0, nodes);
    for (std::size_t at = 0; (at = bytes.find(address, at)) < nodes; at += 8) {
      bytes.replace(at, 8, instead);
    }
    write_file(file, bytes);
    CHECK(contains(refusal([&] { H5Group::open(file); }), "more structure"));
  }
  SECTION("a heap of texts longer than the file") {
    put(bytes, bytes.find("GCOL") + 8, std::uint64_t{1} << 62);
    write_file(file, bytes);
    CHECK(contains(refusal([&] { H5Group::open(file).text("text"); }), "@text"));
  }
  SECTION("a heap of names longer than the file") {
    put(bytes, bytes.find("HEAP") + 8, ~std::uint64_t{7});
    write_file(file, bytes);
    CHECK(contains(refusal([&] { H5Group::open(file); }), "beyond the end"));
  }
  SECTION("a dataset of 2^80 values") {
    write_file(file, bytes);
    edit_h5(file, [](hid_t id) {
      const hsize_t extents[] = {hsize_t{1} << 40, hsize_t{1} << 20};
      const hid_t space = H5Screate_simple(2, extents, nullptr);
      H5Dclose(H5Dcreate2(id, "big", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
      H5Sclose(space);
    });
    CHECK(contains(refusal([&] { H5Group::open(file).dataset("big"); }), "more than the file"));
  }
}

TEST_CASE("a group in itself is as deep as the path asks, within the budget") {
  const TempFolder folder;
  write_file(folder / "f.h5", small_file());
  edit_h5(folder / "f.h5",
          [](hid_t id) { H5Lcreate_hard(id, "/", id, "self", H5P_DEFAULT, H5P_DEFAULT); });
  const H5Group root = H5Group::open(folder / "f.h5");
  CHECK(root.group("self/self/self/layer").dataset("a/step:0").read_integer() == 7);
  std::string path("self");
  for (int i = 0; i < 100000; ++i) path += "/self";
  CHECK(contains(refusal([&] { root.group(path); }), "more structure"));
}

TEST_CASE("the same values again and again are refused once they are more than the file's") {
  const TempFolder folder;
  io::H5Writer writer = io::H5Writer::create("values");
  writer.add_floats("a", Tensor::full({1 << 20}, 1));
  const auto image = writer.image();
  write_file(folder / "f.h5", {reinterpret_cast<const char*>(image.data()), image.size()});
  const io::H5Dataset dataset = H5Group::open(folder / "f.h5").dataset("a");
  for (int i = 0; i < 4; ++i) CHECK(dataset.read_floats().values()[0] == 1);
  CHECK(contains(refusal([&] { dataset.read_floats(); }), "more values than"));
}

TEST_CASE("attributes as many as a header holds are read") {
  const TempFolder folder;
  io::H5Writer writer = io::H5Writer::create("many");
  for (int i = 0; i < 500; ++i) writer.add_text(fmt::format("a{}", i), std::to_string(i));
  const auto image = writer.image();
  write_file(folder / "f.h5", {reinterpret_cast<const char*>(image.data()), image.size()});
  const H5Group root = H5Group::open(folder / "f.h5");
  for (int i = 0; i < 500; ++i) REQUIRE(root.text(fmt::format("a{}", i)) == std::to_string(i));
  CHECK(root.texts("a").size() == 500);
  CHECK_FALSE(root.has_attribute("a500"));
}

}  // namespace perch
