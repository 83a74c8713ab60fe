// The ready networks: layers, shapes, sizes and names.
#include <cmath>
#include <limits>
#include <map>

#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/support/temp_folder.h>

#include <perch/datasets/synthetic.h>
#include <perch/perch.h>

namespace perch {
namespace {

using test::error_of;

// A network small enough to be trained here.
std::unique_ptr<Model> small_model(const std::string& name) {
  ModelOptions options;
  if (name.starts_with("mobilenet")) options.width = 0.25f;
  auto model = make_model(name, options);
  model->build({32, 32, 3}, {.seed = 3});
  return model;
}

Batch tiny_batch() {
  Loader loader(datasets::synthetic(8, {32, 32, 3}, 10, 1), {.batch_size = 8});
  loader.start(0);
  Batch batch;
  loader.next(batch);
  return batch;
}

// The outputs of all layers in one forward pass.
std::map<std::string, Tensor> outputs(Model& model, const Tensor& images) {
  std::map<std::string, Tensor> result;
  Context context;
  context.on_output = [&](const Layer& layer, const Variable& y) {
    result[layer.name()] = y.value();
  };
  model.forward(Variable(images), context);
  return result;
}

ParameterCount sizes(Model&& model) {
  model.build({32, 32, 3});
  return count_parameters(model);
}

}  // namespace

TEST_CASE("the ready networks have the layers and sizes of the original ones") {
  struct Expected {
    std::string name, last_but_one;
    Shape features;
    std::int64_t trainable, other;
  };
  // The mobilenets' numbers are those of keras.applications without its last layer.
  const Expected expected = GENERATE(
      Expected{"temp_net", "flatten", {32, 32, 32}, 3 * 9 * 32 + 32 + 64 + 32768 * 10 + 10, 64},
      Expected{"ds_net",
               "flatten",
               {16, 16, 32},
               (27 * 16 + 16) + 32 + (9 * 16 + 16) + 32 + (16 * 32 + 32) + 64 + 8192 * 10 + 10,
               128},
      Expected{"depthwise_net",
               "global_average_pooling2d",
               {32, 32, 16},
               (27 * 16 + 16) + 32 + (9 * 16 + 16) + 32 + 16 * 10 + 10,
               64},
      Expected{"dsc_net",
               "global_average_pooling2d",
               {8, 8, 256},
               (27 + 1) * 32 + (9 + 1) * (32 + 64 + 128 + 128 + 256) + (32 + 1) * 64 +
                   (64 + 1) * 128 + (128 + 1) * 128 + (128 + 1) * 256 + (256 + 1) * 256 +
                   2 * (32 + 608 + 832) + 256 * 10 + 10,
               2 * (32 + 608 + 832)},
      Expected{"resnet20",
               "global_average_pooling2d",
               {8, 8, 64},
               9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64) +
                   2 * (7 * 16 + 6 * 32 + 6 * 64) + 64 * 10 + 10,
               2 * (7 * 16 + 6 * 32 + 6 * 64)},
      Expected{"mobilenet_v1",
               "global_average_pooling2d",
               {4, 4, 1024},
               3'206'976 + 1024 * 10 + 10,
               21'888},
      Expected{"mobilenet_v2",
               "global_average_pooling2d",
               {4, 4, 1280},
               2'223'872 + 1280 * 10 + 10,
               34'112});
  CAPTURE(expected.name);
  const auto model = make_model(expected.name);
  CHECK(model->name() == expected.name);
  CHECK(model->build({32, 32, 3}) == Shape{10});
  const std::size_t count = model->nodes().size();
  CHECK(model->nodes()[count - 2].layer->name() == expected.last_but_one);
  CHECK(model->node_shapes()[count - 3] == expected.features);
  CHECK(count_parameters(*model).trainable == expected.trainable);
  CHECK(count_parameters(*model).other == expected.other);
  CHECK(model->forward(Variable(Tensor::full({2, 32, 32, 3}, 0.5f)), {}).op() ==
        std::string("softmax"));
}

TEST_CASE("resnet20 has the paper's 0.27 million parameters, with projections a few more") {
  CHECK(sizes(resnet20()).trainable == 269'722);
  CHECK(sizes(resnet20({.shortcut = Shortcut::projection})).trainable ==
        269'722 + 16 * 32 + 32 * 64 + 2 * (32 + 64));
  CHECK(make_model("resnet20", {.shortcut = Shortcut::projection})->name() ==
        "resnet20_projection");
  CHECK(make_model("resnet20", {.shortcut = shortcut_of("zero_padded")})->name() == "resnet20");
  CHECK(shortcut_of("projection") == Shortcut::projection);
  CHECK(error_of(ErrorCode::usage, [] {
          shortcut_of("projected");
        }).find("unknown shortcut \"projected\"") != std::string::npos);
  CHECK_THROWS_WITH(make_model("dsc_net", {.shortcut = Shortcut::projection}),
                    Catch::Contains("dsc_net has no shortcut") && Catch::Contains("resnet20"));
  CHECK(sizes(resnet20({.classes = 100})).trainable == 269'722 + 90 * (64 + 1));
}

TEST_CASE("a zero-padded shortcut is every other pixel and zeros, for odd sizes too") {
  Graph model = resnet20({.image = {10, 5, 1}});
  model.build({10, 5, 1});
  Tensor images({2, 10, 5, 1});
  Random(9, "images").fill_uniform(images.values());
  const auto all = outputs(model, images);
  const Tensor& x = all.at("re_lu_6");  // behind the three blocks of the first stage
  const Tensor& y = all.at("reshape_1");
  REQUIRE(x.shape() == Shape{2, 10, 5, 16});
  REQUIRE(y.shape() == Shape{2, 5, 3, 32});
  const float* value = y.data();
  std::int64_t wrong = 0;
  for (std::int64_t n = 0; n < 2; ++n) {
    for (std::int64_t row = 0; row < 5; ++row) {
      for (std::int64_t column = 0; column < 3; ++column) {
        const float* const pixel = x.data() + ((n * 10 + 2 * row) * 5 + 2 * column) * 16;
        for (std::int64_t c = 0; c < 32; ++c) wrong += *value++ != (c < 16 ? pixel[c] : 0.0f);
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(error_of(ErrorCode::usage, [] {
          resnet20({.image = {32, 32}});
        }).find("[32, 32]") != std::string::npos);
}

TEST_CASE("mobilenet_v2 adds where stride is 1 and channels are equal") {
  Graph model = mobilenet_v2();
  model.build({32, 32, 3});
  std::map<std::int64_t, int> additions;  // by channels
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    if (model.nodes()[i].layer->kind() == "Add") ++additions[model.node_shapes()[i][2]];
  }
  CHECK(additions == std::map<std::int64_t, int>{{24, 1}, {32, 2}, {64, 3}, {96, 2}, {160, 2}});
}

TEST_CASE("a width multiplies a mobilenet's channels, rounded as the authors round them") {
  // The numbers of keras.applications without its last layer.
  CHECK(sizes(mobilenet_v1({.width = 0.25f})).trainable == 213'072 + (256 + 1) * 10);
  CHECK(sizes(mobilenet_v1({.width = 0.75f, .classes = 5})).trainable == 1'816'560 + (768 + 1) * 5);
  CHECK(sizes(mobilenet_v2({.width = 0.35f})).trainable == 396'128 + (1280 + 1) * 10);
  CHECK(sizes(mobilenet_v2({.width = 1.3f, .classes = 7})).trainable == 3'721'792 + (1664 + 1) * 7);

  CHECK(make_model("mobilenet_v1", {.width = 0.25f})->name() == "mobilenet_v1_0.25");
  CHECK(make_model("mobilenet_v2", {.width = 1.4f})->name() == "mobilenet_v2_1.4");
  CHECK(make_model("mobilenet_v2", {.width = 1.0f})->name() == "mobilenet_v2");
  for (const float width : {0.0f, -1.0f, 4.5f, std::numeric_limits<float>::quiet_NaN()}) {
    CHECK_THROWS_WITH(make_model("mobilenet_v1", {.width = width}), Catch::Contains("at most 4"));
    CHECK_THROWS_WITH(mobilenet_v2({.width = width}), Catch::Contains("at most 4"));
  }
  CHECK_THROWS_WITH(make_model("temp_net", {.width = 1.0f}),
                    Catch::Contains("temp_net has no width") && Catch::Contains("mobilenet_v1"));
}

TEST_CASE("a training step makes the loss of its batch smaller") {
  const auto name = GENERATE(from_range(model_names()));
  CAPTURE(name);
  const auto model = small_model(name);
  Trainer trainer(*model, Sgd(), sparse_categorical_crossentropy({.from_logits = false}));
  const Batch batch = tiny_batch();
  // The mobilenets' loss is steep at first: Glorot's depthwise kernels are small.
  const double before = trainer.train_batch(batch, 1e-4f);
  CHECK(trainer.train_batch(batch, 1e-4f) < before);
}

TEST_CASE("a ready network trains quantized and comes back from its file", "[slow]") {
  const auto name = GENERATE(from_range(model_names()));
  CAPTURE(name);
  const auto model = small_model(name);
  const QuantizeConfig config{
      .weights = {{"kernel", {.granularity = per_channel, .range = AllValues{}}}},
      .activation = QuantSpec{.range = MovingAverage{}}};
  apply_in_place(*model, choose_configs(*model, [&](const Layer& layer) {
    return layer.kind().ends_with("Conv2D") ? std::optional(config) : std::nullopt;
  }));
  Trainer trainer(*model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const Batch batch = tiny_batch();
  CHECK(std::isfinite(trainer.train_batch(batch, 0.001f)));

  const test::TempFolder folder;
  io::save_keras(*model, folder / "model.h5");
  const auto loaded = io::load_keras(folder / "model.h5");
  CHECK(loaded->name() == model->name());
  const Variable x(batch.images);
  CHECK(test::bit_difference(loaded->forward(x, Context::for_inference()).value(),
                             model->forward(x, Context::for_inference()).value()) == "");
}

TEST_CASE("an unknown network's message names the nearest") {
  CHECK_THROWS_WITH(make_model("tmp_net"), Catch::Contains("nearest: temp_net"));
  CHECK(model_names().size() == 7);
}

}  // namespace perch
