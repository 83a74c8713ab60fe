// Writes models as Keras files, each with what check_written_file needs to judge them: inputs,
// predictions, sums of the variables and the quantizers' settings.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>

#include <nlohmann/json.hpp>

#include <perch/datasets/synthetic.h>
#include <perch/perch.h>

namespace {

using namespace perch;
using Json = nlohmann::ordered_json;

constexpr std::int64_t train_images = 96, batch_size = 32, side_images = 8;

struct Quantization {
  std::string code = "float";  // as in the golden set: AV, LV, MA, AV_fixed, MA_fixed
  RangePolicy policy = AllValues{};
  int weight_bits = 8;
  bool symmetric = false, narrow_range = false, per_axis = false;
};

struct Case {
  std::string name;
  std::unique_ptr<Model> model;
  Quantization quantization = {};
  bool optimizer = true;
};

std::unique_ptr<Model> branching_net() {
  auto net = std::make_unique<Graph>();
  const NodeId stem =
      net->add(Conv2D(8, 3, {.strides = 2, .padding = Padding::same}), {Model::input});
  const NodeId norm = net->add(BatchNorm(), {stem});
  const NodeId left = net->add(Activation("relu"), {norm});
  const NodeId right = net->add(Conv2D(8, 1, {.activation = "tanh"}), {left});
  const NodeId sum = net->add(Add(), {left, right});
  const NodeId both = net->add(Concatenate(), {sum, left});
  const NodeId padded = net->add(ZeroPadding2D(1), {both});
  const NodeId pooled = net->add(MaxPooling2D(2), {padded});
  const NodeId clipped = net->add(ReLU({.max_value = 6.0f}), {pooled});
  const NodeId dropped = net->add(Dropout(0.25f), {clipped});
  const NodeId mean = net->add(GlobalAveragePooling2D(), {dropped});
  net->add(Dense(10, {.activation = "softmax"}), {mean});
  net->set_name("branching_net");
  return net;
}

// A Sequential with a Graph in it within a Graph.
std::unique_ptr<Model> nested_net() {
  auto deep = std::make_unique<Graph>();
  const NodeId left = deep->add(Conv2D(4, 3, {.padding = Padding::same}), {Model::input});
  const NodeId right = deep->add(Conv2D(4, 1), {Model::input});
  deep->add(Add(), {deep->add(BatchNorm(), {left}), right});
  auto middle = std::make_unique<Sequential>();
  middle->add(Conv2D(8, 3, {.strides = 4})).add(BatchNorm()).add(std::move(deep)).add(ReLU());
  auto net = std::make_unique<Graph>();
  const NodeId stem = net->add(Conv2D(4, 1), {Model::input});
  const NodeId inner = net->add(std::move(middle), {stem});
  const NodeId flat = net->add(Flatten(), {inner});
  net->add(Dense(10, {.activation = "softmax"}), {flat});
  net->set_name("nested_net");
  return net;
}

void quantize(Model& model, const Quantization& how) {
  if (how.code == "float") return;
  const auto config = [&](const Layer& layer) -> std::optional<QuantizeConfig> {
    if (layer.kind() != "Conv2D" && layer.kind() != "DepthwiseConv2D") return std::nullopt;
    QuantSpec kernel{.bits = how.weight_bits,
                     .symmetric = how.symmetric,
                     .narrow_range = how.narrow_range,
                     .range = how.policy};
    // tfmot's axis is the last one; of a depthwise kernel that is the multiplier.
    if (how.per_axis) kernel.granularity = per_axes({3});
    return QuantizeConfig{.weights = {{"kernel", kernel}},
                          .activation = QuantSpec{.range = MovingAverage{}}};
  };
  apply_in_place(model, choose_configs(model, config), {});
}

void write_floats(const std::filesystem::path& file, const Tensor& tensor) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(tensor.data()),
            static_cast<std::streamsize>(tensor.size() * 4));
}

Json variables_of(Model& model) {
  Json variables = Json::array();
  for (const StateEntry& entry : state_of(model)) {
    double sum = 0, squares = 0;
    const std::vector<float> counter(1, entry.counter ? static_cast<float>(*entry.counter) : 0.0f);
    for (const float value :
         entry.counter ? std::span<const float>(counter) : entry.tensor()->values()) {
      sum += value;
      squares += double{value} * value;
    }
    variables.push_back({{"name", entry.name}, {"sum", sum}, {"sumsq", squares}});
  }
  return variables;
}

