#include <cstdint>

#include <catch2/catch.hpp>

#include <perch/core/storage.h>
#include <perch/core/tensor.h>

#include "tests/support/bits.h"
#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

TEST_CASE("a tensor's copy shares its elements, a clone does not") {
  Tensor t({2, 2}, {1, 2, 3, 4});
  CHECK(t.unique());
  Tensor copy = t;
  const Tensor clone = t.clone();
  CHECK_FALSE(t.unique());
  copy.data()[0] = 9;
  CHECK(t.data()[0] == 9);
  CHECK(clone.data()[0] == 1);
  CHECK(t.reshape({4}).shares_storage_with(t));
}

TEST_CASE("tensor buffers are aligned to cache lines and used again") {
  const float* former;
  {
    const Tensor t({1000});
    former = t.data();
    CHECK(reinterpret_cast<std::uintptr_t>(former) % 64 == 0);
  }
  CHECK(Tensor({1000}).data() == former);
}

TEST_CASE("a tensor without elements is not an empty handle") {
  CHECK(Tensor().empty());
  CHECK(Tensor().size() == 0);
  const Tensor none(Shape{0, 3});
  CHECK_FALSE(none.empty());
  CHECK(none.size() == 0);
  CHECK(Tensor::scalar(2.0f).item() == 2.0f);
}

TEST_CASE("tensors refuse sizes that do not fit and say both") {
  Tensor t({2, 3});
  const auto message = [](auto f) { return error_of(ErrorCode::usage, f); };
  CHECK_THAT(message([] {
               Tensor({2, 2}, {1, 2, 3});
             }),
             Catch::Contains("3 values") && Catch::Contains("[2, 2]"));
  CHECK_THAT(message([&] { (void)t.reshape({4}); }),
             Catch::Contains("[2, 3]") && Catch::Contains("[4]"));
  CHECK_THAT(message([&] { t.copy_from(Tensor({3, 2})); }), Catch::Contains("[3, 2]"));
  CHECK_THAT(message([&] { (void)t.item(); }), Catch::Contains("one element"));
}
