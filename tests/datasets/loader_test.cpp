#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include <perch/core/parallel.h>
#include <perch/datasets/loader.h>
#include <perch/datasets/synthetic.h>

#include "tests/support/allocation_counter.h"
#include "tests/support/errors.h"

using namespace perch;
using test::error_of;

namespace {

struct Pass {
  std::vector<float> pixels;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> sizes;
  bool operator==(const Pass&) const = default;
};

Pass run(Loader& loader, std::int64_t epoch, std::chrono::microseconds pause = {}) {
  Pass pass;
  Batch batch;
  loader.start(epoch);
  while (loader.next(batch)) {
    std::this_thread::sleep_for(pause);
    pass.pixels.insert(pass.pixels.end(), batch.images.data(),
                       batch.images.data() + batch.images.size());
    pass.labels.insert(pass.labels.end(), batch.labels.begin(), batch.labels.end());
    pass.sizes.push_back(batch.size());
  }
  return pass;
}

/// Image i is one pixel of value i, raw.
Dataset numbered(int count) {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < count; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(i));
    labels.push_back(i);
  }
  return from_memory(bytes, labels, {1, 1, 1}).with_input_scale(InputScale::raw);
}

}  // namespace

TEST_CASE("without shuffling the batches come in order and the last one is smaller") {
  Loader loader(numbered(10), {.batch_size = 4});
  CHECK(loader.batches() == 3);
  const Pass pass = run(loader, 0);
  CHECK(pass.sizes == std::vector<std::int64_t>{4, 4, 2});
  CHECK(pass.labels == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  Batch batch;
  CHECK_FALSE(loader.next(batch));
}

TEST_CASE("a shuffled pass has every image once, with its label, and every epoch its own order") {
  Loader loader(numbered(200), {.batch_size = 7, .shuffle = true, .seed = 3});
  const Pass first = run(loader, 0), second = run(loader, 1);
  for (const Pass& pass : {first, second}) {
    CHECK(std::set<std::int32_t>(pass.labels.begin(), pass.labels.end()).size() == 200);
    CHECK(std::equal(pass.labels.begin(), pass.labels.end(), pass.pixels.begin()));
  }
  CHECK(first.labels != second.labels);
  CHECK(run(loader, 0) == first);
  Loader other(numbered(200), {.batch_size = 7, .shuffle = true, .seed = 4});
  CHECK(run(other, 0).labels != first.labels);
}

TEST_CASE("batches are the same bits whatever the timing and the number of threads") {
  const LoaderOptions options{.batch_size = 5,
                              .shuffle = true,
                              .seed = 1,
                              .augmentation = {.crop_padding = 2, .flip = true}};
  const int former = thread_count();
  set_thread_count(1);
  Loader loader(datasets::synthetic(33, {6, 8, 3}, 4, 2), options);
  const Pass calm = run(loader, 2);
  set_thread_count(4);
  Loader slow(datasets::synthetic(33, {6, 8, 3}, 4, 2), options);
  CHECK(run(slow, 2, std::chrono::microseconds(300)) == calm);
  set_thread_count(former);
}

TEST_CASE("augmentation of an image does not depend on where it stands in the order") {
  const Augmentation augmentation{.crop_padding = 3, .flip = true};
  const Dataset data = datasets::synthetic(20, {5, 5, 1}, 20, 9);
  Loader ordered(data, {.batch_size = 20, .seed = 8, .augmentation = augmentation});
  Loader shuffled(data,
                  {.batch_size = 6, .shuffle = true, .seed = 8, .augmentation = augmentation});
  const Pass in_order = run(ordered, 4), mixed = run(shuffled, 4);
  for (std::size_t i = 0; i < mixed.labels.size(); ++i) {
    const auto source = static_cast<std::ptrdiff_t>(mixed.labels[i]) * 25;
    CHECK(std::equal(mixed.pixels.begin() + static_cast<std::ptrdiff_t>(i) * 25,
                     mixed.pixels.begin() + static_cast<std::ptrdiff_t>(i + 1) * 25,
                     in_order.pixels.begin() + source));
  }
  CHECK(run(ordered, 5) != in_order);
}

TEST_CASE(
    "augmentation shifts within the padding, mirrors half of the images, and invents nothing") {
  constexpr int height = 4, width = 5, padding = 2, count = 400;
  std::vector<std::uint8_t> image;
  for (int i = 1; i <= height * width; ++i) image.push_back(static_cast<std::uint8_t>(i));
  std::vector<std::uint8_t> images;
  for (int i = 0; i < count; ++i) images.insert(images.end(), image.begin(), image.end());
  const Dataset data = from_memory(images, std::vector<std::int32_t>(count, 0), {height, width, 1})
                           .with_input_scale(InputScale::raw);
  Loader loader(data,
                {.batch_size = count, .augmentation = {.crop_padding = padding, .flip = true}});
  const Pass pass = run(loader, 0);

  const auto moved = [&](int dy, int dx, bool flip) {
    std::vector<float> out;
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const int row = y + dy, column = x + dx;
        const bool inside = row >= 0 && row < height && column >= 0 && column < width;
        const int source = row * width + (flip ? width - 1 - column : column);
        out.push_back(inside ? static_cast<float>(image[static_cast<std::size_t>(source)]) : 0.0f);
      }
    }
    return out;
  };
  std::set<std::pair<int, int>> shifts;
  int flips = 0, recognised = 0;
  for (int i = 0; i < count; ++i) {
    const auto begin = pass.pixels.begin() + i * height * width;
    const std::vector<float> got(begin, begin + height * width);
    for (int dy = -padding; dy <= padding; ++dy) {
      for (int dx = -padding; dx <= padding; ++dx) {
        for (const bool flip : {false, true}) {
          if (moved(dy, dx, flip) != got) continue;
          shifts.insert({dy, dx});
          flips += flip ? 1 : 0;
          ++recognised;
        }
      }
    }
  }
  CHECK(recognised == count);
  CHECK(shifts.size() == 25);
  CHECK((flips > 150 && flips < 250));
}