void write_case(Case& c, const std::filesystem::path& folder) {
  const Shape image{32, 32, 3};
  c.model->build(image, {.seed = 5});
  quantize(*c.model, c.quantization);
  Trainer trainer(*c.model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  trainer.fit(datasets::synthetic(train_images, image, 10, 1), {.batch_size = batch_size});
  const Dataset side = datasets::synthetic(side_images, image, 10, 2);
  Loader loader(side, {.batch_size = side_images});
  loader.start(0);
  Batch batch;
  loader.next(batch);
  const Variable y = c.model->forward(Variable(batch.images), Context::for_inference());
  write_floats(folder / (c.name + ".x"), batch.images);
  write_floats(folder / (c.name + ".y"), y.value());

  const auto* optimizer = c.optimizer ? &trainer.optimizer() : nullptr;
  io::save_keras(*c.model, folder / (c.name + ".h5"), {.optimizer = optimizer});
  const Json settings{{"kind", "model"},
                      {"quantizer", c.quantization.code},
                      {"w_bits", c.quantization.weight_bits},
                      {"a_bits", 8},
                      {"symmetric", int{c.quantization.symmetric}},
                      {"narrow_range", int{c.quantization.narrow_range}},
                      {"per_axis", int{c.quantization.per_axis}},
                      {"dw_fix", 1},
                      {"has_optimizer", int{c.optimizer}},
                      {"trained_steps", train_images / batch_size}};
  std::ofstream(folder / (c.name + ".json")) << Json{{"attributes", settings},
                                                     {"x_shape", {side_images, 32, 32, 3}},
                                                     {"variables", variables_of(*c.model)}};
}

std::vector<Case> cases() {
  std::vector<Case> all;
  all.push_back({"temp_net_float", make_model("temp_net")});
  all.push_back({"temp_net_plain", make_model("temp_net"), {}, false});
  all.push_back({"temp_net_AV", make_model("temp_net"), {"AV", AllValues{}}});
  all.push_back({"temp_net_AV_perch",
                 make_model("temp_net"),
                 {"AV_fixed", AllValues{}, 8, true, true, true}});
  all.push_back(
      {"temp_net_LV4_perch", make_model("temp_net"), {"LV", LastValue{}, 4, true, true, true}});
  all.push_back({"ds_net_MA_perch",
                 make_model("ds_net"),
                 {"MA_fixed", MovingAverage{}, 8, false, false, true}});
  all.push_back({"depthwise_net_LV_perch",
                 make_model("depthwise_net"),
                 {"LV", LastValue{}, 8, true, true, true}});
  const Quantization averaged{"MA_fixed", MovingAverage{}, 8, false, false, true};
  const Quantization seen{"AV", AllValues{}};
  const auto resnet = [](Shortcut shortcut) {
    return std::make_unique<Graph>(resnet20({.shortcut = shortcut}));
  };
  all.push_back({"dsc_net_MA_perch", make_model("dsc_net"), averaged});
  all.push_back({"resnet20_float", resnet(Shortcut::zero_padded)});
  all.push_back({"resnet20_AV", resnet(Shortcut::zero_padded), seen});
  all.push_back({"resnet20_projection_MA_perch", resnet(Shortcut::projection), averaged});
  all.push_back({"mobilenet_v1_float", make_model("mobilenet_v1", {.width = 0.25f})});
  all.push_back({"mobilenet_v1_AV", make_model("mobilenet_v1", {.width = 0.25f}), seen});
  all.push_back({"mobilenet_v2_float", make_model("mobilenet_v2", {.width = 0.35f})});
  all.push_back({"mobilenet_v2_MA_perch", make_model("mobilenet_v2", {.width = 0.35f}), averaged});
  all.push_back({"branching_float", branching_net()});
  all.push_back({"nested_float", nested_net()});
  all.push_back({"branching_AV", branching_net(), {"AV", AllValues{}, 6}});
  return all;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: perch_write_keras_files FOLDER\n";
    return 2;
  }
  for (Case& c : cases()) write_case(c, argv[1]);
  return 0;
} catch (const Error& error) {
  std::cerr << "perch_write_keras_files: " << error.what() << '\n';
  return static_cast<int>(error.code());
}
