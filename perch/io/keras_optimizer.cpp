#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <perch/io/keras_optimizer.h>
#include <perch/io/keras_order.h>
#include <perch/io/spec_json.h>
#include <perch/optim/optimizers.h>

namespace perch::io {

namespace {

struct KerasOptimizer {
  std::string name;
  Json settings;
  /// Keras's slot of a variable, and perch's.
  std::vector<std::pair<std::string, std::string>> slots;
};

std::optional<KerasOptimizer> keras_optimizer(const Optimizer& optimizer) {
  if (const auto* adam = dynamic_cast<const Adam*>(&optimizer)) {
    const Adam::Options& options = adam->options();
    Json decay;
    if (options.weight_decay != 0.0f) decay = options.weight_decay;
    return KerasOptimizer{decay.is_null() ? "Adam" : "AdamW",
                          {{"weight_decay", decay},
                           {"learning_rate", options.learning_rate},
                           {"beta_1", options.beta_1},
                           {"beta_2", options.beta_2},
                           {"epsilon", options.epsilon},
                           {"amsgrad", false}},
                          {{"m", "m"}, {"v", "v"}}};
  }
  if (const auto* sgd = dynamic_cast<const Sgd*>(&optimizer)) {
    const Sgd::Options& options = sgd->options();
    return KerasOptimizer{"SGD",
                          {{"weight_decay", nullptr},
                           {"learning_rate", options.learning_rate},
                           {"momentum", options.momentum},
                           {"nesterov", options.nesterov}},
                          {{"m", "momentum"}}};
  }
  return std::nullopt;
}

Json training_config(const KerasOptimizer& optimizer) {
  Json settings{{"name", optimizer.name},
                {"clipnorm", nullptr},
                {"global_clipnorm", nullptr},
                {"clipvalue", nullptr},
                {"use_ema", false},
                {"ema_momentum", 0.99},
                {"ema_overwrite_frequency", nullptr},
                {"jit_compile", false},
                {"is_legacy_optimizer", false}};
  settings.update(optimizer.settings);
  const Json loss{{"class_name", "SparseCategoricalCrossentropy"},
                  {"config",
                   {{"reduction", "auto"},
                    {"name", "sparse_categorical_crossentropy"},
                    {"from_logits", true},
                    {"ignore_class", nullptr},
                    {"fn", "sparse_categorical_crossentropy"}}}};
  const Json metric{{"class_name", "MeanMetricWrapper"},
                    {"config",
                     {{"name", "sparse_categorical_accuracy"},
                      {"dtype", "float32"},
                      {"fn", "sparse_categorical_accuracy"}}}};
  return {{"loss", loss},
          {"metrics", Json::array({Json::array({metric})})},
          {"weighted_metrics", nullptr},
          {"loss_weights", nullptr},
          {"optimizer_config",
           {{"class_name", "Custom>" + optimizer.name}, {"config", std::move(settings)}}}};
}

// Zeros before the first step, as in Keras.
Tensor slot_values(const Optimizer& optimizer, const std::string& slot, const StateEntry& entry) {
  const auto values = optimizer.slots().find(slot);
  if (values != optimizer.slots().end()) {
    const auto found = values->second.find(entry.name);
    if (found != values->second.end()) return found->second;
  }
  return Tensor::zeros(entry.shape());
}

}  // namespace

void write_optimizer(H5Writer& root, const Optimizer& optimizer, Model& model) {
  const std::optional<KerasOptimizer> keras = keras_optimizer(optimizer);
  if (!keras) return;
  root.add_text("training_config", training_config(*keras).dump());
  H5Writer group = root.add_group("optimizer_weights");
  std::vector<std::string> names{"iteration:0"};
  group.add_int64(names.front(), optimizer.iterations());
  for (const StateEntry& entry : keras_state(model)) {
    if (!entry.trainable) continue;
    for (const auto& [keras_slot, slot] : keras->slots) {
      names.push_back(keras->name + "/" + keras_slot + "/" + entry.name + ":0");
      group.add_floats(names.back(), slot_values(optimizer, slot, entry));
    }
  }
  group.add_texts("weight_names", names);
}

}  // namespace perch::io
