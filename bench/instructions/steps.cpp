// Ten training steps of a ready network on one thread, for a tool that counts instructions:
//   perch_bench_steps MODEL float|qat BATCH [WIDTH]
// One step before them fills the free lists and loads OpenBLAS. Prints what it ran on as JSON.
#include <iostream>
#include <optional>
#include <span>

#include <nlohmann/json.hpp>

#include <perch/core/blas.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/integer_forward.h>
#include <perch/datasets/synthetic.h>
#include <perch/perch.h>

using namespace perch;

namespace {

constexpr std::int64_t counted_steps = 10;

/// As `perch train` does unless told otherwise.
void quantize(Model& model) {
  const QuantizeConfig config{.weights = {{"kernel", {.granularity = per_channel}}},
                              .activation = QuantSpec{.range = MovingAverage{}}};
  apply_in_place(model, choose_configs(model, [&](const Layer& layer) {
                   return layer.kind().ends_with("Conv2D") ? std::optional(config) : std::nullopt;
                 }));
}

std::vector<Batch> batches_of(std::int64_t size) {
  const Dataset data = datasets::synthetic((1 + counted_steps) * size, {32, 32, 3}, 10, 1);
  Loader loader(data, {.batch_size = size});
  std::vector<Batch> batches;
  loader.start(0);
  for (Batch batch; loader.next(batch);) batches.push_back({batch.images.clone(), batch.labels});
  return batches;
}

}  // namespace

/// Its name is what callgrind looks for: instructions count from its entry to its return.
extern "C" [[gnu::noinline]] void perch_counted_steps(Trainer& trainer,
                                                      std::span<const Batch> batches) {
  for (const Batch& batch : batches) trainer.train_batch(batch, 1e-3f);
}

namespace {

void run(const std::string& name, const std::string& kind, std::int64_t batch_size,
         std::optional<float> width) {
  set_thread_count(1);
  const std::unique_ptr<Model> model = make_model(name, {.width = width});
  model->build({32, 32, 3}, {.seed = 1});
  if (kind == "qat") quantize(*model);
  Trainer trainer(*model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const std::vector<Batch> batches = batches_of(batch_size);
  trainer.train_batch(batches[0], 1e-3f);
  perch_counted_steps(trainer, std::span(batches).subspan(1));
  const blas::Backend& backend = blas::backend();
  std::cout << nlohmann::json{{"kernels", kernels::active().arch},
                              {"integer_products", integer_forward()},
                              {"openblas", backend.version + " " + backend.core},
                              {"compiler", __VERSION__}}
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc == 4 || argc == 5 ? argv[2] : "";
  if (kind != "float" && kind != "qat") {
    std::cerr << "usage: perch_bench_steps MODEL float|qat BATCH [WIDTH]\n";
    return 2;
  }
  try {
    run(argv[1], kind, std::stoll(argv[3]),
        argc == 5 ? std::optional(std::stof(argv[4])) : std::nullopt);
  } catch (const std::exception& error) {
    std::cerr << "perch_bench_steps: " << error.what() << '\n';
    return 1;
  }
}
