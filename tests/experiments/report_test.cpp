// What the report draws, and of which cells.
#include <catch2/catch.hpp>

#include <perch/experiments/charts.h>
#include <perch/experiments/drawing.h>
#include <perch/experiments/kernel_charts.h>
#include <perch/experiments/report.h>

using namespace perch::experiments;
using Catch::Contains;

namespace {

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    ++found;
  }
  return found;
}

/// Two layers' kernels, the second one's channels of two widths.
CellResult cell(const std::string& granularity, const std::string& bits, std::int64_t seed = 0) {
  CellResult result;
  result.id = granularity + "-" + bits + "-s" + std::to_string(seed);
  result.cell = {{{"granularity", granularity}, {"weight_bits", bits}}, seed};
  result.accuracy = 0.5;
  result.right.assign(10, true);
  const bool channels = granularity == "per_channel";
  for (const char* const name : {"quant_conv2d", "quant_dense"}) {
    LayerRecord& layer = result.layers.emplace_back();
    layer.name = name;
    layer.kind = "Conv2D";
    layer.weight_sqnr_db = 20.0;
    layer.clipped = 0.5;
    layer.ranges.push_back({-1.0, 1.0, 0.5});
    if (channels) layer.ranges.push_back({-0.2, 0.2, 0.1});
    layer.histogram = {-1.0, 0.8, {3, 90, 7}, {5, 90, 5, 0, 0}};
    result.epochs = {{1.0, 0.5}, {0.9, 0.6}};
  }
  return result;
}

std::string page_of(std::vector<CellResult> cells) {
  Results results;
  results.experiment = {
      .model = "temp_net",
      .seeds = {0},
      .grid = {{"granularity", {"per_tensor", "per_channel"}}, {"weight_bits", {"8", "4"}}},
      .train = {},
      .start = {},
      .question = ""};
  results.provenance.test_images = 10;
  results.all_cells = static_cast<std::int64_t>(cells.size());
  results.cells = std::move(cells);
  return report_html(results, findings_of(results));
}

}  // namespace

TEST_CASE("kernels are drawn from the pair of the fewest bits, with the grid's levels") {
  const std::string page = page_of({cell("per_tensor", "8"), cell("per_channel", "8"),
                                    cell("per_tensor", "4"), cell("per_channel", "4")});
  CHECK_THAT(page, Contains("From per_tensor-4-s0 and per_channel-4-s0."));
  CHECK_THAT(page, Contains("A: one range, 5 levels 0.5 apart"));
  CHECK_THAT(page, Contains("one range: 2 of 5 levels hold 95 % of the weights"));
  // Of each kernel ranges, weights and levels; one chart of accuracies, one of training for each
  // width, and none of clipping, which nobody told of.
  CHECK(count(page, "<figure>") == 2 * 3 + 1 + 2);
  CHECK(count(page, "<details><summary>The numbers") == count(page, "<figure>"));
  CHECK(count(page, "class=\"level c1\" x1") == 2 * 5);
}

TEST_CASE("a kernel of zeros alone is drawn without levels") {
  CellResult zeros = cell("per_tensor", "4");
  for (LayerRecord& layer : zeros.layers) {
    layer.ranges = {{0.0, 0.0, 0.0}};
    layer.histogram = {0.0, 0.0, {0, 0, 100}, {0, 0, 0, 0, 0}};
  }
  const std::string page = page_of({zeros});
  CHECK_THAT(page, Contains("Histogram of the weights") && !Contains("nan"));
}

TEST_CASE("clipping over time is drawn where there is some, and said where there is none") {
  CellResult some = cell("per_tensor", "8"), none = cell("per_tensor", "4");
  for (std::size_t i = 0; i < 2; ++i) {
    some.epochs[i].clipped = 0.1 * static_cast<double>(i);
    some.epochs[i].clipped_layers = {{"quant_conv2d", 0.2 * static_cast<double>(i)},
                                     {"quant_dense", 0.0}};
    none.epochs[i].clipped = 0.0;
    none.epochs[i].clipped_layers = {{"quant_conv2d", 0.0}, {"quant_dense", 0.0}};
  }
  const std::string both = page_of({some, none});
  CHECK_THAT(both, Contains("<h2>Clipped weights</h2>") &&
                       Contains("Not drawn: 1 setting in which there are none in any epoch."));
  CHECK_THAT(page_of({none}), Contains("There are none in any epoch."));
  CHECK_THAT(page_of({some}), Contains("Clipped weights, per_tensor-8-s0"));
  CHECK_THAT(page_of({cell("per_tensor", "8")}), !Contains("Clipped weights"));
}

TEST_CASE("a report of many kernels shows those first that waste most, and folds the others") {
  std::vector<CellResult> cells = {cell("per_tensor", "4"), cell("per_channel", "4")};
  for (CellResult& many : cells) {
    many.layers.resize(1);
    for (int i = 0; i < 8; ++i) {
      many.layers.push_back(many.layers.front());
      many.layers.back().name = "layer_" + std::to_string(i);
      if (many.layers.back().ranges.size() > 1) many.layers.back().ranges[1].max += 0.05 * i;
    }
  }
  const std::string page = page_of(cells);
  CHECK(count(page, "<figcaption>layer_") == 8 * 3);
  const auto folded = page.find("<details class=\"more\"><summary>5 more charts");
  REQUIRE(folded != std::string::npos);
  CHECK(page.find("<figcaption>layer_0, Conv2D") < folded);
  CHECK(page.find("<figcaption>layer_7, Conv2D") > folded);
}

TEST_CASE("names along the axis stand in rows where they would lie on each other") {
  charts::LineChart chart{"title", "quantizer", "y", {}, {{"", {}}}};
  for (int i = 0; i < 6; ++i) {
    chart.x_names.push_back("moving_average_" + std::to_string(i));
    chart.series[0].points.push_back({static_cast<double>(i), 1.0 * i, 0.1});
  }
  const std::string figure = charts::figure(chart);
  CHECK_THAT(figure, Contains("y=\"248.0\"") && Contains("y=\"265.0\"") &&
                         Contains("viewBox=\"0 0 420 310\""));
  // Quantizers have no order, numbers of bits do.
  CHECK_THAT(figure, !Contains("<path class=\"line"));
  chart.x_names = {"8", "6", "4", "3", "2", "1"};
  CHECK_THAT(charts::figure(chart), Contains("<path class=\"line"));
}

TEST_CASE("an axis does not go where there are no values") {
  const charts::Scale scale = charts::scale_over(0.0, 0.0, 0.0);
  CHECK(scale.low == 0.0);
  CHECK(scale.high > 0.0);
  CHECK(charts::scale_over(0.0, 0.0).low < 0.0);
  CHECK(charts::number(0.15, 0.05) == "0.15");
  CHECK(charts::number(-1e-9, 0.5) == "0");
  CHECK(charts::number(0.0015, 0.0005) == "15e-4");
  CHECK(charts::number(-1e-19, 0.0005) == "0");
}

TEST_CASE("the levels that hold nearly all weights are counted from the fullest on") {
  CHECK(charts::LevelChart::Use{"", {1, 1, 94, 2, 2}}.main_levels() == 2);
  CHECK(charts::LevelChart::Use{"", {0, 0, 5, 0}}.main_levels() == 1);
  CHECK(charts::WeightChart::Grid{"", -1.0, 1.0, 0.5}.levels() == 5);
  CHECK(charts::WeightChart::Grid{"", 0.0, 0.0, 0.0}.levels() == 1);
}
