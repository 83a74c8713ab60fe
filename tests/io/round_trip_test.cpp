// What perch writes it reads back, bit for bit.
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include <catch2/catch.hpp>
#include <tests/io/edit_h5.h>
#include <tests/io/small_models.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/support/temp_folder.h>

#include <perch/datasets/synthetic.h>
#include <perch/io/hdf5_reader.h>
#include <perch/io/hdf5_writer.h>
#include <perch/io/keras_config.h>

namespace perch {
namespace {

using namespace test;

void check_same(Model& got, Model& expected) {
  CHECK(io::spec_to_json(describe(got)).dump() == io::spec_to_json(describe(expected)).dump());
  const auto a = state_of(got), b = state_of(expected);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO(b[i].name);
    CHECK(a[i].name == b[i].name);
    if (b[i].counter != nullptr) {
      CHECK(*a[i].counter == *b[i].counter);
    } else {
      CHECK(bit_difference(*a[i].tensor(), *b[i].tensor()) == "");
    }
  }
  const Variable x(some_images());
  CHECK(bit_difference(got.forward(x, Context::for_inference()).value(),
                       expected.forward(x, Context::for_inference()).value()) == "");
}

void check_round_trip(Model& model) {
  const TempFolder folder;
  io::save_keras(model, folder / "model.h5");
  const auto loaded = io::load_keras(folder / "model.h5");
  check_same(*loaded, model);
}

std::unique_ptr<Graph> branching_net() {
  auto net = std::make_unique<Graph>();
  const NodeId a = net->add(Conv2D(3, 3, {.padding = Padding::same}), {Model::input});
  const NodeId b = net->add(LeakyReLU(), {a});
  const NodeId c = net->add(Multiply(), {b, a});
  const NodeId d = net->add(Concatenate(), {c, a, b});
  const NodeId e = net->add(ZeroPadding2D({.top = 1, .bottom = 0, .left = 2, .right = 0}), {d});
  const NodeId f = net->add(AveragePooling2D(2, {.strides = 1}), {e});
  net->add(GlobalAveragePooling2D(), {f});
  net->build(small_image());
  return net;
}

}  // namespace

TEST_CASE("a float model comes back bit for bit") {
  Sequential model = small_net();
  train_a_little(model);
  model.layer("batch_normalization").set_trainable(false);
  check_round_trip(model);
}

TEST_CASE("a branching model comes back bit for bit, from perch's and from Keras's part") {
  const auto model = branching_net();
  check_round_trip(*model);
  const TempFolder folder;
  io::save_keras(*model, folder / "model.h5");
  make_keras_only(folder / "model.h5");
  check_same(*io::load_keras(folder / "model.h5"), *model);
}

TEST_CASE("weights lie in the order in which Keras lists a branching model's layers") {
  Graph model;
  const NodeId stem = model.add(Dense(3, {.name = "stem"}), {Model::input});
  const NodeId long_1 = model.add(Dense(3, {.name = "long_1"}), {stem});
  const NodeId long_2 = model.add(Dense(3, {.name = "long_2"}), {long_1});
  const NodeId dead_end = model.add(Dense(3, {.name = "dead_end"}), {stem});
  const NodeId left = model.add(Dense(3, {.name = "left"}), {stem});
  const NodeId sum = model.add(Add({.name = "sum"}), {left, long_2});
  const NodeId last = model.add(Dense(2, {.name = "last"}), {sum});
  model.add(Dense(2), {dead_end});
  model.set_output(last);
  model.build({4});

  const TempFolder folder;
  io::save_keras(model, folder / "model.h5");
  // What tf.keras 2.15 has in model.layers, and then what it leaves out.
  CHECK(io::H5Group::open(folder / "model.h5").group("model_weights").texts("layer_names") ==
        std::vector<std::string>{"input_1", "stem", "long_1", "left", "long_2", "sum", "last",
                                 "dead_end", "dense"});
  const auto loaded = io::load_keras(folder / "model.h5");
  const Variable x(Tensor::full({1, 4}, 0.5f));
  CHECK(bit_difference(loaded->forward(x, {}).value(), model.forward(x, {}).value()) == "");

  loaded->build({4}, {.seed = 9});
  apply_in_place(*loaded, {{"left", {.weights = {{"kernel", {}}}}}});
  io::load_weights(*loaded, folder / "model.h5");
  std::map<std::string, Tensor> expected;
  for (const StateEntry& entry : state_of(model)) expected[entry.name] = *entry.tensor();
  for (const StateEntry& entry : state_of(*loaded)) {
    if (!entry.trainable) continue;
    INFO(entry.name);
    CHECK(bit_difference(*entry.tensor(), expected.at(entry.name)) == "");
  }
}