TEST_CASE("a batch that the caller keeps is not written over") {
  Loader loader(numbered(6), {.batch_size = 2});
  loader.start(0);
  Batch batch;
  REQUIRE(loader.next(batch));
  const Tensor kept = batch.images;
  while (loader.next(batch)) CHECK_FALSE(batch.images.shares_storage_with(kept));
  CHECK((kept.data()[0] == 0.0f && kept.data()[1] == 1.0f));
}

TEST_CASE("a pass can be left or started anew in the middle") {
  Batch batch;
  {
    Loader left(numbered(50), {.batch_size = 3});
    left.start(0);
    left.next(batch);
  }
  Loader loader(numbered(50), {.batch_size = 3});
  loader.start(0);
  loader.next(batch);
  Loader moved = std::move(loader);
  const Pass pass = run(moved, 1);
  CHECK(pass.labels.size() == 50);
  CHECK(pass.labels[0] == 0);
}

TEST_CASE("steady passes make no large allocation") {
  if (!test::AllocationCounter::available()) return;
  Loader loader(datasets::synthetic(100, {32, 32, 3}, 10, 1),
                {.batch_size = 16, .augmentation = {.crop_padding = 4, .flip = true}});
  Batch batch;
  const auto pass = [&](std::int64_t epoch) {
    loader.start(epoch);
    while (loader.next(batch)) {
    }
  };
  pass(0);
  pass(1);
  const test::AllocationCounter counter;
  pass(2);
  CHECK(counter.count() == 0);
}

TEST_CASE("a loader that cannot work is refused") {
  const auto refuse = [](const Dataset& data, const LoaderOptions& options) {
    return error_of(ErrorCode::usage, [&] { Loader(data, options); });
  };
  refuse(Dataset(), {});
  refuse(numbered(3), {.batch_size = 0});
  refuse(numbered(3), {.augmentation = {.crop_padding = 1}});
  refuse(numbered(3), {.augmentation = {.crop_padding = -1}});
  refuse(from_memory(std::vector<float>{1, 2}, {0}, {2}), {.augmentation = {.flip = true}});
}
