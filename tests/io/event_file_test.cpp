#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include <catch2/catch.hpp>
#include <tests/support/errors.h>
#include <tests/support/temp_folder.h>

#include <perch/io/event_file.h>

using namespace perch;
using namespace perch::test;
namespace fs = std::filesystem;

namespace {

/// CRC-32C, a bit at a time, as the file format's description has it.
std::uint32_t masked_crc(const std::string& bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0u);
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <class T>
T at(const std::string& bytes, std::size_t place) {
  T value{};
  std::memcpy(&value, bytes.data() + place, sizeof value);
  return value;
}

/// The messages in the frames; every checksum has to be right.
std::vector<std::string> messages(const std::string& file) {
  std::vector<std::string> found;
  for (std::size_t place = 0; place < file.size();) {
    REQUIRE(place + 16 <= file.size());
    const auto size = at<std::uint64_t>(file, place);
    CHECK(at<std::uint32_t>(file, place + 8) == masked_crc(file.substr(place, 8)));
    REQUIRE(place + 16 + size <= file.size());
    found.push_back(file.substr(place + 12, size));
    CHECK(at<std::uint32_t>(file, place + 12 + size) == masked_crc(found.back()));
    place += 16 + size;
  }
  return found;
}

/// A message's fields: numbers as doubles, anything with a length as its bytes.
struct Fields {
  std::multimap<int, double> numbers;
  std::multimap<int, std::string> texts;

  explicit Fields(const std::string& bytes) {
    std::size_t place = 0;
    const auto varint = [&] {
      std::uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes.at(place++));
        value |= std::uint64_t{byte & 0x7fu} << shift;
        if (byte < 0x80) return value;
      }
    };
    while (place < bytes.size()) {
      const std::uint64_t key = varint();
      const int field = static_cast<int>(key >> 3);
      switch (key & 7) {
        case 0:
          numbers.emplace(field, static_cast<double>(varint()));
          break;
        case 1:
          numbers.emplace(field, at<double>(bytes, place));
          place += 8;
          break;
        case 2: {
          const std::uint64_t size = varint();
          texts.emplace(field, bytes.substr(place, size));
          place += size;
          break;
        }
        case 5:
          numbers.emplace(field, at<float>(bytes, place));
          place += 4;
          break;
        default:
          FAIL("wire type " << (key & 7));
      }
    }
  }
  double number(int field) const { return numbers.find(field)->second; }
  Fields message(int field) const { return Fields(texts.find(field)->second); }
};

std::vector<double> doubles(const std::string& bytes) {
  std::vector<double> values;
  for (std::size_t i = 0; i < bytes.size(); i += 8) values.push_back(at<double>(bytes, i));
  return values;
}

std::vector<std::string> event_files(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    CHECK_THAT(entry.path().filename().string(), Catch::StartsWith("events.out.tfevents."));
    files.push_back(read_file(entry.path()));
  }
  return files;
}

}  // namespace

TEST_CASE("an event file holds its version, scalars and histograms in sound frames") {
  const TempFolder folder;
  io::EventFile events(folder.path());
  events.add("epoch/loss", 1.5);
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {-1.0f, 0.0f, 0.25f, 3.0f, std::nanf(""), inf};
  events.add("weights/kernel", values);
  events.add("weights/same", std::vector<float>{2.0f, 2.0f});
  events.add("weights/none", std::vector<float>{inf});
  events.write(7);
  // There already while the file is open.
  const auto files = event_files(folder.path());
  REQUIRE(files.size() == 1);
  const auto found = messages(files[0]);
  REQUIRE(found.size() == 2);
  CHECK(Fields(found[0]).texts.find(3)->second == "brain.Event:2");
  CHECK(Fields(found[0]).number(1) > 1.6e9);

  const Fields event(found[1]), summary = event.message(5);
  CHECK(event.number(2) == 7);
  std::vector<Fields> entries;
  for (const auto& [field, bytes] : summary.texts) entries.emplace_back(bytes);
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].texts.find(1)->second == "epoch/loss");
  CHECK(entries[0].number(2) == 1.5);
  CHECK(entries[1].texts.find(1)->second == "weights/kernel");
  const Fields histogram = entries[1].message(5);
  CHECK(histogram.number(1) == -1.0);
  CHECK(histogram.number(2) == 3.0);
  CHECK(histogram.number(3) == 4.0);
  CHECK(histogram.number(4) == 2.25);
  CHECK(histogram.number(5) == 10.0625);
  const auto limits = doubles(histogram.texts.find(6)->second);
  const auto counts = doubles(histogram.texts.find(7)->second);
  REQUIRE(limits.size() == counts.size());
  CHECK(std::is_sorted(limits.begin(), limits.end()));
  CHECK(limits.back() == 3.0);
  double count = 0.0;
  for (const double one : counts) count += one;
  CHECK(count == 4.0);
  CHECK(counts.front() == 1.0);
  CHECK(counts.back() == 1.0);
  CHECK(doubles(entries[2].message(5).texts.find(7)->second) == std::vector<double>{2.0});
}

TEST_CASE("a run that is gone on with takes back later steps in a file of its own") {
  const TempFolder folder;
  io::EventFile first(folder.path()), second(folder.path(), 5);
  const auto files = event_files(folder.path());
  REQUIRE(files.size() == 2);
  const std::string& longer = files[0].size() > files[1].size() ? files[0] : files[1];
  const auto found = messages(longer);
  REQUIRE(found.size() == 2);
  const Fields start(found[1]);
  CHECK(start.number(2) == 5);
  CHECK(start.message(7).number(1) == 1);  // SessionLog.START
}

TEST_CASE("event files that cannot be written are errors") {
  const TempFolder folder;
  CHECK_THAT(
      error_of(ErrorCode::cannot_create, [&] { io::EventFile events(folder.path() / "none"); }),
      Catch::Contains("none"));
}
