#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include <perch/analyze/layers.h>
#include <perch/analyze/measures.h>
#include <perch/analyze/walk.h>
#include <perch/core/check.h>
#include <perch/datasets/loader.h>
#include <perch/quant/config.h>
#include <perch/quant/wrapper.h>

namespace perch {
namespace {

/// What is gathered of one layer.
struct Gathered {
  Layer* layer = nullptr;
  std::map<std::string, Histogram> histograms;          // of weights; not where one is not finite
  std::map<std::string, GridUse> weights, activations;  // by quantizer's prefix
  Fidelity output;
};

/// The quantized layers in the model's order, before the models that are wrapped in them.
void find_quantized(Model& model, std::vector<Gathered>& found) {
  for (const Model::Node& node : model.nodes()) {
    Layer* layer = node.layer.get();
    if (is_quantized(*layer)) found.push_back({.layer = layer});
    if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(layer)) layer = &wrapper->layer();
    if (auto* const inner = dynamic_cast<Model*>(layer)) find_quantized(*inner, found);
  }
}

std::optional<Histogram> histogram_of(const Tensor& x) {
  const std::span<const float> values = x.values();
  const bool finite = std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
  if (values.empty() || !finite) return std::nullopt;
  const auto [low, high] = std::ranges::minmax(values);
  Histogram result{.low = double{low}, .high = double{high}};
  result.counts.resize(Histogram::bins, 0);
  const double width = result.high - result.low;
  for (const float value : values) {
    const double place = width > 0.0 ? (double{value} - result.low) / width : 0.0;
    const int bin = std::min(static_cast<int>(place * Histogram::bins), Histogram::bins - 1);
    ++result.counts[static_cast<std::size_t>(bin)];
  }
  return result;
}

bool hands_on(const Variable& seen, const Variable& made) {
  return made.value().shares_storage_with(seen.value());
}

void gather_weights(Gathered& gathered) {
  auto* const wrapper = dynamic_cast<QuantizeWrapper*>(gathered.layer);
  if (wrapper == nullptr) return;
  const Context context = Context::for_inference();
  const Layer& layer = weighted_layer(wrapper->layer());
  const Weights plain = wrapper->plain_weights({}, {}, context);
  const Weights quantized = wrapper->quantized_weights(plain, context);
  for (const auto& [name, spec] : wrapper->config().weights) {
    const Variable& seen = plain[name];
    const Variable& made = quantized[name];
    if (hands_on(seen, made)) continue;
    const auto use = gathered.weights.emplace(
        name, GridUse(*wrapper->quantizers().at(name), channel_axes(layer.kind(), seen.shape())));
    use.first->second.add(seen.value(), made.value());
    if (auto histogram = histogram_of(seen.value())) {
      gathered.histograms.emplace(name, *std::move(histogram));
    }
  }
}

void gather_batch(Model& model, const Tensor& images, std::vector<Gathered>& all) {
  std::map<const Layer*, Gathered*> by_layer;
  for (Gathered& gathered : all) by_layer.emplace(gathered.layer, &gathered);
  const WalkHooks hooks{
      .on_quantizer =
          [&](const QuantizerCall& call) {
            if (hands_on(call.seen, call.made)) return;
            auto& uses = by_layer.at(&call.layer)->activations;
            const int rank = call.seen.shape().rank();
            const auto use =
                uses.try_emplace(call.prefix, call.quantizer, std::vector{rank - 1}).first;
            use->second.add(call.seen.value(), call.made.value());
          },
      .on_output =
          [&](const Layer& layer, const Twin& y) {
            const auto found = by_layer.find(&layer);
            if (found == by_layer.end()) return;
            found->second->output.add(y.plain.value(), y.quantized.value());
          },
  };
  walk(model, Variable(images), hooks);
}

double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

QuantizerAnalysis analysis_of(const std::string& name, bool of_weight, const GridUse& use,
                              const QuantSpec& spec) {
  QuantizerAnalysis result{.name = name,
                           .of_weight = of_weight,
                           .bits = spec.bits,
                           .sqnr_db = use.fidelity().sqnr_db(),
                           .cosine = use.fidelity().cosine(),
                           .unused_levels = use.unused_levels()};
  if (const auto clipped = use.clipped()) result.clipped = share(*clipped, use.values());
  result.level_counts = use.level_counts();
  for (std::size_t i = 0; i < use.grids().size(); ++i) {
    const QuantGrid& grid = use.grids()[i];
    const GridUse::OfRange& range = use.ranges()[i];
    result.ranges.push_back({.min = double{grid.nudged_min},
                             .max = double{grid.nudged_max},
                             .scale = double{grid.scale},
                             .zero_point = shown_zero_point(grid, spec),
                             .clipped = share(range.clipped, range.values),
                             .sqnr_db = range.fidelity.sqnr_db()});
  }
  return result;
}

/// Adds what one quantizer after the other has seen.
class Summary {
 public:
  void add(const GridUse& use, int bits) {
    if (!result.bits) result.bits = bits;
    fidelity_ += use.fidelity();
    if (const auto clipped = use.clipped()) {
      clipped_ += *clipped;
      values_ += use.values();
      result.clipped = share(clipped_, values_);
      result.unused_levels = result.unused_levels.value_or(0) + *use.unused_levels();
    }
    set_fidelity(fidelity_);
  }
  void set_fidelity(const Fidelity& fidelity) {
    result.sqnr_db = fidelity.sqnr_db();
    result.cosine = fidelity.cosine();
  }

