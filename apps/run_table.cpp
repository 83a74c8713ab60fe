#include "run_table.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include <perch/core/or_null.h>
#include <perch/train/text.h>

using namespace perch;
using io::RunReport, io::RunValue;

namespace {

const RunValue* find(const RunReport& run, const std::string& setting) {
  for (const io::RunSetting& one : run.settings) {
    if (one.name == setting) return &one.value;
  }
  return nullptr;
}

std::string text_of(const RunReport& run, const std::string& setting) {
  const RunValue* const value = find(run, setting);
  return value == nullptr ? std::string() : io::to_string(*value);
}

std::string shown(const RunValue& value) {
  const std::string text = io::to_string(value);
  return text.empty() ? "-" : text;
}

Json json_of(const RunValue& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return Json();
        } else {
          return Json(held);
        }
      },
      value);
}

/// "all_values 8/8 per_channel", "mixed_bits.toml", "float"
std::string quantization_of(const RunReport& run) {
  const std::string file = text_of(run, "quant_config"), quantizer = text_of(run, "quantizer");
  if (!file.empty()) return std::filesystem::path(file).filename().string();
  std::string bits = text_of(run, "weight_bits");
  if (const std::string schedule = text_of(run, "bits_schedule"); !schedule.empty()) {
    bits = schedule;
  }
  if (const std::string activations = text_of(run, "activation_bits"); !activations.empty()) {
    bits += fmt::format("/{}", activations);
  }
  if (const std::string scheme = text_of(run, "scheme"); !scheme.empty()) {
    return bits.empty() ? scheme : fmt::format("{} {}", scheme, bits);
  }
  if (quantizer == "none") return "float";
  const std::string group = text_of(run, "group_size");
  return fmt::format("{} {} {}", quantizer, bits,
                     group.empty() ? text_of(run, "granularity") : fmt::format("group {}", group));
}

/// As status.json says it, but for a run that was killed.
std::string state_of(const RunReport& run) {
  const bool dead = run.status.state == io::RunState::running && !run.alive;
  return dead ? "killed" : io::name_of(run.status.state);
}

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.2f} %", 100.0 * *share) : "-";
}

std::string time_text(double seconds) {
  return seconds < 100.0 ? fmt::format("{:.1f} s", seconds) : duration(seconds);
}

/// As much of a message as a table has room for.
std::string begin_of(const std::string& message) {
  constexpr std::size_t most = 60;
  return message.size() <= most ? message : message.substr(0, most) + "...";
}

/// "2026-11-27 21:25:21"
std::string moment(const std::string& utc) {
  std::string text = utc.substr(0, 19);
  std::ranges::replace(text, 'T', ' ');
  return text;
}

using Lines = std::vector<std::vector<std::string>>;

