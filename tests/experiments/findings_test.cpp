#include <catch2/catch.hpp>
#include <tests/support/temp_folder.h>

#include <perch/core/error.h>
#include <perch/experiments/csv.h>
#include <perch/experiments/report.h>
#include <perch/experiments/results_json.h>

using namespace perch;
using namespace perch::experiments;

namespace {

/// 1,000 test images of which the first so many are told right, but for `missed` of them.
CellResult cell(const std::string& granularity, std::int64_t seed, int right, int missed = 0) {
  CellResult result;
  result.id = granularity + "-s" + std::to_string(seed);
  result.cell = {{{"granularity", granularity}, {"weight_bits", "4"}}, seed};
  result.accuracy = (right - missed) / 1000.0;
  for (int i = 0; i < 1000; ++i) result.right.push_back(i >= missed && i < right);
  result.epochs = {{1.0, 0.5, 1.1, 0.4, 0.01, 0.25, {{"quant_conv2d", 0.25}}},
                   {0.9, 0.6, 1.0, 0.5, 0.02, 0.125, {{"quant_conv2d", 0.125}}}};
  result.layers = {
      {.name = "quant_conv2d",
       .kind = "Conv2D",
       .weight_sqnr_db = 20.0,
       .activation_sqnr_db = 30.0,
       .clipped = 0.0,
       .activation_clipped = 0.01,
       .ranges = {{-1.0, 1.0, 0.1}},
       .histogram = {
           {.low = -1.0, .high = 0.9, .counts = {10, 200, 90}, .level_counts = {1, 99, 200}}}}};
  if (granularity == "per_channel") result.layers[0].ranges.push_back({-0.1, 0.2, 0.01});
  return result;
}

Results results_of(std::vector<CellResult> cells) {
  Results results;
  results.experiment = {
      .model = "temp_net",
      .seeds = {0, 1, 2},
      .grid = {{"granularity", {"per_tensor", "per_channel"}}, {"weight_bits", {"4"}}},
      .train = {},
      .start = {},
      .question = ""};
  results.provenance.test_images = 1000;
  results.all_cells = static_cast<std::int64_t>(cells.size());
  results.cells = std::move(cells);
  return results;
}

}  // namespace

TEST_CASE("pairs of a seed are compared image by image, and seeds by the interval of differences") {
  const Results results = results_of({cell("per_tensor", 0, 500), cell("per_channel", 0, 520, 1),
                                      cell("per_tensor", 1, 510), cell("per_channel", 1, 531, 1),
                                      cell("per_tensor", 2, 490), cell("per_channel", 2, 511, 1)});
  const Findings findings = findings_of(results);
  REQUIRE(findings.groups.size() == 2);
  CHECK(findings.groups[0].summary->mean == Approx(50.0));
  REQUIRE(findings.contrasts.size() == 1);
  const Contrast& contrast = findings.contrasts[0];
  REQUIRE(contrast.pairs.size() == 3);
  CHECK(contrast.pairs[0].discordant.first_only == 1);
  CHECK(contrast.pairs[0].discordant.second_only == 20);
  CHECK(contrast.pairs[0].difference == Approx(1.9));
  CHECK(contrast.winner == Winner::second);
  // Differences 1.9, 2, 2: their mean 1.9667, t 4.3027, deviation 0.057735.
  CHECK(contrast.verdict == "per_channel is better by 2.0 ± 0.1 points");
}

TEST_CASE("where nothing can be seen, the verdict says so and what it would take") {
  const Findings several =
      findings_of(results_of({cell("per_tensor", 0, 500), cell("per_channel", 0, 505),
                              cell("per_tensor", 1, 505), cell("per_channel", 1, 500)}));
  CHECK(several.contrasts.at(0).winner == Winner::neither);
  CHECK_THAT(several.contrasts[0].verdict,
             Catch::Contains("no difference can be seen with 2 seeds") &&
                 Catch::Contains("0.3 points would need about 46 seeds"));

  // Differences 0.1, -0.1, 0 and 0: four seeds are enough for 0.3 points.
  const Findings enough = findings_of(results_of(
      {cell("per_tensor", 0, 500), cell("per_channel", 0, 501), cell("per_tensor", 1, 501),
       cell("per_channel", 1, 500), cell("per_tensor", 2, 500), cell("per_channel", 2, 500),
       cell("per_tensor", 3, 500), cell("per_channel", 3, 500)}));
  CHECK(enough.contrasts.at(0).verdict ==
        "no difference can be seen with 4 seeds (0.0 ± 0.1 points); 0.3 points would most likely "
        "have shown");

  const Findings one =
      findings_of(results_of({cell("per_tensor", 0, 500), cell("per_channel", 0, 505, 3)}));
  CHECK_THAT(one.contrasts.at(0).verdict,
             Catch::Contains("with 1 seed") && Catch::Contains("test images"));
  const Findings sure =
      findings_of(results_of({cell("per_tensor", 0, 600), cell("per_channel", 0, 500)}));
  CHECK(sure.contrasts.at(0).winner == Winner::first);
  CHECK_THAT(sure.answer, Catch::Contains("per_tensor is better by 10.0 points"));
}

