#include <atomic>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include <perch/core/storage.h>

namespace perch {
namespace {

constexpr std::align_val_t alignment{64};
constexpr std::int64_t floats_per_line = 16;

class FreeList {
 public:
  ~FreeList() { release(); }

  float* take(std::int64_t count) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = buffers_.find(count);
      if (found != buffers_.end() && !found->second.empty()) {
        float* const buffer = found->second.back();
        found->second.pop_back();
        return buffer;
      }
    }
    auto* const buffer = static_cast<float*>(
        ::operator new(static_cast<std::size_t>(count) * sizeof(float), alignment));
    held += count;
    return buffer;
  }

  void give(float* buffer, std::int64_t count) {
    if (!keep) {
      drop(buffer, count);
      return;
    }
    const std::lock_guard lock(mutex_);
    buffers_[count].push_back(buffer);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    for (auto& [count, list] : buffers_) {
      for (float* buffer : list) drop(buffer, count);
    }
    buffers_.clear();
  }

  std::atomic<bool> keep = true;
  std::atomic<std::int64_t> held = 0;  // floats

 private:
  void drop(float* buffer, std::int64_t count) {
    ::operator delete(buffer, alignment);
    held -= count;
  }

  std::mutex mutex_;
  std::map<std::int64_t, std::vector<float*>> buffers_;
};

// Held by every buffer too, so that tensors with static lifetime may outlive this file's statics.
const std::shared_ptr<FreeList>& free_list() {
  static const auto list = std::make_shared<FreeList>();
  return list;
}

}  // namespace

std::shared_ptr<float> allocate_floats(std::int64_t count) {
  // Whole cache lines: sizes that differ by a few elements share a list, and no two buffers a line.
  const std::int64_t rounded = (count + floats_per_line - 1) / floats_per_line * floats_per_line +
                               floats_per_line * (count == 0);
  const std::shared_ptr<FreeList>& list = free_list();
  float* const buffer = list->take(rounded);
  return {buffer, [list, rounded](float* p) { list->give(p, rounded); }};
}

std::shared_ptr<double> allocate_doubles(std::int64_t count) {
  const std::shared_ptr<float> floats = allocate_floats(2 * count);
  return {floats, reinterpret_cast<double*>(floats.get())};
}

std::shared_ptr<std::uint8_t> allocate_bytes(std::int64_t count) {
  const std::shared_ptr<float> floats = allocate_floats((count + 3) / 4);
  return {floats, reinterpret_cast<std::uint8_t*>(floats.get())};
}

void keep_returned_buffers(bool keep) {
  free_list()->keep = keep;
}

void release_cached_buffers() {
  free_list()->release();
}

std::int64_t held_bytes() {
  return free_list()->held * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace perch