TEST_CASE("a model within a model comes back bit for bit") {
  Sequential inner{BatchNorm(), Dense(3), BatchNorm()};
  Sequential outer;
  outer.add(Flatten()).add(std::make_unique<Sequential>(std::move(inner))).add(Dense(2));
  outer.build(small_image());
  check_round_trip(outer);
}

TEST_CASE("every setting of a quantizer comes back") {
  Sequential model = small_net();
  const QuantSpec observed{
      .bits = 3, .narrow_range = true, .range = LastValue{}, .observe_only = true};
  const QuantSpec averaged{
      .bits = 16, .granularity = per_axes({1, 2}), .range = MovingAverage{.decay = 0.1f}};
  apply_in_place(model,
                 {{"conv2d", {.weights = {{"kernel", averaged}, {"bias", observed}}}},
                  {"depthwise_conv2d", {.activation = averaged, .output = observed}},
                  {"dense",
                   {.weights = {{"kernel", {.range = Fixed{-0.1f, 0.3f}}}},
                    .activation = QuantSpec{.symmetric = true}}}},
                 {});
  train_a_little(model);
  check_round_trip(model);
}

TEST_CASE("integer biases come back") {
  Sequential model = small_net();
  const QuantizeConfig config{.weights = {{"kernel", QuantSpec{}}}, .integer_bias = true};
  apply_in_place(model, {{"conv2d", config}}, {});
  train_a_little(model);
  check_round_trip(model);
}

TEST_CASE("folded batch normalisation comes back") {
  Sequential model = small_net();
  const QuantSpec weights{.granularity = per_channel, .range = LastValue{}};
  apply_in_place(
      model, {{"conv2d", {.weights = {{"kernel", weights}}, .fold = FoldStatistics::batch}}}, {});
  train_a_little(model);
  check_round_trip(model);
}

TEST_CASE("without perch's specification, Keras's and the given configurations are enough") {
  Sequential model = small_quantized_net();
  const TempFolder folder;
  const auto file = folder / "model.h5";
  io::save_keras(model, file);
  make_keras_only(file);
  check_same(*io::load_keras(file, {.quantize_configs = per_channel_configs()}), model);

  const std::string message = error_of(ErrorCode::bad_data, [&] { io::load_keras(file); });
  CHECK(message.find("ConvQuantizer") != std::string::npos);
  for (const char* flag : {"--quantizer", "--weight-bits", "--activation-bits", "--per-channel",
                           "--per-tensor", "--symmetric", "--full-range"}) {
    CHECK(message.find(flag) != std::string::npos);
  }
  auto configs = per_channel_configs();
  for (auto& [name, config] : configs) config.weights["kernel"].granularity = per_tensor;
  CHECK(error_of(ErrorCode::bad_data, [&] {
          io::load_keras(file, {.quantize_configs = configs});
        }).find("kernel_min") != std::string::npos);
}

// perch_keras.py's configuration classes take perch's settings for their own when Keras saves.
TEST_CASE("what python/perch_keras.py has Keras write says how layers are quantized") {
  Sequential model = small_net();
  const QuantSpec kernel{.bits = 5, .granularity = per_axes({0, 3}), .symmetric = true};
  const QuantSpec output{
      .bits = 6, .granularity = per_axes({3}), .range = MovingAverage{.decay = 0.75f}};
  apply_in_place(
      model,
      {{"conv2d",
        {.weights = {{"kernel", kernel}, {"bias", {.narrow_range = true, .range = LastValue{}}}},
         .activation = QuantSpec{.range = MovingAverage{}}}},
       {"depthwise_conv2d", {.weights = {{"kernel", {.range = LastValue{}}}}, .output = output}},
       {"dense", {.weights = {{"kernel", {.bits = 3, .range = Fixed{-0.1f, 0.3f}}}}}}},
      {.input_quantizer = QuantSpec{.granularity = per_axes({3}), .range = LastValue{}}});
  train_a_little(model);
  const TempFolder folder;
  const auto file = folder / "model.h5";
  io::save_keras(model, file);
  make_keras_only(file);
  io::Json config = io::parse_json(io::H5Group::open(file).text("model_config"), "model_config");
  for (io::Json& layer : config["config"]["layers"]) {
    if (!layer["config"].contains("quantize_config")) continue;
    io::Json& quantize_config = layer["config"]["quantize_config"];
    if (!quantize_config.contains("perch")) continue;
    quantize_config["config"] = quantize_config["perch"];
    quantize_config.erase("perch");
  }
  set_text(file, "model_config", config.dump());
  check_same(*io::load_keras(file), model);
}

