// Tensors whose elements are kept as codes, or as what a map is still to be applied to.
#include <catch2/catch.hpp>

#include <perch/core/encoding.h>
#include <perch/core/ops/channel_layout.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/storage.h>

#include "tests/core/restore_threads.h"
#include "tests/support/bits.h"

using namespace perch;
using namespace perch::test;

namespace {

constexpr std::int64_t channels = 5;

std::shared_ptr<Encoding> codes(std::int64_t count) {
  auto encoding = std::make_shared<Encoding>();
  const std::shared_ptr<std::uint8_t> bytes = allocate_bytes(count);
  for (std::int64_t i = 0; i < count; ++i) bytes.get()[i] = static_cast<std::uint8_t>(i * 7 % 256);
  encoding->codes = bytes;
  auto grid = std::make_shared<CodeGrid>();
  grid->bits = 8;
  grid->scale = Tensor::scalar(0.25f);
  grid->zero_point = Tensor::scalar(100.0f);
  encoding->grid = grid;
  return encoding;
}

float decoded(std::int64_t i) {
  return (static_cast<float>(i * 7 % 256) - 100.0f) * 0.25f;
}

std::shared_ptr<ChannelMap> map() {
  const ChannelLayout layout(0, channels);
  auto result = std::make_shared<ChannelMap>();
  result->channels = channels;
  result->width = layout.width();
  result->low = 0.0f;
  result->high = 6.0f;
  const std::int64_t columns = 2 * layout.width();
  result->tables = Tensor({3, columns});
  const float shift[channels] = {1, 2, 3, 4, 5}, factor[channels] = {1, -1, 0.5f, 2, 0.25f},
              offset[channels] = {0, 1, 2, -3, 4};
  layout.widen(shift, columns, result->tables.data());
  layout.widen(factor, columns, result->tables.data() + columns);
  layout.widen(offset, columns, result->tables.data() + 2 * columns);
  return result;
}

}  // namespace

TEST_CASE("codes become floats when somebody asks for them") {
  const Shape shape{7, 3, channels};
  const Tensor t = Tensor::encoded(shape, codes(shape.size()));
  CHECK_FALSE(t.empty());
  CHECK_FALSE(t.unique());
  REQUIRE(t.deferred() != nullptr);
  REQUIRE(t.grid() != nullptr);
  for (std::int64_t i = 0; i < t.size(); ++i) REQUIRE(t.data()[i] == decoded(i));
  CHECK(t.deferred() != nullptr);  // still there for those who read codes
  CHECK(t.reshape({21, channels}).grid() != nullptr);

  Tensor written = t;
  written.data()[0] = 3.0f;
  CHECK(written.deferred() == nullptr);
  CHECK(written.grid() == nullptr);
  CHECK(t.data()[0] == decoded(0));
  CHECK(written.data()[1] == decoded(1));
}

TEST_CASE("a deferred map is applied from any element on") {
  auto encoding = codes(40 * channels);
  encoding->map = map();
  const Tensor t = Tensor::encoded({40, channels}, encoding);
  CHECK(t.grid() == nullptr);  // its elements are not the codes'
  const auto expected = [&](std::int64_t i) {
    const float shift[channels] = {1, 2, 3, 4, 5}, factor[channels] = {1, -1, 0.5f, 2, 0.25f},
                offset[channels] = {0, 1, 2, -3, 4};
    const auto c = i % channels;
    return std::min(6.0f, std::max(0.0f, (decoded(i) - shift[c]) * factor[c] + offset[c]));
  };
  for (std::int64_t i = 0; i < t.size(); ++i) REQUIRE(t.data()[i] == expected(i));
  for (const std::int64_t first : {0, 5, 35, 180}) {
    std::vector<float> part(20);
    encoding->read(first, 20, part.data());
    for (std::int64_t i = 0; i < 20; ++i) {
      REQUIRE(part[static_cast<std::size_t>(i)] == expected(first + i));
    }
  }
}

TEST_CASE("a deferred tensor may be decoded by many threads at once, inside of loops") {
  const Shape shape{64, 1024};
  const Tensor t = Tensor::encoded(shape, codes(shape.size()));
  Tensor sums({64});
  parallel_for(64, [&](std::int64_t i) { sums.data()[i] = t.data()[i * 1024 + 3]; });
  for (std::int64_t i = 0; i < 64; ++i) CHECK(sums.data()[i] == decoded(i * 1024 + 3));
}

TEST_CASE("deferred tensors are added by several threads") {
  const RestoreThreads restore;
  set_thread_count(4);
  const Shape shape{64, 5 * 1024};
  for (int round = 0; round < 50; ++round) {
    const Tensor sum = sum_of(Tensor::encoded(shape, codes(shape.size())),
                              Tensor::encoded(shape, codes(shape.size())));
    for (std::int64_t i = 0; i < shape.size(); i += 101) {
      REQUIRE(sum.data()[i] == 2.0f * decoded(i));
    }
  }
}

TEST_CASE("ops take deferred inputs") {
  const Shape shape{6, channels};
  const Variable x(Tensor::encoded(shape, codes(shape.size())), true);
  const Variable y = add(x, x);
  CHECK(y.value().data()[4] == 2.0f * decoded(4));
  y.backward(Tensor::full(shape, 1.0f));
  CHECK(x.grad().data()[4] == 2.0f);
}
