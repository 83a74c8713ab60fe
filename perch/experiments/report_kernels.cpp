#include <algorithm>
#include <cstdlib>
#include <map>

#include <fmt/format.h>

#include <perch/experiments/charts.h>
#include <perch/experiments/html.h>
#include <perch/experiments/kernel_charts.h>
#include <perch/experiments/report_parts.h>

namespace perch::experiments {
namespace {

using html::escaped;

// Of kernels, open charts are those in which channels use the least of their one range.
constexpr std::size_t most_telling = 4;

bool of_granularity(const CellResult& cell, const std::string& name) {
  const std::string* const found = find(cell.cell.settings, "granularity");
  return found != nullptr && *found == name;
}

bool has_channels(const CellResult& cell) {
  return std::ranges::any_of(cell.layers,
                             [](const LayerRecord& layer) { return layer.ranges.size() > 1; });
}

int bits_of(const CellResult& cell) {
  const std::string* const found = find(cell.cell.settings, "weight_bits");
  return found == nullptr ? 8 : std::atoi(found->c_str());
}

/// The cells whose kernels are drawn: two of one seed that differ in granularity alone, of the
/// fewest bits; one where there is no such pair, per channel where there is one; or none.
struct Shown {
  const CellResult *channels = nullptr, *tensor = nullptr;
  bool pair() const { return channels != nullptr && tensor != nullptr; }
  std::vector<const CellResult*> cells() const {
    std::vector<const CellResult*> all;
    for (const CellResult* cell : {tensor, channels}) {
      if (cell != nullptr) all.push_back(cell);
    }
    return all;
  }
};

const CellResult* per_tensor_twin(const Results& results, const CellResult& cell) {
  for (const CellResult& other : results.cells) {
    if (other.failed() || other.cell.seed != cell.cell.seed ||
        !of_granularity(other, "per_tensor")) {
      continue;
    }
    Settings same = other.cell.settings;
    for (Setting& setting : same) {
      if (setting.name == "granularity") setting.value = "per_channel";
    }
    if (same == cell.cell.settings) return &other;
  }
  return nullptr;
}

Shown shown(const Results& results) {
  Shown best;
  const auto better = [&](const Shown& candidate, const CellResult& cell) {
    if (best.cells().empty() || candidate.pair() != best.pair()) {
      return best.cells().empty() || candidate.pair();
    }
    if ((candidate.channels != nullptr) != (best.channels != nullptr)) {
      return candidate.channels != nullptr;
    }
    return bits_of(cell) < bits_of(*best.cells().front());
  };
  for (const CellResult& cell : results.cells) {
    const bool quantized = std::ranges::any_of(
        cell.layers, [](const LayerRecord& layer) { return !layer.ranges.empty(); });
    if (cell.failed() || !quantized) continue;
    const Shown candidate =
        has_channels(cell) ? Shown{&cell, per_tensor_twin(results, cell)} : Shown{nullptr, &cell};
    if (better(candidate, cell)) best = candidate;
  }
  return best;
}

/// The same layer in another cell.
const LayerRecord* layer_in(const CellResult* cell, const std::string& name) {
  if (cell == nullptr) return nullptr;
  const auto found = std::ranges::find(cell->layers, name, &LayerRecord::name);
  return found == cell->layers.end() ? nullptr : &*found;
}

std::string title_of(const LayerRecord& layer) {
  return layer.name + ", " + layer.kind;
}

charts::RangeChart range_chart(const LayerRecord& layer, const LayerRecord* tensor) {
  charts::RangeChart chart{title_of(layer), {}, {0.0, 0.0}};
  for (const auto& range : layer.ranges) {
    chart.channels.push_back({range.min, range.max});
    chart.whole.low = std::min(chart.whole.low, range.min);
    chart.whole.high = std::max(chart.whole.high, range.max);
  }
  if (tensor != nullptr && tensor->ranges.size() == 1) {
    chart.whole = {tensor->ranges[0].min, tensor->ranges[0].max};
  }
  return chart;
}

/// How much of its one range a channel of each kernel uses; of those with channels alone.
std::map<std::string, double> used_ranges(const Shown& cells) {
  std::map<std::string, double> used;
  if (cells.channels == nullptr) return used;
  for (const LayerRecord& layer : cells.channels->layers) {
    if (layer.ranges.size() < 2) continue;
    const auto chart = range_chart(layer, layer_in(cells.tensor, layer.name));
    if (chart.whole.high > chart.whole.low) used[layer.name] = chart.used();
  }
  return used;
}

/// Whether a kernel is among those that are open.
bool telling(const std::map<std::string, double>& used, const std::string& name) {
  const auto found = used.find(name);
  if (used.size() <= most_telling) return true;
  if (found == used.end()) return false;
  const auto before =
      std::ranges::count_if(used, [&](const auto& other) { return other.second < found->second; });
  return static_cast<std::size_t>(before) < most_telling;
}

std::string range_section(const Shown& cells, const std::map<std::string, double>& used) {
  if (used.empty()) return "";
  std::vector<Drawn> figures;
  for (const LayerRecord& layer : cells.channels->layers) {
    if (!used.contains(layer.name)) continue;
    figures.push_back({charts::figure(range_chart(layer, layer_in(cells.tensor, layer.name))),
                       !telling(used, layer.name)});
  }
  return fmt::format(
             "<h2>What one range for all channels wastes</h2>\n<p>Bars: the range of each output "
             "channel, from {}. Dashed: the one range {}. What lies between a bar and the dashes "
             "are levels that this channel never uses.{}</p>\n",
             escaped(cells.channels->id),
             cells.tensor != nullptr ? "of " + escaped(cells.tensor->id)
                                     : std::string("that would hold them all"),
             used.size() > most_telling ? " First the kernels that waste most." : "") +
         gallery(figures);
}

/// The channel whose range is of median width.
const LayerRecord::Range& typical(const std::vector<LayerRecord::Range>& ranges) {
  std::vector<const LayerRecord::Range*> sorted;
  for (const auto& range : ranges) sorted.push_back(&range);
  std::ranges::stable_sort(sorted, {}, [](const auto* range) { return range->max - range->min; });
  return *sorted[sorted.size() / 2];
}

/// The kernel with one range for all where it was quantized so, and beside that grid the one of a
/// typical channel.
std::string weight_figure(const LayerRecord* tensor, const LayerRecord* channels) {
  const LayerRecord& layer = tensor != nullptr ? *tensor : *channels;
  charts::WeightChart chart{
      title_of(layer), layer.histogram->low, layer.histogram->high, layer.histogram->counts, {}};
  const auto add = [&](const std::string& name, const LayerRecord::Range& range) {
    if (range.scale > 0.0) chart.grids.push_back({name, range.min, range.max, range.scale});
  };
  if (tensor != nullptr && tensor->ranges.size() == 1) add("one range", tensor->ranges[0]);
  if (channels != nullptr && channels->ranges.size() > 1) {
    add("a channel with a range of median width", typical(channels->ranges));
  }
  return charts::figure(chart);
}

std::string level_figure(const LayerRecord* tensor, const LayerRecord* channels) {
  charts::LevelChart chart{title_of(tensor != nullptr ? *tensor : *channels) + ": levels", {}};
  const auto add = [&](const char* name, const LayerRecord* layer) {
    if (layer == nullptr || !layer->histogram) return;
    // A kernel of zeros alone has a range without levels.
    const auto& counts = layer->histogram->level_counts;
    if (std::ranges::all_of(counts, [](std::int64_t count) { return count == 0; })) return;
    chart.uses.push_back({name, layer->histogram->level_counts});
  };
  add("one range", tensor);
  add("one per channel", channels);
  return chart.uses.empty() ? "" : charts::figure(chart);
}

std::string weight_section(const Shown& cells, const std::map<std::string, double>& used) {
  std::vector<Drawn> figures;
  if (cells.cells().empty()) return "";
  for (const LayerRecord& layer : cells.cells().front()->layers) {
    const LayerRecord* const tensor = layer_in(cells.tensor, layer.name);
    const LayerRecord* const channels = layer_in(cells.channels, layer.name);
    if (!layer.histogram || layer.histogram->counts.empty()) continue;
    const bool folded = !telling(used, layer.name);
    figures.push_back({weight_figure(tensor, channels), folded});
    const std::string levels = level_figure(tensor, channels);
    if (!levels.empty()) figures.push_back({levels, folded});
  }
  if (figures.empty()) return "";
  std::string ids;
  for (const CellResult* cell : cells.cells()) ids += (ids.empty() ? "" : " and ") + cell->id;
  return fmt::format(
             "<h2>Weights and levels</h2>\n<p>From {}. The weights of each kernel with the levels "
             "that they are rounded to below them; and how many of the weights come to lie on each "
             "level, the lowest level first. Levels without weights are wasted.</p>\n",
             escaped(ids)) +
         gallery(figures);
}

/// By epoch, the layers of a cell with the most clipped weights at the end.
std::string clipping_figure(const CellResult& cell) {
  constexpr std::size_t most_layers = 6;
  charts::LineChart chart{.title = "Clipped weights, " + cell.id,
                          .x_label = "epoch",
                          .y_label = "share of the layer's weights, %",
                          .x_names = {},
                          .series = {},
                          .least = 0.0,
                          .most = 100.0};
  if (cell.epochs.size() < 2) return "";
  for (const auto& [name, ignored] : cell.epochs.back().clipped_layers) {
    charts::Series series{name, {}};
    for (std::size_t epoch = 0; epoch < cell.epochs.size(); ++epoch) {
      for (const auto& [layer, share] : cell.epochs[epoch].clipped_layers) {
        if (layer != name) continue;
        series.points.push_back({static_cast<double>(epoch + 1), 100.0 * share, std::nullopt});
      }
    }
    const bool clips = std::ranges::any_of(
        series.points, [](const charts::Point& point) { return point.y > 0.0; });
    if (clips) chart.series.push_back(std::move(series));
  }
  if (chart.series.empty()) return "";
  std::ranges::stable_sort(chart.series, std::greater(),
                           [](const charts::Series& series) { return series.points.back().y; });
  if (chart.series.size() > most_layers) {
    chart.title += fmt::format(", {} of {} layers", most_layers, chart.series.size());
    chart.series.resize(most_layers);
  }
  return charts::figure(chart);
}

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.2f} %", 100.0 * *share) : "";
}

}  // namespace

