#include <utility>

#include <perch/core/check.h>
#include <perch/io/perch_config.h>

namespace perch::io {

namespace {

// Raised when a reader of the former version would misunderstand the file.
constexpr std::int64_t format_version = 1;

}  // namespace

std::string perch_config(Model& model) {
  Json shape = Json::array();
  for (const std::int64_t extent : model.input_shape()) shape.push_back(extent);
  return Json{{"format_version", format_version},
              {"perch_version", PERCH_VERSION},
              {"input_shape", std::move(shape)},
              {"model", spec_to_json(describe(model))}}
      .dump();
}

Skeleton model_from_perch(const std::string& config, const std::string& file) {
  const std::string where = file + ": " + perch_config_attribute;
  const Json json = parse_json(config, where);
  const Json& version = required(json, "format_version", where);
  if (version != format_version) {
    fail(ErrorCode::bad_data, "{} has version {}, this perch reads version {}; use a newer perch",
         where, version.dump(), format_version);
  }
  Json batch_shape = Json::array({nullptr});
  for (const Json& extent : required(json, "input_shape", where)) batch_shape.push_back(extent);
  Skeleton skeleton;
  skeleton.input_shape = shape_from_keras(batch_shape, where);
  std::unique_ptr<Layer> layer = make_layer(spec_from_json(required(json, "model", where), where));
  if (dynamic_cast<Model*>(layer.get()) == nullptr) {
    fail(ErrorCode::bad_data, "{}: {} is not a model", where, layer->kind());
  }
  skeleton.model.reset(dynamic_cast<Model*>(layer.release()));
  return skeleton;
}

}  // namespace perch::io
