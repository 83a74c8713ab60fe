// The profiler: what it counts, and the trace that it writes.
#include <sstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <perch/core/ops/conv.h>
#include <perch/core/profile.h>

using namespace perch;

TEST_CASE("a profile has a row per phase, layer and op, with the work of its products") {
  Profiler profiler;
  CHECK(profiling());
  CHECK_THROWS_WITH(Profiler(), Catch::Contains("end it first"));
  const Variable x(Tensor::full({2, 4, 4, 3}, 0.5f), true);
  const Variable kernel(Tensor::full({3, 3, 3, 8}, 0.25f), true);
  for (int i = 0; i < 2; ++i) {
    Variable y;
    {
      const ProfileScope scope("forward", "conv \"one\"", "Conv2D");
      y = conv2d(x, kernel, {}, {.padding = Padding::same});
    }
    y.backward(Tensor::full(y.shape(), 1.0f));
  }
  profiler.stop();
  CHECK_FALSE(profiling());
  { const ProfileScope scope("forward", "late", "Conv2D"); }

  const double flops = 2.0 * 2 * 4 * 4 * 8 * 27;
  std::vector<ProfileRow> rows = profiler.rows();
  REQUIRE(rows.size() == 2);
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.phase > b.phase; });
  CHECK(rows[0].phase == "forward");
  CHECK(rows[0].layer == "conv \"one\"");
  CHECK(rows[0].calls == 2);
  CHECK(rows[0].flops == 2 * flops);
  CHECK(rows[0].seconds > 0.0);
  CHECK(rows[1].phase == "backward");
  CHECK(rows[1].op == "conv2d");
  CHECK(rows[1].layer == rows[0].layer);
  CHECK(rows[1].flops == 2 * 2 * flops);  // of input and kernel

  std::ostringstream out;
  profiler.write_trace(out);
  const auto trace = nlohmann::json::parse(out.str());
  REQUIRE(trace["traceEvents"].size() == 4);
  for (const auto& event : trace["traceEvents"]) {
    CHECK(event["ph"] == "X");
    CHECK(event["ts"].get<double>() >= 0.0);
    CHECK(event["dur"].get<double>() > 0.0);
  }
}

TEST_CASE("the machine's peak is measured") {
  const MachinePeak peak = measure_peak();
  CHECK(peak.flops > 1e8);
  CHECK(peak.bytes > 1e8);
  CHECK(peak.memory_bytes > 1e8);
}
