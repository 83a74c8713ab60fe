#include "model_file.h"

#include <perch/core/check.h>
#include <perch/core/warn.h>
#include <perch/io/model_file.h>
#include <perch/io/tensorflow_limits.h>
#include <perch/layers/spec.h>
#include <perch/quant/wrapper.h>

#include "data_flags.h"

using namespace perch;

namespace {
constexpr const char* scale_key = "input_scale";
}

std::unique_ptr<Model> open_model(const std::string& file, const QuantizeFlags& quantize) {
  const auto flags = quantize.given();
  if (flags.empty()) return io::load_model(file);

  bool complete = true;
  try {
    io::load_model(file);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_data) throw;
    complete = false;
  }
  PERCH_CHECK(!complete,
              "{} says itself how it is quantized, {} would have no effect; leave it out", file,
              fmt::join(flags, " "));
  return io::load_model(file, quantize.load_options());
}

void save_model(Model& model, const std::filesystem::path& file,
                const std::map<std::string, std::string>& metadata) {
  io::save_model(model, file, metadata);
  const std::vector<std::string> unknown = io::unknown_to_tensorflow(model);
  if (file.extension() != ".h5" || unknown.empty()) return;
  const std::string more =
      unknown.size() > 1 ? fmt::format(", and {} more", unknown.size() - 1) : std::string();
  warn(fmt::format("{}: perch reads it, TensorFlow cannot compute it: it has no {}{}",
                   file.string(), unknown.front(), more));
}

std::unique_ptr<Model> open_float_model(const std::string& file) {
  auto model = io::load_model(file);
  for (const Model::Node& node : model->nodes()) {
    PERCH_CHECK(!is_quantized(*node.layer), "{} is quantized already; give the float model", file);
  }
  return model;
}

InputScale remembered_scale(const std::string& file) {
  const auto metadata = io::model_metadata(file);
  const auto found = metadata.find(scale_key);
  return found == metadata.end() ? InputScale::unit : scale_from_name(found->second);
}

std::map<std::string, std::string> remember_scale(InputScale scale) {
  return {{scale_key, scale_name(scale)}};
}

bool ends_in_softmax(const Model& model) {
  Layer* layer = model.nodes().at(static_cast<std::size_t>(model.output())).layer.get();
  if (auto* wrapper = dynamic_cast<QuantizeWrapper*>(layer)) layer = &wrapper->layer();
  if (const auto* inner = dynamic_cast<const Model*>(layer)) return ends_in_softmax(*inner);
  const LayerSpec spec = describe(*layer);
  const ConfigValue* activation = spec.find("activation");
  const auto* name = activation ? std::get_if<std::string>(activation) : nullptr;
  return name && *name == "softmax";
}

Loss loss_for(const Model& model) {
  return sparse_categorical_crossentropy({.from_logits = !ends_in_softmax(model)});
}
