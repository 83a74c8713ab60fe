#include <atomic>
#include <limits>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/core/restore_threads.h"
#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

TEST_CASE("parallel_for runs every chunk once, with any number of threads") {
  const RestoreThreads restore;
  for (const int threads : {1, 2, 4}) {
    set_thread_count(threads);
    CHECK(thread_count() == threads);
    for (const std::int64_t chunks : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(1000);
      parallel_for(chunks, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
      for (std::int64_t i = 0; i < 1000; ++i) {
        REQUIRE(runs[static_cast<std::size_t>(i)] == (i < chunks ? 1 : 0));
      }
    }
  }
  CHECK_THAT(error_of(ErrorCode::usage, [] { set_thread_count(0); }), Catch::Contains("0"));
}

TEST_CASE("chunks cover a range without gaps, the last one shorter") {
  const Chunks chunks(10, 4);
  REQUIRE(chunks.number() == 3);
  CHECK(chunks[1].begin == 4);
  CHECK(chunks[2].begin == 8);
  CHECK(chunks[2].size() == 2);
  CHECK(Chunks(0, 4).number() == 0);
}

TEST_CASE("parallel loops may nest, and an exception comes out") {
  std::atomic<int> runs = 0;
  parallel_for(4, [&](std::int64_t) { parallel_for(5, [&](std::int64_t) { ++runs; }); });
  CHECK(runs == 20);
  CHECK_THROWS_AS(parallel_for(8,
                               [](std::int64_t i) {
                                 if (i == 3) throw std::runtime_error("chunk 3");
                               }),
                  std::runtime_error);
}

#if defined(__x86_64__)
TEST_CASE("denormals are zero inside of a parallel loop and come back after it") {
  volatile float tiny = std::numeric_limits<float>::min();
  for (const std::int64_t chunks : {1, 3}) {
    std::atomic<int> zeros = 0;
    parallel_for(chunks, [&](std::int64_t) { zeros += tiny / 2 == 0.0f; });
    CHECK(zeros == chunks);
    CHECK(tiny / 2 != 0.0f);
  }
}
#endif
