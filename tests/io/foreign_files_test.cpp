// What files of Keras and tfmot have that perch's own have not. bench/keras/check_foreign_files
// holds more of it against the real TensorFlow.
#include <catch2/catch.hpp>
#include <tests/io/edit_h5.h>
#include <tests/io/small_models.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/support/temp_folder.h>

#include <perch/io/hdf5_reader.h>
#include <perch/io/hdf5_writer.h>
#include <perch/io/spec_json.h>
#include <perch/layers/graph.h>

namespace perch {
namespace {

using namespace test;

/// A file as Keras leaves it, whose configuration the test edits.
class KerasFile {
 public:
  explicit KerasFile(Model& model) {
    io::save_keras(model, path());
    make_keras_only(path());
  }
  std::filesystem::path path() const { return folder_ / "model.h5"; }
  io::Json config() const {
    return io::parse_json(io::H5Group::open(path()).text("model_config"), "model_config");
  }
  void set_config(const io::Json& config) { set_text(path(), "model_config", config.dump()); }
  /// edit(layer) of the layer with this name.
  template <class Edit>
  void edit_layer(const std::string& name, const Edit& edit) {
    io::Json whole = config();
    for (io::Json& layer : whole["config"]["layers"]) {
      if (layer["config"]["name"] == name) edit(layer);
    }
    set_config(whole);
  }
  std::unique_ptr<Model> load() const { return io::load_keras(path()); }
  std::string error() const {
    return error_of(ErrorCode::bad_data, [&] { load(); });
  }

