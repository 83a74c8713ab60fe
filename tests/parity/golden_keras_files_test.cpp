// Files that Keras and tfmot wrote: perch must read them and predict the same.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include <catch2/catch.hpp>
#include <tests/support/golden.h>
#include <tests/support/seed_style.h>

#include <perch/io/keras.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>

namespace perch {
namespace {

// The limits of the table "Tolerances" in tests/golden/README.md.
constexpr double float_limit = 1e-5;
constexpr double quantized_limit = 1e-4;
constexpr double sum_limit = 1e-6;

std::unique_ptr<Model> load_model(const std::filesystem::path& file,
                                  const golden::SeedStyle& style) {
  if (!style.quantized()) return io::load_keras(file);
  return io::load_keras(
      file, {.quantize_configs = {{"ConvQuantizer", golden::conv_config(style)},
                                  {"DepthwiseQuantizer", golden::depthwise_config(style)}}});
}

std::unique_ptr<Model> load_into_model(const std::filesystem::path& file, const golden::Group& side,
                                       const golden::SeedStyle& style) {
  std::unique_ptr<Model> model = make_model(side.text("arch"));
  model->build({side.integer("input_h"), side.integer("input_w"), side.integer("input_c")});
  golden::quantize_like_seed(*model, style);
  io::load_weights(*model, file);
  return model;
}

// Keras renames quant_conv2d/kernel's scope when it loads a wrapper; perch keeps conv2d/kernel.
std::string canonical(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::string leaf = name.substr(slash + 1);
  const bool inner = leaf == "kernel" || leaf == "bias" || leaf == "depthwise_kernel";
  return inner && name.starts_with("quant_") ? name.substr(6) : name;
}

struct Sums {
  double sum = 0, squares = 0, magnitude = 0;
};

Sums sums_of(const StateEntry& entry) {
  Sums sums;
  const auto add = [&](double value) {
    sums.sum += value;
    sums.squares += value * value;
    sums.magnitude += std::abs(value);
  };
  if (entry.counter != nullptr) {
    add(*entry.counter);
  } else {
    for (const float value : entry.tensor()->values()) add(value);
  }
  return sums;
}

void check_variables(Model& model, const golden::Group& side) {
  std::map<std::string, Sums> actual;
  for (const StateEntry& entry : state_of(model)) actual[canonical(entry.name)] = sums_of(entry);
  const std::vector<std::string> names = side.strings("variable_names");
  const auto sum = side.doubles("variable_sum").values;
  const auto squares = side.doubles("variable_sumsq").values;
  CHECK(actual.size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    INFO(names[i]);
    const auto found = actual.find(canonical(names[i]));
    REQUIRE(found != actual.end());
    const double scale = std::max(found->second.magnitude, 1e-30);
    CHECK(std::abs(found->second.sum - sum[i]) <= sum_limit * scale);
    CHECK(std::abs(found->second.squares - squares[i]) <= sum_limit * std::max(squares[i], 1e-30));
  }
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0;
  for (std::size_t i = 0; i < a.values().size(); ++i) {
    const double d = std::abs(double{a.values()[i]} - double{b.values()[i]});
    largest = std::isnan(d) ? INFINITY : std::max(largest, d);
  }
  return largest;
}

}  // namespace

TEST_CASE("files that Keras wrote predict as in Keras (golden keras_files)", "[golden]") {
  const std::filesystem::path folder = golden::folder() / "keras_files";
  std::vector<std::filesystem::path> sides;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().string().ends_with(".side.h5")) sides.push_back(entry.path());
  }
  std::ranges::sort(sides);
  std::int64_t cases = 0;
  for (const auto& side_file : sides) {
    const std::string stem = side_file.filename().string();
    const auto file =
        folder / (stem.substr(0, stem.size() - std::string(".side.h5").size()) + ".h5");
    INFO(file.string());
    const golden::Group side = golden::Group::open(side_file);
    const golden::SeedStyle style = golden::seed_style(side);
    const std::unique_ptr<Model> model =
        side.text("kind") == "model" ? load_model(file, style) : load_into_model(file, side, style);
    const Variable y = model->forward(Variable(side.tensor("x")), Context::for_inference());
    CHECK(largest_difference(y.value(), side.tensor("y")) <=
          (style.quantized() ? quantized_limit : float_limit));
    check_variables(*model, side);
    ++cases;
  }
  golden::report(cases);
}

}  // namespace perch