TEST_CASE("failed cells take no part but are counted") {
  CellResult broken = cell("per_channel", 1, 0);
  broken.failure = "the loss is <NaN> & gone";
  broken.epochs.clear();
  const Results results = results_of({cell("per_tensor", 0, 500), cell("per_channel", 0, 500),
                                      cell("per_tensor", 1, 500), broken});
  const Findings findings = findings_of(results);
  CHECK(findings.groups.at(1).failed == 1);
  CHECK(findings.groups.at(1).accuracies.size() == 1);
  CHECK(findings.contrasts.at(0).pairs.size() == 1);
  CHECK_THAT(
      report_html(results, findings),
      Catch::Contains("the loss is &lt;NaN&gt; &amp; gone") && Catch::Contains("1 cell failed"));
  CHECK_THAT(to_csv(results), Catch::Contains("per_channel-s1,1,per_channel,4,failed,,"));
}

TEST_CASE("the report stands alone: no script, nothing from elsewhere, a table for each chart") {
  const Results results = results_of({cell("per_tensor", 0, 500), cell("per_channel", 0, 520, 1),
                                      cell("per_tensor", 1, 510), cell("per_channel", 1, 531, 1)});
  const std::string page = report_html(results, findings_of(results));
  for (const char* word : {"<script", "http:", "https:", "url(", "@import", "nan"}) {
    CHECK_THAT(page, !Catch::Contains(word));
  }
  const auto count = [&](const std::string& word) {
    std::size_t found = 0;
    for (std::size_t at = page.find(word); at != std::string::npos; at = page.find(word, at + 1)) {
      ++found;
    }
    return found;
  };
  CHECK(count("<figure>") == 9);  // accuracy, ranges, weights, levels, five over time
  CHECK(count("role=\"img\" aria-label") == count("<figure>"));
  CHECK(count("<details><summary>The numbers") == count("<figure>"));
  CHECK_THAT(page, Catch::Contains("a channel uses 57 % of it on average"));
}

TEST_CASE("results survive their files") {
  CellResult before = cell("per_channel", 1, 500);
  before.start_accuracy = 0.25;
  before.model = "cells/a/model.h5";
  before.seconds = 1.5;
  const CellResult after = cell_from_json(Json::parse(to_json(before).dump()), "file");
  CHECK(to_json(after) == to_json(before));
  CHECK(after.layers.at(0).histogram->level_counts == std::vector<std::int64_t>{1, 99, 200});
  CHECK(after.epochs.at(1).clipped_layers == before.epochs.at(1).clipped_layers);

  // Those of an earlier version have less.
  Json earlier = to_json(before);
  for (const char* key : {"clipped", "clipped_layers"}) earlier.at("epochs").at(0).erase(key);
  for (const char* key : {"activation_clipped", "histogram"}) {
    earlier.at("layers").at(0).erase(key);
  }
  const CellResult read = cell_from_json(earlier, "file");
  CHECK_FALSE(read.epochs.at(0).clipped);
  CHECK(read.epochs.at(0).clipped_layers.empty());
  CHECK_FALSE(read.layers.at(0).histogram);
  const Results results = results_of({before});
  const Experiment again = experiment_from_json(to_json(results.experiment), "file");
  CHECK(to_json(again) == to_json(results.experiment));
  CHECK_THROWS_WITH(cell_from_json(Json::object(), "result.json"), Catch::Contains("result.json"));
}

TEST_CASE("predictions are read or refused") {
  const test::TempFolder folder;
  const auto file = folder.path() / "predictions.csv";
  test::write_file(file, "index,label,predicted\n0,3,3\n1,4,2\n");
  CHECK(read_predictions(file) == std::vector<bool>{true, false});
  for (const char* wrong :
       {"", "index,label\n", "index,label,predicted\n1,3,3\n", "index,label,predicted\n0,3\n"}) {
    test::write_file(file, wrong);
    CHECK_THROWS_WITH(read_predictions(file), Catch::Contains("predictions.csv, line"));
  }
  CHECK_THROWS_WITH(read_predictions(folder.path() / "none.csv"), Catch::Contains("cannot read"));
}
