#include <algorithm>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/core/toml_file.h>
#include <perch/experiments/experiment_file.h>

namespace perch::experiments {
namespace {

class Reader {
 public:
  Reader(std::string file, const Vocabulary& vocabulary)
      : file_(std::move(file)), vocabulary_(vocabulary) {}

  ExperimentFile read(const toml::table& root) const {
    check_keys(root, {"model", "data", "question", "seeds", "grid", "train", "float"});
    ExperimentFile result;
    Experiment& experiment = result.experiment;
    experiment.model = text(root, "model");
    experiment.question = text(root, "question");
    result.data = text(root, "data");
    if (const toml::node* const seeds = root.get("seeds")) experiment.seeds = seeds_of(*seeds);
    if (const toml::table* const grid = table(root, "grid")) {
      check_keys(*grid, setting_names(vocabulary_));
      experiment.grid = axes(*grid);
    }
    if (const toml::table* const train = table(root, "train")) {
      check_keys(*train, setting_names(vocabulary_));
      experiment.train = settings(*train);
    }
    if (const toml::table* const start = table(root, "float")) {
      std::vector<std::string> known = start_names(vocabulary_);
      known.emplace_back("epochs");
      check_keys(*start, known);
      const auto epochs = whole(*start, "epochs");
      if (!epochs) refuse(*start, "[float] needs epochs, those that the float start is trained");
      experiment.float_epochs = *epochs;
      experiment.start = settings(*start);
      std::erase_if(experiment.start, [](const Setting& s) { return s.name == "epochs"; });
    }
    return result;
  }

 private:
  [[noreturn]] void refuse(const toml::node& at, const std::string& why) const {
    fail(ErrorCode::bad_data, "{}, line {}: {}", file_, at.source().begin.line, why);
  }

  void check_keys(const toml::table& table, const std::vector<std::string>& known) const {
    for (const auto& [key, value] : table) {
      const std::string name(key.str());
      if (std::ranges::find(known, name) != known.end()) continue;
      refuse(value,
             fmt::format("unknown key \"{}\"; the nearest is \"{}\"", name, nearest(name, known)));
    }
  }

  const toml::table* table(const toml::table& root, const char* key) const {
    const toml::node* const node = root.get(key);
    if (node != nullptr && !node->is_table()) {
      refuse(*node, fmt::format("\"{}\" must be a table, [{}]", key, key));
    }
    return node == nullptr ? nullptr : node->as_table();
  }

  std::string text(const toml::table& table, const char* key) const {
    const toml::node* const node = table.get(key);
    if (node == nullptr) return {};
    const auto found = node->value_exact<std::string>();
    if (!found) refuse(*node, fmt::format("\"{}\" must be a text", key));
    return *found;
  }

  std::optional<std::int64_t> whole(const toml::table& table, const char* key) const {
    const toml::node* const node = table.get(key);
    if (node == nullptr) return std::nullopt;
    const auto found = node->value_exact<std::int64_t>();
    if (!found) refuse(*node, fmt::format("\"{}\" must be a whole number", key));
    return found;
  }

  std::vector<std::int64_t> seeds_of(const toml::node& node) const {
    std::vector<std::int64_t> seeds;
    const auto add = [&](const toml::node& item) {
      const auto seed = item.value_exact<std::int64_t>();
      if (!seed || *seed < 0) {
        refuse(item, "\"seeds\" must be their number, or a list of seeds that are not negative");
      }
      seeds.push_back(*seed);
    };
    if (node.is_array()) {
      for (const toml::node& item : *node.as_array()) add(item);
      return seeds;
    }
    add(node);
    const std::int64_t count = seeds.front();
    if (count > most_cells) {
      refuse(node, fmt::format("{} seeds are too many; give at most {}", count, most_cells));
    }
    seeds.clear();
    for (std::int64_t seed = 0; seed < count; ++seed) seeds.push_back(seed);
    return seeds;
  }

  std::string value(const toml::node& node, const std::string& key) const {
    if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
    if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
    if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
    if (const auto words = node.value_exact<std::string>()) return *words;
    refuse(node, fmt::format("\"{}\" must be a number, a text, true or false", key));
  }

  std::vector<std::string> values(const toml::node& node, const std::string& key) const {
    if (!node.is_array()) return {value(node, key)};
    std::vector<std::string> all;
    for (const toml::node& item : *node.as_array()) all.push_back(value(item, key));
    return all;
  }

  std::vector<Axis> axes(const toml::table& grid) const {
    std::vector<Axis> result;
    for (const auto& [key, node] : in_file_order(grid)) result.push_back({key, values(*node, key)});
    return result;
  }

  Settings settings(const toml::table& table) const {
    Settings result;
    for (const auto& [key, node] : in_file_order(table)) {
      std::string text;
      for (const std::string& item : values(*node, key)) text += (text.empty() ? "" : ",") + item;
      result.push_back({key, text});
    }
    return result;
  }

  /// TOML tables are sorted by key; people's axes are in the order that they wrote.
  static std::vector<std::pair<std::string, const toml::node*>> in_file_order(
      const toml::table& table) {
    std::vector<std::pair<std::string, const toml::node*>> entries;
    for (const auto& [key, node] : table) entries.emplace_back(std::string(key.str()), &node);
    std::ranges::stable_sort(entries, {}, [](const auto& entry) {
      const auto at = entry.second->source().begin;
      return std::pair(at.line, at.column);
    });
    return entries;
  }

  std::string file_;
  const Vocabulary& vocabulary_;
};

}  // namespace

ExperimentFile read_experiment(const std::filesystem::path& file, const Vocabulary& vocabulary) {
  return Reader(file.string(), vocabulary).read(read_toml(file));
}

}  // namespace perch::experiments
