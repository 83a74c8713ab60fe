// Threads: loops over chunks that the problem fixes, never the thread count, so that results are
// the same bits with any number of threads.
#pragma once

#include <cstdint>

#include <perch/core/function_ref.h>

namespace perch {

using ChunkBody = FunctionRef<void(std::int64_t)>;

/// Number of threads that parallel_for uses, the caller's included. Throws Error(usage) below 1.
void set_thread_count(int count);
int thread_count();

/// Runs body(i) for i in [0, chunks), in any order, and returns when all are done. Denormals are
/// zero inside. A body's exception is rethrown here.
void parallel_for(std::int64_t chunks, ChunkBody body);

/// Inside a chunk's body: which of the thread_count() places the calling thread has, for scratch
/// memory of its own. Never use it for anything that results depend on.
int worker_slot();

/// Half-open range of elements of one chunk.
struct ChunkRange {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// [0, count) cut into chunks of `size` (the last one may be shorter).
class Chunks {
 public:
  Chunks(std::int64_t count, std::int64_t size) : count_(count), size_(size < 1 ? 1 : size) {}
  std::int64_t number() const { return (count_ + size_ - 1) / size_; }
  ChunkRange operator[](std::int64_t i) const {
    return {i * size_, (i + 1) * size_ < count_ ? (i + 1) * size_ : count_};
  }

 private:
  std::int64_t count_, size_;
};

/// Runs body(ChunkRange) over [0, count) in chunks of 64 KiB of floats: for one pass over elements.
template <class F>
void parallel_elements(std::int64_t count, const F& body) {
  const Chunks chunks(count, 16384);
  parallel_for(chunks.number(), [&](std::int64_t i) { body(chunks[i]); });
}

/// Treats denormals as zero, on input and output, on this thread until the guard goes; the former
/// mode comes back then. (TensorFlow does; and else bits would depend on who takes a chunk.)
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned former_;
};

}  // namespace perch
