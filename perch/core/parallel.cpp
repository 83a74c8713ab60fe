#include <mutex>

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

#include <perch/core/check.h>
#include <perch/core/parallel.h>
#include <perch/core/thread_sanitizer.h>

namespace perch {
namespace {

// A loop's begin happens before each of its bodies, and those before its end: TBB sees to it. Two
// objects, so that two bodies are not in order.
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

void parallel_for(std::int64_t chunks, ChunkBody body) {
  if (chunks <= 0) return;
  if (chunks == 1) {
    const FlushDenormals guard;
    body(0);
    return;
  }
  LoopOrder order;
  current_pool()->arena.execute([&] {
    tbb::parallel_for(
        std::int64_t{0}, chunks, std::int64_t{1},
        [&](std::int64_t i) {
          const LoopOrder::Body in_order(order);
          const FlushDenormals guard;
          body(i);
        },
        tbb::simple_partitioner());
  });
}

int worker_slot() {
  // Outside of the pool's arena a loop has one chunk, and any place is free.
  const int index = tbb::this_task_arena::current_thread_index();
  return index < 0 ? 0 : index % thread_count();
}

#if defined(__x86_64__) || defined(__i386__)

FlushDenormals::FlushDenormals() : former_(_mm_getcsr()) {
  constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
  _mm_setcsr(former_ | flush_to_zero | denormals_are_zero);
}
FlushDenormals::~FlushDenormals() {
  _mm_setcsr(former_);
}

#else

FlushDenormals::FlushDenormals() : former_(0) {}
FlushDenormals::~FlushDenormals() = default;

#endif

}  // namespace perch