 private:
  TempFolder folder_;
};

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

Tensor predictions(Model& model) {
  return model.forward(Variable(some_images()), Context::for_inference()).value();
}

void move_weights(Model& model) {
  const Random random(11, "weights");
  std::uint64_t at = 0;
  for (StateEntry& entry : state_of(model)) {
    if (entry.counter != nullptr) continue;
    Tensor values = entry.tensor()->clone();
    for (std::int64_t i = 0; i < values.size(); ++i) values.data()[i] = 0.5f + random.uniform(at++);
    (entry.weight != nullptr ? entry.weight->mutable_value() : *entry.buffer).copy_from(values);
  }
}

std::unique_ptr<Graph> branched(const std::string& name) {
  auto net = std::make_unique<Graph>();
  const NodeId a = net->add(Conv2D(2, 1, {.name = name + "_a"}), {Model::input});
  const NodeId norm = net->add(BatchNorm({.name = name + "_norm"}), {a});
  const NodeId b = net->add(Conv2D(2, 1, {.name = name + "_b"}), {Model::input});
  const NodeId c = net->add(Conv2D(2, 1, {.name = name + "_c"}), {norm});
  net->add(Add({.name = name + "_sum"}), {b, c});
  net->set_name(name);
  return net;
}

/// A Graph with a Sequential and, in that, a Graph; some of it is frozen.
Graph nested_net() {
  auto middle = std::make_unique<Sequential>();
  middle->add(Conv2D(2, 1, {.name = "first"}))
      .add(branched("deep"))
      .add(BatchNorm({.name = "last"}));
  middle->set_name("middle");
  Graph net;
  const NodeId stem = net.add(Conv2D(3, 1, {.name = "stem"}), {Model::input});
  const NodeId inner = net.add(std::move(middle), {stem});
  const NodeId flat = net.add(Flatten(), {inner});
  net.add(Dense(2), {flat});
  net.build(small_image(), {.seed = 4});
  for_each_layer(net, [](Layer& layer) {
    if (layer.name() == "first" || layer.name() == "deep_norm") layer.set_trainable(false);
  });
  move_weights(net);
  return net;
}

Sequential net_with_dropout() {
  Sequential net{Conv2D(3, 3), BatchNorm(), Dropout(0.5f), Flatten(), Dense(2)};
  net.build(small_image());
  move_weights(net);
  return net;
}

/// The same as a Functional model.
Graph functional_net() {
  Graph net;
  NodeId at = net.add(Conv2D(3, 3), {Model::input});
  at = net.add(BatchNorm(), {at});
  at = net.add(Dropout(0.5f), {at});
  net.add(Flatten(), {at});
  net.build(small_image());
  move_weights(net);
  return net;
}

}  // namespace

TEST_CASE("models in models are written and read as Keras has them") {
  Graph net = nested_net();
  KerasFile file(net);
  // Of a model the trained weights come first, layer by layer in Keras's order.
  const io::H5Group group = io::H5Group::open(file.path()).group("model_weights").group("middle");
  CHECK(group.texts("weight_names") ==
        std::vector<std::string>{
            "deep_a/kernel:0", "deep_a/bias:0", "deep_b/kernel:0", "deep_b/bias:0",
            "deep_c/kernel:0", "deep_c/bias:0", "last/gamma:0", "last/beta:0", "first/kernel:0",
            "first/bias:0", "deep_norm/gamma:0", "deep_norm/beta:0", "deep_norm/moving_mean:0",
            "deep_norm/moving_variance:0", "last/moving_mean:0", "last/moving_variance:0"});
  CHECK(bit_difference(predictions(*file.load()), predictions(net)) == "");
  // A model's own definition is its call 0.
  bool called = false;
  const io::Json config = file.config();
  for (const io::Json& layer : config["config"]["layers"]) {
    if (layer["name"] != "flatten") continue;
    called = true;
    CHECK(layer["inbound_nodes"].dump() == R"([[["middle",1,0,{}]]])");
  }
  CHECK(called);
}

TEST_CASE("layers in a model are found by name where they were frozen otherwise") {
  Graph net = nested_net();
  const KerasFile file(net);
  const auto other = file.load();
  for_each_layer(*other, [](Layer& layer) { layer.set_trainable(layer.name() != "deep_b"); });
  other->build(small_image(), {.seed = 9});
  io::load_weights(*other, file.path());
  CHECK(bit_difference(predictions(*other), predictions(net)) == "");
}

TEST_CASE("a model in a model need not say its input's shape") {
  Graph net = nested_net();
  KerasFile file(net);
  file.edit_layer("middle", [](io::Json& layer) { layer["config"]["layers"].erase(0); });
  CHECK(bit_difference(predictions(*file.load()), predictions(net)) == "");
}

TEST_CASE("what a layer is called with is heeded or refused") {
  Graph net = functional_net();
  KerasFile file(net);
  const auto call = [&](const std::string& name, const io::Json& arguments) {
    file.edit_layer(name, [&](io::Json& layer) { layer["inbound_nodes"][0][0][3] = arguments; });
  };
  SECTION("training=True") {
    const std::string name = GENERATE("dropout", "batch_normalization", "conv2d");
    call(name, {{"training", true}});
    const std::string error = file.error();
    CHECK(contains(error, "layer " + name));
    CHECK(contains(error, "training=true"));
  }
  SECTION("training=False freezes statistics") {
    call("batch_normalization", {{"training", false}});
    call("conv2d", {{"training", false}});
    const auto loaded = file.load();
    CHECK(dynamic_cast<BatchNorm&>(loaded->layer("batch_normalization")).statistics_frozen());
    CHECK(bit_difference(predictions(*loaded), predictions(net)) == "");
  }
  SECTION("training=False of a Dropout") {
    call("dropout", {{"training", false}});
    CHECK(contains(file.error(), "layer dropout is called with training=False"));
  }
  SECTION("a mask, or none") {
    call("flatten", {{"mask", nullptr}});
    file.load();
    call("flatten", {{"mask", true}});
    CHECK(contains(file.error(), "mask=true"));
  }
  SECTION("twice") {
    file.edit_layer("dropout", [](io::Json& layer) {
      layer["inbound_nodes"].push_back(layer["inbound_nodes"][0]);
    });
    CHECK(contains(file.error(), "layer dropout is called more than once"));
  }
}

TEST_CASE("an InputLayer of other inputs than dense floats is refused") {
  Sequential chain = net_with_dropout();
  Graph graph = functional_net();
  Model& net = GENERATE(true, false) ? static_cast<Model&>(chain) : graph;
  KerasFile file(net);
  const std::string name = file.config()["config"]["layers"][0]["config"]["name"];
  const auto error_with = [&](const char* key, const io::Json& value) {
    file.edit_layer(name, [&](io::Json& layer) { layer["config"][key] = value; });
    const std::string error = file.error();
    CHECK(contains(error, name));
    return error;
  };
  SECTION("sparse") {
    CHECK(contains(error_with("sparse", true), "sparse = true"));
  }
  SECTION("ragged") {
    CHECK(contains(error_with("ragged", true), "ragged = true"));
  }
  SECTION("of another type") {
    CHECK(contains(error_with("dtype", "uint8"), "dtype \"uint8\""));
  }
  SECTION("of a fixed batch size, which says nothing") {
    file.edit_layer(name, [](io::Json& layer) { layer["config"]["batch_input_shape"][0] = 32; });
    CHECK(bit_difference(predictions(*file.load()), predictions(net)) == "");
  }
}

TEST_CASE("unknown classes are named with their layer, before anything about how they are called") {
  Graph net = functional_net();
  KerasFile file(net);
  file.edit_layer("flatten", [](io::Json& layer) {
    layer["class_name"] = "TFOpLambda";
    layer["inbound_nodes"] = {{"dropout", 0, 0, {{"y", 2.0}}}};
  });
  const std::string error = file.error();
  CHECK(contains(error, "layer flatten"));
  CHECK(contains(error, "TFOpLambda"));
}

TEST_CASE("a layer in an activation's place is refused by its class") {
  Graph net = functional_net();
  KerasFile file(net);
  file.edit_layer("conv2d", [](io::Json& layer) {
    layer["config"]["activation"] = {{"class_name", "LeakyReLU"}, {"config", {{"alpha", 0.1}}}};
  });
  const std::string error = file.error();
  CHECK(contains(error, "conv2d.activation"));
  CHECK(contains(error, "LeakyReLU"));
}

TEST_CASE("the input's quantizer is known by its class, whatever its name") {
  Sequential net{Conv2D(2, 1, {.name = "conv"}), Flatten()};
  net.build(small_image());
  apply_in_place(net, {{"conv", {.weights = {{"kernel", QuantSpec{}}}}}}, {});
  train_a_little(net);
  net.mutable_nodes()[0].layer->set_name("quantize_layer_1");
  const TempFolder folder;
  io::H5Writer root = io::H5Writer::create("weights");
  std::vector<std::string> names;
  for (const Model::Node& node : net.nodes()) names.push_back(node.layer->name());
  root.add_texts("layer_names", names);
  for (const std::string& name : names) {
    io::H5Writer group = root.add_group(name);
    std::vector<std::string> paths;
    for (const StateEntry& entry : state_of(net)) {
      if (entry.layer != name) continue;
      std::string path = entry.name + ":0";
      // As tfmot names them: after the layer.
      const std::size_t at = path.find("/quantize_layer_");
      if (at != std::string::npos) path.insert(at + sizeof("/quantize_layer") - 1, "_1");
      paths.push_back(path);
      if (entry.counter != nullptr) {
        group.add_int32(path, *entry.counter);
      } else {
        group.add_floats(path, *entry.tensor());
      }
    }
    group.add_texts("weight_names", paths);
  }
  const auto image = root.image();
  write_file(folder / "weights.h5", {reinterpret_cast<const char*>(image.data()), image.size()});

  const Tensor before = predictions(net);
  net.build(small_image(), {.seed = 7});
  CHECK(bit_difference(predictions(net), before) != "");
  io::load_weights(net, folder / "weights.h5");
  CHECK(bit_difference(predictions(net), before) == "");
}

TEST_CASE("tfmot's n-bit scheme says its bits by its classes") {
  Sequential net{Conv2D(3, 1, {.name = "conv"}),
                 Activation("relu"),
                 Conv2D(2, 1, {.name = "last"}),
                 Activation("tanh"),
                 Flatten(),
                 Dense(2, {.name = "dense"})};
  net.build(small_image());
  const QuantSpec kernel{.bits = 4,
                         .granularity = per_axes({-1}),
                         .symmetric = true,
                         .narrow_range = true,
                         .range = LastValue{}};
  const QuantSpec averaged{.bits = 6, .range = MovingAverage{}};
  QuantSpec whole = kernel;
  whole.granularity = per_tensor;
  apply_in_place(net,
                 {{"conv", {.weights = {{"kernel", kernel}}}},
                  {"activation", {.output = averaged}},
                  {"last", {.weights = {{"kernel", kernel}}, .activation = averaged}},
                  {"activation_1", {}},
                  {"flatten", {}},
                  {"dense", {.weights = {{"kernel", whole}}, .output = averaged}}},
                 {.output_quantizers = false});
  train_a_little(net);
  KerasFile file(net);
  const auto set_class = [&](const std::string& name, const std::string& class_name,
                             io::Json settings) {
    settings.update({{"num_bits_weight", 4}, {"num_bits_activation", 6}});
    file.edit_layer("quant_" + name, [&](io::Json& layer) {
      layer["config"]["quantize_config"] = {{"class_name", class_name}, {"config", settings}};
    });
  };
  const auto attributes = [](bool activation, bool output) {
    return io::Json{{"weight_attrs", {"kernel"}},
                    {"activation_attrs", activation ? io::Json{"activation"} : io::Json::array()},
                    {"quantize_output", output}};
  };
  set_class("conv", "DefaultNBitConvQuantizeConfig", attributes(false, false));
  set_class("activation", "DefaultNBitActivationQuantizeConfig", io::Json::object());
  set_class("last", "DefaultNBitConvQuantizeConfig", attributes(true, false));
  set_class("activation_1", "DefaultNBitActivationQuantizeConfig", io::Json::object());
  // As ahead of a Concatenate: switched off, which the file tells by its variables alone.
  set_class("flatten", "DefaultNBitQuantizeConfig", {{"quantize_output", true}});
  set_class("dense", "DefaultNBitQuantizeConfig", attributes(false, true));
  CHECK(bit_difference(predictions(*file.load()), predictions(net)) == "");
}

TEST_CASE("what TensorFlow cannot compute is told by layer") {
  const auto unknown = [](const QuantizeConfig& config) {
    Sequential net = small_net();
    apply_in_place(net, {{"conv2d", config}}, {});
    return io::unknown_to_tensorflow(net);
  };
  using Texts = std::vector<std::string>;
  CHECK(unknown({.weights = {{"kernel", {.bits = 4, .granularity = per_channel}}}}).empty());
  CHECK(unknown({.weights = {{"kernel", {.range = Lsq{}}}}}) ==
        Texts{"quant_conv2d, kernel: the quantizer lsq"});
  CHECK(unknown({.weights = {{"kernel", {.rounding = Rounding::half_even}}},
                 .output = QuantSpec{.power_of_two_scale = true}})
            .size() == 2);
  CHECK(
      unknown({.weights = {{"kernel", {.range = LastValue{}}}}, .fold = FoldStatistics::running}) ==
      Texts{"quant_conv2d: batch normalisation that is folded into the layer"});
  CHECK(unknown({.weights = {{"kernel", {}}}, .integer_bias = true}) ==
        Texts{"quant_conv2d, bias: int32 at the products' scale"});
}

TEST_CASE("each variable of another shape is named") {
  Sequential net = small_net();
  const TempFolder folder;
  io::save_keras(net, folder / "model.h5");
  Sequential other{Conv2D(5, 3, {.padding = Padding::same}), BatchNorm(), ReLU(),
                   DepthwiseConv2D(3, {.strides = 2}),       Flatten(),   Dense(3)};
  other.build(small_image());
  const std::string error =
      error_of(ErrorCode::bad_data, [&] { io::load_weights(other, folder / "model.h5"); });
  CHECK(contains(error, "conv2d/kernel in the model has [3, 3, 2, 5]"));
  CHECK(contains(error, "batch_normalization/gamma"));
  CHECK(contains(error, "more"));
}

}  // namespace perch
