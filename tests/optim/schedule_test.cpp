// Learning-rate schedules.
#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/optim/schedule.h>

namespace perch {

TEST_CASE("a constant schedule warms up linearly and stays") {
  const Schedule schedule{.warmup_steps = 4};
  CHECK(schedule.factor(0, 100) == 0.25);
  CHECK(schedule.factor(2, 100) == 0.75);
  CHECK(schedule.factor(3, 100) == 1.0);
  CHECK(schedule.factor(99, 100) == 1.0);
  CHECK(Schedule{}.factor(0, 100) == 1.0);
}

TEST_CASE("a step schedule drops at its shares of all steps") {
  const Schedule schedule{.kind = Schedule::Kind::step};
  CHECK(schedule.factor(49, 100) == 1.0);
  CHECK(schedule.factor(50, 100) == Approx(0.1));
  CHECK(schedule.factor(75, 100) == Approx(0.01));
  CHECK(schedule.factor(99, 100) == Approx(0.01));
}

TEST_CASE("a cosine schedule falls from 1 to 0 behind the warm-up") {
  const Schedule schedule{.kind = Schedule::Kind::cosine, .warmup_steps = 10};
  CHECK(schedule.factor(0, 110) == Approx(0.1));
  CHECK(schedule.factor(10, 110) == 1.0);
  CHECK(schedule.factor(60, 110) == Approx(0.5));
  CHECK(schedule.factor(110, 110) == Approx(0.0).margin(1e-12));
  CHECK(schedule.factor(500, 110) == Approx(0.0).margin(1e-12));
}

TEST_CASE("schedules have names") {
  for (const std::string& name : schedule_names()) {
    CHECK(schedule_name(schedule_kind(name)) == name);
  }
  CHECK_THROWS_WITH(schedule_kind("cosin"), Catch::Contains("nearest: cosine"));
}

}  // namespace perch
