#include <array>
#include <fstream>

#include <perch/core/check.h>
#include <perch/core/or_null.h>
#include <perch/io/run_json.h>

namespace perch::io {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::array states = {RunState::running, RunState::complete, RunState::interrupted,
                               RunState::failed};

template <class Number = double>
std::optional<Number> number_or_none(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<Number>());
}

struct AsJson {
  Json operator()(std::monostate) const { return {}; }
  template <class Value>
  Json operator()(const Value& value) const {
    return value;
  }
};

/// use(the file's JSON); what it does not find there is an error that names the file.
template <class Use>
auto reading(const fs::path& file, const Use& use) {
  std::ifstream input(file, std::ios::binary);
  if (!input) {
    fail(ErrorCode::missing_input, "there is no {} in {}; it is no run's folder",
         file.filename().string(), file.parent_path().string());
  }
  try {
    return use(Json::parse(input));
  } catch (const Json::exception& error) {
    fail(ErrorCode::bad_data, "{}: {}", file.string(), error.what());
  }
}

}  // namespace

Json to_json(const RunStatus& status) {
  Json json{{"state", name_of(status.state)},
            {"message", status.message},
            {"started", status.started},
            {"ended", status.ended},
            {"epochs", or_null<Json>(status.epochs)},
            {"seconds", status.seconds},
            {"test_loss", or_null<Json>(status.test_loss)},
            {"test_accuracy", or_null<Json>(status.test_accuracy)},
            {"model", status.model}};
  if (status.float_test_loss) json["float_test_loss"] = *status.float_test_loss;
  if (status.float_test_accuracy) json["float_test_accuracy"] = *status.float_test_accuracy;
  return json;
}

Json to_json(const RunFacts& facts) {
  Json json = Json::object();
  for (const auto& [name, value] : facts) json[name] = std::visit(AsJson(), value);
  return json;
}

RunStatus read_run_status(const fs::path& run) {
  const fs::path file = run / "status.json";
  return reading(file, [&](const Json& json) {
    RunStatus status;
    const std::string state = json.at("state");
    bool known = false;
    for (const RunState one : states) {
      if (state != name_of(one)) continue;
      status.state = one;
      known = true;
    }
    if (!known) fail(ErrorCode::bad_data, "{}: unknown state \"{}\"", file.string(), state);
    status.message = json.at("message");
    status.started = json.at("started");
    status.ended = json.at("ended");
    status.epochs = number_or_none<std::int64_t>(json.at("epochs"));
    status.seconds = json.at("seconds");
    status.test_loss = number_or_none(json.at("test_loss"));
    status.test_accuracy = number_or_none(json.at("test_accuracy"));
    status.float_test_loss = number_or_none(json.value("float_test_loss", Json()));
    status.float_test_accuracy = number_or_none(json.value("float_test_accuracy", Json()));
    status.model = json.at("model");
    return status;
  });
}

RunFacts read_run_facts(const fs::path& run) {
  const fs::path file = run / "env.json";
  return reading(file, [&](const Json& json) {
    if (!json.is_object()) fail(ErrorCode::bad_data, "{}: not an object", file.string());
    RunFacts facts;
    for (const auto& [name, value] : json.items()) {
      RunValue& fact = facts.emplace_back(name, RunValue()).second;
      if (value.is_boolean()) {
        fact = value.get<bool>();
      } else if (value.is_number_integer()) {
        fact = value.get<std::int64_t>();
      } else if (value.is_number()) {
        fact = value.get<double>();
      } else if (!value.is_null()) {
        fact = value.get<std::string>();
      }
    }
    return facts;
  });
}

}  // namespace perch::io
