#include <perch/core/check.h>
#include <perch/io/keras_calls.h>
#include <perch/io/keras_config.h>
#include <perch/layers/batch_norm.h>
#include <perch/layers/dropout.h>
#include <perch/layers/graph.h>
#include <perch/quant/wrapper.h>

namespace perch::io {

namespace {

// Whether the arguments are training=False. What is null says nothing.
bool asks_for_inference(const Json& arguments, const std::string& where) {
  bool inference = false;
  for (const auto& [key, value] : arguments.items()) {
    if (value.is_null()) continue;
    inference = key == "training" && value == false;
    if (!inference) {
      fail(ErrorCode::bad_data, "{} is called with {}={}, which perch cannot; call it without",
           where, key, value.dump());
    }
  }
  return inference;
}

bool is_source(const Json& source, const std::set<std::string>& models) {
  return source.is_array() && source.size() >= 3 && source[0].is_string() &&
         source[1] == only_call(models.contains(source[0].get<std::string>())) && source[2] == 0;
}

}  // namespace

int only_call(bool is_model) {
  return is_model ? 1 : 0;
}

KerasCall call_of(const Json& layer, const std::string& name, const std::set<std::string>& models,
                  const std::string& where) {
  const Json& calls = required(layer, "inbound_nodes", where);
  const std::string here = where + ": layer " + name;
  if (calls.empty()) return {};
  if (!calls.is_array() || calls.size() != 1) {
    fail(ErrorCode::bad_data, "{} is called more than once; perch's layers are called once", here);
  }
  KerasCall call;
  for (const Json& source : calls[0]) {
    if (!is_source(source, models)) {
      fail(ErrorCode::bad_data,
           "{} is called in an unknown way, with {}; perch has it with layers that have one output "
           "and are called once",
           here, source.dump());
    }
    call.sources.push_back(source[0].get<std::string>());
    if (source.size() > 3 && asks_for_inference(source[3], here)) call.inference = true;
  }
  if (call.sources.empty()) fail(ErrorCode::bad_data, "{} is called without an input", here);
  return call;
}

void hold_in_inference(Layer& layer, const std::string& where) {
  for_each_layer(layer, [&](Layer& inner) {
    if (auto* const norm = dynamic_cast<BatchNorm*>(&inner)) return norm->freeze_statistics(true);
    if (dynamic_cast<Dropout*>(&inner) == nullptr && !is_quantized(inner)) return;
    fail(ErrorCode::bad_data,
         "{}: layer {} is called with training=False, which perch has for BatchNormalization but "
         "not "
         "for {}; call it without",
         where, inner.name(), inner.kind());
  });
}

}  // namespace perch::io
