#include <charconv>
#include <sstream>
#include <system_error>
#include <type_traits>

#include <perch/core/check.h>
#include <perch/core/toml_file.h>
#include <perch/io/run_config.h>

namespace perch::io {
namespace {

template <class Number>
bool reads(const std::string& word, Number& number) {
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number);
  return error == std::errc() && stop == end;
}

/// NAME = VALUE; the name alone, as a comment, without a value.
std::string line_of(const RunSetting& setting) {
  const auto written = [&](const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, std::monostate>) {
      return fmt::format("# {}", setting.name);
    } else if constexpr (std::is_same_v<Value, double>) {
      // toml++ writes 0.1 as 0.10000000000000001.
      const std::string digits = fmt::format("{}", value);
      const bool whole = digits.find_first_not_of("-0123456789") == std::string::npos;
      return fmt::format("{} = {}{}", setting.name, digits, whole ? ".0" : "");
    } else {
      const toml::table table{{setting.name, value}};
      std::ostringstream text;
      text << toml::toml_formatter(table, toml::format_flags::none);
      return text.str();
    }
  };
  return std::visit(written, setting.value);
}

/// A comment ends where its line does, and has no control characters.
std::string in_comment(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < ' ' || byte == 0x7f) c = ' ';
  }
  return result;
}

}  // namespace

RunValue run_value(const std::string& word) {
  std::int64_t integer = 0;
  if (reads(word, integer)) return integer;
  double number = 0.0;
  if (reads(word, number)) return number;
  return word;
}

std::string to_string(const RunValue& value) {
  const auto written = [](const auto& held) {
    if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
      return std::string();
    } else {
      return fmt::format("{}", held);
    }
  };
  return std::visit(written, value);
}

std::string run_config_text(std::string_view title, const std::vector<RunSetting>& settings,
                            std::string_view table) {
  std::string text = fmt::format("# {}\n", in_comment(title)), group;
  if (!table.empty()) text += fmt::format("\n[{}]\n", table);
  for (const RunSetting& setting : settings) {
    if (setting.group != group) text += fmt::format("\n# {}\n", setting.group);
    group = setting.group;
    if (!setting.description.empty()) text += fmt::format("\n# {}\n", setting.description);
    const bool has_value = setting.value.index() != 0;
    const std::string origin = setting.is_default ? "default" : setting.origin;
    const bool told = has_value && !origin.empty();
    text += fmt::format("{}{}\n", line_of(setting), told ? "  # " + in_comment(origin) : "");
  }
  return text;
}

namespace {

void take(const toml::table& table, const std::string& file, std::vector<RunSetting>& settings) {
  for (const auto& [key, node] : table) {
    if (const auto* const inner = node.as_table()) {
      take(*inner, file, settings);
      continue;
    }
    RunSetting& setting = settings.emplace_back();
    setting.name = key.str();
    if (const auto* const boolean = node.as_boolean()) setting.value = boolean->get();
    if (const auto* const integer = node.as_integer()) setting.value = integer->get();
    if (const auto* const number = node.as_floating_point()) setting.value = number->get();
    if (const auto* const word = node.as_string()) setting.value = word->get();
    if (setting.value.index() == 0) {
      fail(ErrorCode::bad_data, "{}, line {}: {} is neither a number nor a text", file,
           node.source().begin.line, setting.name);
    }
  }
}

}  // namespace

std::vector<RunSetting> parse_run_config(std::string_view text, const std::string& file) {
  std::vector<RunSetting> settings;
  take(parse_toml(text, file), file, settings);
  return settings;
}

}  // namespace perch::io
