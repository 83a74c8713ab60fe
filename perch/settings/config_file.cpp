#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/core/toml_file.h>
#include <perch/settings/config_file.h>

namespace perch {
namespace {

std::string name_in_file(const std::string& table, const std::string& key) {
  return table.empty() ? key : table + "." + key;
}

class Reader {
 public:
  Reader(std::string file, const ConfigSchema& schema) : file_(std::move(file)), schema_(schema) {}

  std::vector<ConfigEntry> read(const toml::table& root) {
    for (const auto& [name, node] : in_file_order(root)) {
      const ConfigTable* const inner = find_table(schema_, name);
      if (inner == nullptr) {
        add(*find_table(schema_, ""), name, *node);
        continue;
      }
      const toml::table* const table = node->as_table();
      if (table == nullptr) refuse(*node, fmt::format("\"{0}\" must be a table, [{0}]", name));
      for (const auto& [key, value] : in_file_order(*table)) add(*inner, key, *value);
    }
    return std::move(entries_);
  }

 private:
  using Nodes = std::vector<std::pair<std::string, const toml::node*>>;

  [[noreturn]] void refuse(const toml::node& at, const std::string& why) const {
    fail(ErrorCode::bad_data, "{}, line {}: {}", file_, at.source().begin.line, why);
  }

  /// TOML tables are sorted by key; people's axes are in the order that they wrote.
  static Nodes in_file_order(const toml::table& table) {
    Nodes nodes;
    for (const auto& [key, node] : table) nodes.emplace_back(std::string(key.str()), &node);
    std::ranges::stable_sort(nodes, {}, [](const auto& entry) {
      const auto at = entry.second->source().begin;
      return std::pair(at.line, at.column);
    });
    return nodes;
  }

  void add(const ConfigTable& table, const std::string& name, const toml::node& node) {
    const SettingKey* const key = find_key(table.keys, name);
    if (key == nullptr) refuse_unknown(table, name, node);
    ConfigEntry entry{.table = table.name,
                      .key = name,
                      .values = {},
                      .is_list = false,
                      .origin = fmt::format("{}, line {}", file_, node.source().begin.line)};
    const bool many = key->count != SettingCount::one;
    if (const toml::array* const list = node.as_array(); list != nullptr && (many || table.axes)) {
      entry.is_list = true;
      for (const toml::node& item : *list) entry.values.push_back(value(item, *key, table.axes));
    } else if (const std::string one = value(node, *key, false); many) {
      entry.values = parts_of(one);
      entry.is_list = entry.values.size() > 1;
    } else {
      entry.values.push_back(one);
    }
    if (entry.values.empty()) {
      refuse(node, fmt::format("\"{}\" has no values; give it one at least", name));
    }
    entries_.push_back(std::move(entry));
  }

  [[noreturn]] void refuse_unknown(const ConfigTable& table, const std::string& name,
                                   const toml::node& node) const {
    std::vector<std::string> known = names_of(table.keys);
    const std::string place = table.name.empty() ? "" : fmt::format(" in [{}]", table.name);
    if (node.is_table() && table.name.empty()) {
      known.clear();
      for (const ConfigTable& each : schema_) {
        if (!each.name.empty()) known.push_back(each.name);
      }
      refuse(node,
             fmt::format("unknown table [{}]; the nearest is [{}]", name, nearest(name, known)));
    }
    refuse(node, fmt::format("unknown key \"{}\"{}; the nearest is \"{}\"", name, place,
                             nearest(name, known)));
  }

  /// An axis whose option takes several values has lists or texts with commas in its list.
  std::string value(const toml::node& node, const SettingKey& key, bool in_axis) const {
    if (const toml::array* const list = node.as_array();
        list != nullptr && in_axis && key.count != SettingCount::one) {
      std::vector<std::string> parts;
      for (const toml::node& item : *list) parts.push_back(value(item, key, false));
      return fmt::format("{}", fmt::join(parts, ","));
    }
    std::string found;
    bool is_flag = false, is_text = false;
    if (const auto flag = node.value_exact<bool>()) {
      found = *flag ? "true" : "false";
      is_flag = true;
    } else if (const auto whole = node.value_exact<std::int64_t>()) {
      found = std::to_string(*whole);
    } else if (const auto number = node.value_exact<double>()) {
      found = fmt::format("{}", *number);
    } else if (const auto text = node.value_exact<std::string>()) {
      found = *text;
      is_text = true;
    } else {
      refuse(node, fmt::format("\"{}\" must be a number, a text, true or false", key.name));
    }
    const bool takes_numbers = key.kind == SettingKind::integer || key.kind == SettingKind::number;
    std::string why = objection(key, found);
    if (why.empty() && is_flag != (key.kind == SettingKind::flag)) {
      why = is_flag ? "is no flag" : "must be true or false, without quotes";
    }
    if (why.empty() && is_text && takes_numbers && key.count == SettingCount::one) {
      why = "must be a number, without quotes";
    }
    if (!why.empty()) refuse(node, fmt::format("\"{}\" is {}, {}", key.name, found, why));
    return found;
  }

  std::string file_;
  const ConfigSchema& schema_;
  std::vector<ConfigEntry> entries_;
};

}  // namespace

const ConfigTable* find_table(const ConfigSchema& schema, const std::string& name) {
  const auto found = std::ranges::find(schema, name, &ConfigTable::name);
  return found == schema.end() ? nullptr : &*found;
}

std::string ConfigEntry::value() const {
  return fmt::format("{}", fmt::join(values, ","));
}

std::vector<ConfigEntry> read_config(const std::filesystem::path& file,
                                     const ConfigSchema& schema) {
  return Reader(file.string(), schema).read(read_toml(file));
}

ConfigEntry parse_assignment(const std::string& text, const ConfigSchema& schema) {
  const std::size_t equals = text.find('=');
  PERCH_CHECK(equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
              "--set {}: write KEY=VALUE", text);
  const std::string name = text.substr(0, equals), value = text.substr(equals + 1);
  const std::size_t dot = name.find('.');
  const std::string of_table = dot == std::string::npos ? "" : name.substr(0, dot);
  const std::string of_key = dot == std::string::npos ? name : name.substr(dot + 1);
  std::vector<std::string> known;
  for (const ConfigTable& table : schema) {
    for (const SettingKey& key : table.keys) known.push_back(name_in_file(table.name, key.name));
  }
  const ConfigTable* const table = find_table(schema, of_table);
  const SettingKey* const key = table == nullptr ? nullptr : find_key(table->keys, of_key);
  PERCH_CHECK(key != nullptr, "--set {}: unknown setting \"{}\"; the nearest is \"{}\"", text, name,
              nearest(name, known));
  ConfigEntry entry{.table = of_table,
                    .key = of_key,
                    .values = {},
                    .is_list = false,
                    .origin = "--set " + text,
                    .in_file = false};
  if (table->axes || key->count != SettingCount::one) {
    entry.values = parts_of(value);
    entry.is_list = entry.values.size() > 1;
  } else {
    entry.values.push_back(value);
  }
  for (const std::string& each : entry.values) {
    const std::string why = objection(*key, each);
    PERCH_CHECK(why.empty(), "--set {}: \"{}\" is {}, {}", text, name, each, why);
  }
  return entry;
}

void refuse(const ConfigEntry& entry, const std::string& why) {
  fail(entry.in_file ? ErrorCode::bad_data : ErrorCode::usage, "{}: {}", entry.origin, why);
}

}  // namespace perch
