#include <tbb/task_arena.h>

#include <perch/core/encoding.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/storage.h>

namespace perch {

void Encoding::read(std::int64_t first, std::int64_t count, float* to) const {
  kernels::TailInput input{};
  if (codes != nullptr) {
    input.codes = codes.get() + first;
    input.zero_point = grid->zero_point.item();
    input.scale = grid->scale.item();
  } else {
    input.values = values.get() + first;
  }
  const auto decode = kernels::active().tail.decode;
  if (map == nullptr) return decode(input, nullptr, to, count, count);
  const float* const tables = map->tables.data() + first % map->channels;
  const std::int64_t stride = 2 * map->width;
  const kernels::TailMap part{tables, tables + stride, tables + 2 * stride, map->low, map->high};
  decode(input, &part, to, count, map->width);
}

std::shared_ptr<float> Encoding::floats(std::int64_t count) const {
  const std::lock_guard lock(mutex_);
  if (floats_ == nullptr) {
    const std::shared_ptr<float> result = allocate_floats(count);
    // Isolated: a thread that waits for the loop's end must not take work that may come back here.
    tbb::this_task_arena::isolate([&] {
      parallel_elements(count, [&](ChunkRange range) {
        read(range.begin, range.size(), result.get() + range.begin);
      });
    });
    floats_ = result;
  }
  return floats_;
}

}  // namespace perch
