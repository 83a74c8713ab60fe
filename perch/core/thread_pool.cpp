#include <memory>
#include <mutex>

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <perch/core/check.h>
#include <perch/core/thread_pool.h>
#include <perch/core/thread_sanitizer.h>

namespace perch {
namespace {

// The arena is replaced, never resized, when the count changes; the global limit lets it have more
// threads than the machine has cores.
struct Pool {
  explicit Pool(int count)
      : limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(count)),
        arena(count) {}
  tbb::global_control limit;
  tbb::task_arena arena;
};

std::mutex pool_mutex;
std::shared_ptr<Pool> pool;  // guarded by pool_mutex

std::shared_ptr<Pool> current_pool() {
  const std::lock_guard lock(pool_mutex);
  if (!pool) pool = std::make_shared<Pool>(tbb::info::default_concurrency());
  return pool;
}

// A loop's begin happens before each of its bodies, and those before its end: TBB sees to it.
// Two objects, so that two bodies are not in order.
class LoopOrder {
 public:
  class Body {
   public:
    explicit Body(LoopOrder& order) : order_(order) { thread_sanitizer::acquire(&order_.begin_); }
    ~Body() { thread_sanitizer::release(&order_.end_); }
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;

   private:
    LoopOrder& order_;
  };

  LoopOrder() { thread_sanitizer::release(&begin_); }
  ~LoopOrder() { thread_sanitizer::acquire(&end_); }
  LoopOrder(const LoopOrder&) = delete;
  LoopOrder& operator=(const LoopOrder&) = delete;

 private:
  char begin_ = 0, end_ = 0;
};

}  // namespace

void set_thread_count(int count) {
  PERCH_CHECK(count >= 1, "threads: {} is below the least possible, 1", count);
  const std::lock_guard lock(pool_mutex);
  pool.reset();
  pool = std::make_shared<Pool>(count);
}

int thread_count() {
  return current_pool()->arena.max_concurrency();
}

int worker_slot() {
  // Outside of the pool's arena a loop has one chunk, and any place is free.
  const int index = tbb::this_task_arena::current_thread_index();
  return index < 0 ? 0 : index % thread_count();
}

void run_in_pool(std::int64_t chunks, ChunkBody body) {
  LoopOrder order;
  current_pool()->arena.execute([&] {
    tbb::parallel_for(
        std::int64_t{0}, chunks, std::int64_t{1},
        [&](std::int64_t i) {
          const LoopOrder::Body in_order(order);
          body(i);
        },
        tbb::simple_partitioner());
  });
}

}  // namespace perch