TEST_CASE("the same model gives the same bytes, whenever it is saved") {
  Sequential model = small_quantized_net();
  const TempFolder folder;
  io::save_keras(model, folder / "a.h5");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  io::save_keras(model, folder / "b.h5");
  CHECK(read_file(folder / "a.h5") == read_file(folder / "b.h5"));
}

TEST_CASE("specifications and lists beyond 64 KiB are kept") {
  Sequential model;
  for (int i = 0; i < 700; ++i) model.add(Activation("linear"));
  model.add(Flatten()).add(Dense(2));
  model.build(small_image());
  check_round_trip(model);

  const TempFolder folder;
  io::H5Writer root = io::H5Writer::create("list");
  std::vector<std::string> names;
  for (int i = 0; i < 9000; ++i) names.push_back("layer_" + std::to_string(i));
  root.add_texts("layer_names", names);
  root.add_texts("nothing", {});
  const auto image = root.image();
  write_file(folder / "list.h5", {reinterpret_cast<const char*>(image.data()), image.size()});
  const io::H5Group stored = io::H5Group::open(folder / "list.h5");
  CHECK_FALSE(stored.has_attribute("layer_names"));
  CHECK(stored.texts("layer_names") == names);
  CHECK(stored.texts("nothing").empty());
}

TEST_CASE("every kind of layer survives Keras's JSON") {
  std::vector<std::unique_ptr<Layer>> layers;
  const auto add = [&]<class L>(L layer) {
    layers.push_back(std::make_unique<L>(std::move(layer)));
  };
  add(Activation("tanh"));
  add(Add());
  add(AveragePooling2D(Size2D(2, 3), {.strides = 1, .padding = Padding::same}));
  add(BatchNorm({.momentum = 0.9f, .epsilon = 1e-5f, .center = false}));
  add(Concatenate({.axis = 2}));
  add(Conv2D(4, Size2D(3, 5), {.strides = Size2D(2, 1), .dilation = 2, .groups = 2}));
  add(Dense(7, {.activation = "sigmoid", .use_bias = false}));
  add(DepthwiseConv2D(3, {.depth_multiplier = 2}));
  add(Dropout(0.3f));
  add(Flatten());
  add(GlobalAveragePooling2D());
  add(LeakyReLU({.alpha = 0.1f}));
  add(MaxPooling2D());
  add(Multiply());
  add(ReLU());
  add(ReLU({.max_value = 6.0f}));
  add(Reshape({-1, 2}));
  add(Softmax());
  add(ZeroPadding2D({.top = 1, .bottom = 2, .left = 3, .right = 4}));
  std::set<std::string> kinds{"FoldedBatchNorm", "Graph", "Sequential", "QuantizeLayer",
                              "QuantizeWrapper"};
  for (const auto& layer : layers) {
    INFO(layer->kind());
    layer->set_name("some_layer");
    const LayerSpec spec = describe(*layer);
    const LayerSpec back =
        io::spec_from_keras(spec.kind, io::keras_config(spec, {8, 8, 2}), "test");
    CHECK(io::spec_to_json(back).dump() == io::spec_to_json(spec).dump());
    kinds.insert(spec.kind);
  }
  for (const std::string& kind : layer_kinds()) CHECK(kinds.contains(kind));
}

TEST_CASE("the best model is saved while training") {
  const TempFolder folder;
  const auto file = folder / "best.h5";
  Sequential model = small_net();
  Trainer trainer(model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const Dataset data = datasets::synthetic(30, small_image(), 3, 1);
  trainer.fit(data, {.epochs = 2, .batch_size = 10, .callbacks = {io::best_model(file, "loss")}});
  check_same(*io::load_keras(file), model);
  const io::H5Group state = io::H5Group::open(file).group("optimizer_weights");
  CHECK(state.dataset("iteration:0").read_integer() == 6);
  CHECK(bit_difference(state.dataset("Adam/m/conv2d/kernel:0").read_floats(),
                       trainer.optimizer().slots().at("m").at("conv2d/kernel")) == "");
}

}  // namespace perch
