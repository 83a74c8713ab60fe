// Reads model files as the checks in this folder ask it to and tells what perch makes of them. A
// line of standard input is a job, {"file": PATH} and what of the rest is wanted:
//   "x": PATH, "y": PATH   inputs, float32 in C order, and where the predictions go
//   "taps": PATH           where every layer's output and every quantized weight go, too
//   "into": PATH           a model file: "file" has only weights, which go into its model
//   "configs": {NAME: {"range", "bits", "granularity", "symmetric", "narrow_range",
//              "activation_bits"}}   LoadOptions::quantize_configs
//   "save": PATH           where perch's own file of the model goes
//   "repeat": N            opens the file N times and tells the least time
// Its answer is a line of JSON, {"error"} or {"seconds", "y": SHAPE, "taps": [{"layer", "weight",
// "shape"}, ...]}, the taps in the order in which they stand in their file.
#include <chrono>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <perch/layers/graph.h>
#include <perch/perch.h>

namespace {

using namespace perch;
using Json = nlohmann::ordered_json;

Json shape_of(const Shape& shape) {
  return std::vector<std::int64_t>(shape.begin(), shape.end());
}

void append(std::ostream& out, const Tensor& tensor) {
  const std::span<const float> values = tensor.values();
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size_bytes()));
}

QuantizeConfig config_of_job(const Json& json) {
  QuantSpec weights{.bits = json.at("bits"),
                    .symmetric = json.at("symmetric"),
                    .narrow_range = json.at("narrow_range"),
                    .range = policy_from_name(json.at("range"))};
  if (json.at("granularity") == "channel") weights.granularity = per_channel;
  // The original script's DepthwiseQuantizer tracks a range and computes with the float kernel.
  weights.observe_only = json.value("observe_only", false);
  return {.weights = {{"kernel", weights}},
          .activation = QuantSpec{.bits = json.at("activation_bits"), .range = MovingAverage{}}};
}

io::LoadOptions options_of(const Json& job) {
  io::LoadOptions options;
  if (!job.contains("configs")) return options;
  for (const auto& [name, config] : job["configs"].items()) {
    options.quantize_configs[name] = config_of_job(config);
  }
  return options;
}

std::unique_ptr<Model> open(const Json& job) {
  const std::string file = job.at("file");
  if (!job.contains("into")) return io::load_model(file, options_of(job));
  auto model = io::load_model(job["into"].get<std::string>(), options_of(job));
  io::load_weights(*model, file);
  return model;
}

class Taps {
 public:
  explicit Taps(const std::string& file) : out_(file, std::ios::binary) {}

  void output(const Layer& layer, const Variable& y) { add(layer.name(), "", y.value()); }
  void weights(Model& model) {
    const Context context = Context::for_inference();
    for_each_layer(model, [&](Layer& layer) {
      auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
      if (wrapper == nullptr || wrapper->config().weights.empty()) return;
      const Weights quantized =
          wrapper->quantized_weights(wrapper->layer().own_weights(context), context);
      for (const auto& [name, spec] : wrapper->config().weights) {
        add(layer.name(), name, quantized[name].value());
      }
    });
  }
  Json listed() const { return listed_; }

 private:
  void add(const std::string& layer, const std::string& weight, const Tensor& values) {
    append(out_, values);
    listed_.push_back({{"layer", layer}, {"weight", weight}, {"shape", shape_of(values.shape())}});
  }

  std::ofstream out_;
  Json listed_ = Json::array();
};

void predict(Model& model, const Json& job, Json& answer) {
  std::ifstream in(job.at("x").get<std::string>(), std::ios::binary | std::ios::ate);
  const auto bytes = static_cast<std::int64_t>(in.tellg());
  in.seekg(0);
  const std::int64_t image = model.input_shape().size() * 4;
  Tensor x(model.input_shape().batched(bytes / image));
  in.read(reinterpret_cast<char*>(x.data()), x.size() * 4);

  Context context = Context::for_inference();
  std::optional<Taps> taps;
  if (job.contains("taps")) {
    taps.emplace(job["taps"].get<std::string>());
    context.on_output = [&](const Layer& layer, const Variable& y) { taps->output(layer, y); };
  }
  const Variable y = model.forward(Variable(x), context);
  std::ofstream out(job.at("y").get<std::string>(), std::ios::binary);
  append(out, y.value());
  answer["y"] = shape_of(y.value().shape());
  if (!taps) return;
  taps->weights(model);
  answer["taps"] = taps->listed();
}

Json answer_to(const Json& job) try {
  std::unique_ptr<Model> model;
  double seconds = std::numeric_limits<double>::infinity();
  for (int i = 0; i < job.value("repeat", 1); ++i) {
    const auto begin = std::chrono::steady_clock::now();
    model = open(job);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    seconds = std::min(seconds, took.count());
  }
  Json answer{{"seconds", seconds}};
  if (job.contains("save")) io::save_model(*model, job["save"].get<std::string>());
  if (job.contains("x")) predict(*model, job, answer);
  return answer;
} catch (const Error& error) {
  return {{"error", error.what()}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer_to(Json::parse(line)).dump() << '\n' << std::flush;
  }
  return 0;
}
