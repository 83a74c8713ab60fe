// Pooling, batch 64.
#include <fmt/format.h>

#include <perch/core/ops/pool.h>

#include "bench.h"

namespace perch::bench {

void add_pooling() {
  struct Pool {
    const char* name;
    Shape shape;
    Variable (*op)(const Variable& x);
  };
  const std::vector<Pool> pools{
      {"max pool 2x2", {64, 32, 32, 32}, [](const Variable& x) { return max_pool2d(x, {}); }},
      {"average pool 2x2",
       {64, 32, 32, 32},
       [](const Variable& x) { return average_pool2d(x, {}); }},
      {"global average pool", {64, 8, 8, 256}, global_average_pool2d}};
  for (const Pool& pool : pools) {
    const auto make = [=](bool backwards) -> Benchmark {
      const Variable x(random_tensor(pool.shape, "x"), true);
      const auto op = [=] { return pool.op(x); };
      return {moved(x.value().size() + op().value().size()),
              backwards ? backward(op, {x}) : forward(op)};
    };
    const std::string title = fmt::format("{} {}", pool.name, pool.shape.to_string());
    add(title + ", forward", Beside::nothing, [=] { return make(false); });
    add(title + ", backward", Beside::nothing, [=] { return make(true); });
  }
}

}  // namespace perch::bench