std::string kernel_sections(const Results& results) {
  const Shown cells = shown(results);
  const auto used = used_ranges(cells);
  return range_section(cells, used) + weight_section(cells, used);
}

std::string layer_section(const Results& results) {
  const std::vector<const CellResult*> cells = shown(results).cells();
  if (cells.empty()) return "";
  html::Table table{
      "Signal to quantization noise in dB, and values outside of their range", {"layer"}, {}};
  std::string ids;
  std::vector<Drawn> figures;
  for (const CellResult* cell : cells) {
    ids += (ids.empty() ? "" : " and ") + cell->id;
    const std::string* const name = find(cell->cell.settings, "granularity");
    for (const char* const what :
         {"weights, dB", "outputs, dB", "weights clipped", "activations clipped"}) {
      table.head.push_back(fmt::format("{} {}", name == nullptr ? "" : *name, what));
    }
    const std::string figure = clipping_figure(*cell);
    if (!figure.empty()) figures.push_back({figure});
  }
  for (const LayerRecord& layer : cells.back()->layers) {
    std::vector<std::string> row = {escaped(layer.name + " (" + layer.kind + ")")};
    for (const CellResult* cell : cells) {
      const LayerRecord* const same = layer_in(cell, layer.name);
      if (same == nullptr) {
        row.insert(row.end(), 4, "");
        continue;
      }
      row.push_back(in_words(same->weight_sqnr_db, "{:.1f}"));
      row.push_back(in_words(same->activation_sqnr_db, "{:.1f}"));
      row.push_back(same->weight_sqnr_db ? percent(same->clipped) : "");
      row.push_back(percent(same->activation_clipped));
    }
    table.rows.push_back(std::move(row));
  }
  return fmt::format("<h2>Layer by layer</h2>\n<p>Cells: {}. Measured on 256 images.</p>\n{}",
                     escaped(ids), html::table(table)) +
         gallery(figures);
}

}  // namespace perch::experiments
