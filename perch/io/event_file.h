// TensorBoard's event files: scalars and histograms as protocol buffers in TFRecord frames.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace perch::io {

class EventFile {
 public:
  /// A new file in `folder`, which TensorBoard reads together with those that are there. Steps from
  /// `first_step` on that they hold are taken back, as those of a run that is gone on with from
  /// there. Throws Error(cannot_create).
  explicit EventFile(const std::filesystem::path& folder, std::int64_t first_step = 0);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Kept for the next write().
  void add(std::string_view tag, double value);
  /// A histogram with even buckets from the least to the greatest value; those that are not finite
  /// are left out, and without others there is none.
  void add(std::string_view tag, std::span<const float> values);
  /// One event of all that was added, on disk when it returns. Throws Error(io).
  void write(std::int64_t step);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perch::io