/// In columns; those of `right` are aligned to the right. Counts bytes, as names are ASCII mostly.
std::string columns(const Lines& lines, const std::vector<std::size_t>& right) {
  std::vector<std::size_t> widths;
  for (const auto& line : lines) {
    if (line.size() == 1) continue;  // a heading
    widths.resize(std::max(widths.size(), line.size()));
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    std::string row = line.size() == 1 ? line.front() : std::string();
    for (std::size_t i = 0; line.size() > 1 && i < line.size(); ++i) {
      const bool to_right = std::ranges::find(right, i) != right.end();
      row += to_right ? fmt::format("{:>{}}  ", line[i], widths[i])
                      : fmt::format("{:<{}}  ", line[i], widths[i]);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

struct Result {
  const char* name;
  std::optional<double> a, b;
};

std::array<Result, 4> results_of(const RunReport& a, const RunReport& b) {
  const auto epochs = [](const RunReport& run) {
    return run.status.epochs ? std::optional(static_cast<double>(run.epochs_done)) : std::nullopt;
  };
  return {{{"test_accuracy", a.status.test_accuracy, b.status.test_accuracy},
           {"test_loss", a.status.test_loss, b.status.test_loss},
           {"epochs", epochs(a), epochs(b)},
           {"seconds", a.status.seconds, b.status.seconds}}};
}

std::vector<std::string> result_line(const Result& result) {
  const std::string_view name = result.name;
  const auto one = [&](const std::optional<double>& value) {
    if (!value) return std::string("-");
    if (name == "test_accuracy") return percent(value);
    if (name == "test_loss") return fmt::format("{:.4f}", *value);
    return name == "epochs" ? fmt::format("{:.0f}", *value) : fmt::format("{:.1f}", *value);
  };
  std::string difference;
  if (result.a && result.b) {
    const double step = *result.b - *result.a;
    difference = name == "test_accuracy" ? fmt::format("{:+.2f} points", 100.0 * step)
                 : name == "test_loss"   ? fmt::format("{:+.4f}", step)
                 : name == "epochs"      ? fmt::format("{:+.0f}", step)
                                         : fmt::format("{:+.1f}", step);
  }
  std::string label(name);
  std::ranges::replace(label, '_', ' ');
  return {"  " + label, one(result.a), one(result.b), difference};
}

Json rows_json(const std::vector<RunDifference::Row>& rows) {
  Json json = Json::object();
  for (const auto& row : rows) json[row.name] = {{"a", json_of(row.a)}, {"b", json_of(row.b)}};
  return json;
}

void add_rows(Lines& lines, const char* title, const std::vector<RunDifference::Row>& rows) {
  lines.push_back({});
  lines.push_back({rows.empty() ? fmt::format("{}: none", title) : std::string(title)});
  for (const auto& row : rows) lines.push_back({"  " + row.name, shown(row.a), shown(row.b)});
}

}  // namespace

Json to_json(const RunEntry& entry) {
  Json json{{"event", "run"}, {"path", entry.path.string()}};
  if (!entry.broken.empty()) {
    json["id"] = io::run_id(entry.path);
    json["state"] = "unreadable";
    json["message"] = entry.broken;
    return json;
  }
  const RunReport& run = entry.report;
  json["id"] = run.id;
  json["model"] = text_of(run, "model");
  json["name"] = text_of(run, "name");
  json["quantization"] = quantization_of(run);
  json["epochs"] = or_null<Json>(run.status.epochs);
  json["epochs_done"] = run.epochs_done;
  json["test_loss"] = or_null<Json>(run.status.test_loss);
  json["test_accuracy"] = or_null<Json>(run.status.test_accuracy);
  json["started"] = run.status.started;
  json["seconds"] = run.status.seconds;
  json["state"] = state_of(run);
  json["message"] = run.status.message;
  return json;
}

std::string run_table(const std::vector<RunEntry>& entries) {
  Lines lines = {
      {"id", "started (UTC)", "name", "quantization", "epochs", "test", "time", "state"}};
  for (const RunEntry& entry : entries) {
    if (!entry.broken.empty()) {
      lines.push_back({io::run_id(entry.path), "", "", "", "", "", "",
                       fmt::format("unreadable: {}", entry.broken)});
      continue;
    }
    const RunReport& run = entry.report;
    const bool ended = run.status.seconds > 0.0;
    const auto epochs = run.status.epochs;
    std::string state = state_of(run);
    if (!run.status.message.empty()) state += fmt::format(": {}", begin_of(run.status.message));
    lines.push_back({run.id, moment(run.status.started), text_of(run, "name"), quantization_of(run),
                     epochs ? fmt::format("{}/{}", run.epochs_done, *epochs) : "-",
                     percent(run.status.test_accuracy), ended ? time_text(run.status.seconds) : "-",
                     state});
  }
  return columns(lines, {4, 5, 6});
}

RunDifference difference_of(const RunReport& a, const RunReport& b) {
  RunDifference difference;
  const auto add = [](std::vector<RunDifference::Row>& rows, const std::string& name,
                      const RunValue& one, const RunValue& other) {
    if (io::to_string(one) != io::to_string(other)) rows.push_back({name, one, other});
  };
  const auto fact = [](const RunReport& run, const std::string& name) {
    for (const auto& [other, value] : run.facts) {
      if (other == name) return value;
    }
    return RunValue();
  };
  for (const io::RunSetting& setting : a.settings) {
    const RunValue* const other = find(b, setting.name);
    add(difference.settings, setting.name, setting.value, other == nullptr ? RunValue() : *other);
  }
  for (const io::RunSetting& setting : b.settings) {
    if (find(a, setting.name) == nullptr) add(difference.settings, setting.name, {}, setting.value);
  }
  // Settings say what the command line says.
  const auto is_setting = [&](const std::string& name) {
    return name == "command" || find(a, name) != nullptr || find(b, name) != nullptr;
  };
  for (const auto& [name, value] : a.facts) {
    if (!is_setting(name)) add(difference.environment, name, value, fact(b, name));
  }
  for (const auto& [name, value] : b.facts) {
    if (!is_setting(name) && fact(a, name).index() == 0) {
      add(difference.environment, name, {}, value);
    }
  }
  return difference;
}

Json to_json(const RunReport& a, const RunReport& b, const RunDifference& difference) {
  Json results = Json::object();
  for (const Result& result : results_of(a, b)) {
    results[result.name] = {
        {"a", or_null<Json>(result.a)},
        {"b", or_null<Json>(result.b)},
        {"difference", result.a && result.b ? Json(*result.b - *result.a) : Json()}};
  }
  return {{"event", "result"},
          {"a", {{"path", a.path.string()}, {"id", a.id}, {"state", state_of(a)}}},
          {"b", {{"path", b.path.string()}, {"id", b.id}, {"state", state_of(b)}}},
          {"settings", rows_json(difference.settings)},
          {"environment", rows_json(difference.environment)},
          {"results", results}};
}

std::string difference_text(const RunReport& a, const RunReport& b,
                            const RunDifference& difference) {
  Lines lines = {{"", a.id, b.id},
                 {"  name", text_of(a, "name"), text_of(b, "name")},
                 {"  started", moment(a.status.started), moment(b.status.started)},
                 {"  state", state_of(a), state_of(b)}};
  for (const auto& [name, run] : {std::pair(a.id, &a), std::pair(b.id, &b)}) {
    if (!run->status.message.empty()) {
      lines.push_back({fmt::format("  {}: {}", name, run->status.message)});
    }
  }
  add_rows(lines, "settings that differ", difference.settings);
  add_rows(lines, "environment that differs", difference.environment);
  lines.push_back({});
  lines.push_back({"results", "", "", "difference"});
  for (const Result& result : results_of(a, b)) lines.push_back(result_line(result));
  return columns(lines, {});
}
