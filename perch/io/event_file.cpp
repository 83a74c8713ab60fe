#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <system_error>

#include <boost/crc.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <perch/io/event_file.h>
#include <perch/io/protobuf.h>
#include <perch/train/flushed_file.h>

namespace perch::io {
namespace {

// Field numbers of tensorflow's event.proto, summary.proto and histogram.proto.
namespace event {
constexpr int wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7;
}
namespace summary {
constexpr int value = 1, tag = 1, simple_value = 2, histogram = 5;
}
namespace histogram {
constexpr int min = 1, max = 2, count = 3, sum = 4, sum_squares = 5, limits = 6, counts = 7;
}
constexpr int session_status = 1, session_start = 1;

// TensorBoard draws 30.
constexpr std::size_t most_buckets = 64;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// CRC-32C, turned and shifted as TFRecord has it.
std::uint32_t masked_checksum(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = crc.checksum();
  return (sum >> 15 | sum << 17) + 0xa282ead8U;
}

std::string framed(const Message& message) {
  std::string frame;
  append_little_endian(frame, static_cast<std::uint64_t>(message.bytes().size()));
  append_little_endian(frame, masked_checksum(frame));
  frame += message.bytes();
  append_little_endian(frame, masked_checksum(message.bytes()));
  return frame;
}

Message event_at(std::int64_t step) {
  Message message;
  message.number(event::wall_time, seconds_since_1970());
  message.integer(event::step, step);
  return message;
}

std::filesystem::path new_file(const std::filesystem::path& folder) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const std::string name = fmt::format("events.out.tfevents.{:010}.{}.{}",
                                       static_cast<std::int64_t>(seconds_since_1970()),
                                       host[0] == '\0' ? "localhost" : host.data(), ::getpid());
  std::filesystem::path file = folder / name;
  std::error_code ignored;
  for (int i = 1; std::filesystem::exists(file, ignored); ++i) {
    file = folder / fmt::format("{}.{}", name, i);
  }
  return file;
}

}  // namespace

struct EventFile::State {
  FlushedFile file;
  Message summary;
};

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t first_step)
    : state_(new State{FlushedFile(new_file(folder), "events"), {}}) {
  // The version and the session's begin are what TensorBoard needs to take steps back.
  Message version = event_at(0);
  version.text(event::file_version, "brain.Event:2");
  std::string frames = framed(version);
  if (first_step > 0) {
    Message log, start = event_at(first_step);
    log.integer(session_status, session_start);
    start.message(event::session_log, log);
    frames += framed(start);
  }
  state_->file.write(frames);
}

EventFile::~EventFile() = default;

void EventFile::add(std::string_view tag, double value) {
  Message scalar;
  scalar.text(summary::tag, tag);
  scalar.number(summary::simple_value, static_cast<float>(value));
  state_->summary.message(summary::value, scalar);
}

void EventFile::add(std::string_view tag, std::span<const float> values) {
  double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0.0, squares = 0.0;
  std::size_t count = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const double x = value;
    low = std::min(low, x);
    high = std::max(high, x);
    sum += x;
    squares += x * x;
    ++count;
  }
  if (count == 0) return;
  const std::size_t buckets = high > low ? most_buckets : 1;
  const double width = (high - low) / static_cast<double>(buckets);
  std::array<double, most_buckets> counts{}, limits{};
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const double place = width > 0.0 ? (value - low) / width : 0.0;
    ++counts[std::min(static_cast<std::size_t>(place), buckets - 1)];
  }
  for (std::size_t i = 0; i < buckets; ++i) limits[i] = low + width * static_cast<double>(i + 1);
  limits[buckets - 1] = high;

  Message drawn, value;
  drawn.number(histogram::min, low);
  drawn.number(histogram::max, high);
  drawn.number(histogram::count, static_cast<double>(count));
  drawn.number(histogram::sum, sum);
  drawn.number(histogram::sum_squares, squares);
  drawn.packed(histogram::limits, std::span(limits).first(buckets));
  drawn.packed(histogram::counts, std::span(counts).first(buckets));
  value.text(summary::tag, tag);
  value.message(summary::histogram, drawn);
  state_->summary.message(summary::value, value);
}

void EventFile::write(std::int64_t step) {
  Message message = event_at(step);
  message.message(event::summary, state_->summary);
  state_->summary = {};
  state_->file.write(framed(message));
}

}  // namespace perch::io