  Fidelities result;

 private:
  Fidelity fidelity_;
  std::int64_t clipped_ = 0, values_ = 0;
};

LayerAnalysis analysis_of(const Gathered& gathered) {
  const auto* const wrapper = dynamic_cast<const QuantizeWrapper*>(gathered.layer);
  LayerAnalysis result{
      .name = gathered.layer->name(),
      .kind = wrapper ? weighted_layer(wrapper->layer()).kind() : gathered.layer->kind()};
  Summary weights, activations;
  const auto add = [&](const std::string& prefix, const Quantizer& quantizer) {
    for (const bool of_weight : {true, false}) {
      const auto& uses = of_weight ? gathered.weights : gathered.activations;
      const auto use = uses.find(prefix);
      if (use == uses.end()) continue;
      (of_weight ? weights : activations).add(use->second, quantizer.spec().bits);
      result.quantizers.push_back(analysis_of(prefix, of_weight, use->second, quantizer.spec()));
      const auto histogram = gathered.histograms.find(prefix);
      if (of_weight && histogram != gathered.histograms.end()) {
        result.quantizers.back().histogram = histogram->second;
      }
    }
  };
  if (wrapper != nullptr) {
    for (const std::string& prefix : wrapper->quantizer_order()) {
      add(prefix, *wrapper->quantizers().at(prefix));
    }
  } else {
    add("quantize_layer", dynamic_cast<const QuantizeLayer&>(*gathered.layer).quantizer());
  }
  activations.set_fidelity(gathered.output);
  result.weights = weights.result;
  result.activations = activations.result;
  return result;
}

void check(const Model& model, const Dataset& data, const AnalyzeOptions& options) {
  PERCH_CHECK(model.built(), "analyse: the model is not built; call build() first");
  PERCH_CHECK(options.images >= 1 && options.batch_size >= 1,
              "analyse: {} images in batches of {}; take at least 1", options.images,
              options.batch_size);
  PERCH_CHECK(data.size() > 0, "analyse: the dataset is empty; give it at least one image");
  PERCH_CHECK(data.image_shape() == model.input_shape(),
              "analyse: the images are {}, the model takes {}; choose images of that shape",
              data.image_shape().to_string(), model.input_shape().to_string());
}

}  // namespace

bool has_quantizers(const Model& model) {
  return std::ranges::any_of(model.nodes(), [](const Model::Node& node) {
    const auto* const inner = dynamic_cast<const Model*>(node.layer.get());
    return is_quantized(*node.layer) || (inner != nullptr && has_quantizers(*inner));
  });
}

std::vector<LayerAnalysis> analyse(Model& quantized, const Dataset& data,
                                   const AnalyzeOptions& options) {
  check(quantized, data, options);
  std::vector<Gathered> all;
  find_quantized(quantized, all);
  PERCH_CHECK(!all.empty(), "analyse: the model has no quantized layer; quantize it first");
  for (Gathered& gathered : all) gather_weights(gathered);

  const std::int64_t images = std::min(options.images, data.size());
  Loader loader(data.subset(0, images), {.batch_size = options.batch_size});
  Batch batch;
  for (loader.start(0); loader.next(batch);) gather_batch(quantized, batch.images, all);

  std::vector<LayerAnalysis> result;
  for (const Gathered& gathered : all) result.push_back(analysis_of(gathered));
  return result;
}

}  // namespace perch
