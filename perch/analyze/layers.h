// Layer by layer, what quantization does to a model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/layers/model.h>

namespace perch {

struct AnalyzeOptions {
  std::int64_t images = 512;  ///< the data's first ones; all where there are fewer
  std::int64_t batch_size = 64;
};

/// Values that share a range: a channel's, a group's, or all.
struct RangeAnalysis {
  double min = 0.0, max = 0.0;  ///< ends of the grid: QuantGrid's nudged_min and nudged_max
  double scale = 0.0;
  std::int64_t zero_point = 0;
  double clipped = 0.0;  ///< share of the values that lie outside of [min, max]
  double sqnr_db = 0.0;
};

/// How values are spread over [low, high], the smallest and the largest of them, in bins of one
/// width; a bin holds its lower end, the last one high too.
struct Histogram {
  static constexpr int bins = 64;
  double low = 0.0, high = 0.0;
  std::vector<std::int64_t> counts = {};  ///< bins of them
};

/// One quantizer: the values v that it sees, and q(v).
struct QuantizerAnalysis {
  std::string name;  ///< "kernel", "bias", "post_activation", "output", "quantize_layer"
  bool of_weight = false;
  int bits = 0;
  std::optional<Histogram> histogram = std::nullopt;  ///< of v, where it is a weight and finite
  double sqnr_db = 0.0, cosine = 0.0;                 ///< as LayerAnalysis says, with v and q(v)
  // Only where levels are an even grid:
  std::optional<double> clipped;
  std::optional<std::int64_t> unused_levels;
  std::vector<std::int64_t> level_counts = {};  ///< of each level, how many v become it
  std::vector<RangeAnalysis> ranges = {};       ///< in row-major order of the axes that keep ranges
};

/// A layer's weights, or what it puts out.
struct Fidelities {
  std::optional<int> bits;  ///< of the first quantizer
  std::optional<double> sqnr_db, cosine;
  std::optional<double> clipped;              ///< share of all values that its quantizers see
  std::optional<std::int64_t> unused_levels;  ///< the sum over its quantizers
};

struct LayerAnalysis {
  std::string name;  ///< "quant_conv2d", "quantize_layer"
  std::string kind;  ///< the wrapped layer's, "Conv2D", or "QuantizeLayer"
  Fidelities weights;
  Fidelities activations;
  std::vector<QuantizerAnalysis> quantizers = {};  ///< in the state's order
};

/// Whether a layer of the model, or of one nested in it, is a QuantizeWrapper or QuantizeLayer.
bool has_quantizers(const Model& model);

/// Every QuantizeWrapper and QuantizeLayer in the model's order, those of nested models too. With
/// w a quantized weight's values and q(w) what its quantizer makes of them,
///     weights.sqnr_db = 10 log10(sum w^2 / sum (w - q(w))^2)
///     weights.cosine  = sum w q(w) / sqrt(sum w^2 sum q(w)^2)
/// over all quantized weights of the layer: infinity and 1 where q(w) is w, none where no weight is
/// quantized. activations.sqnr_db and cosine are the same of the layer's output over the images, y
/// in the model without any quantizer (but with the same weights) in the place of w and that of the
/// quantized model in the place of q(w): everything that lies before the layer counts too.
///
/// A value is clipped where it lies outside of [nudged_min, nudged_max] of its grid (QuantGrid). A
/// level, of the 2^bits of a grid, one less when narrow, is unused where no value becomes it, in
/// whatever channel. A quantizer that at present hands values on as they are (Quantizer::mode,
/// observe_only, no range yet) counts as none; one without an even grid, and one that quantizes in
/// part (Mode::share), has neither clipped values nor levels.
///
/// Inference: the model does not change. Sums are taken in double in a fixed order; the figures are
/// the same with any number of threads. Throws Error(usage) for a model that is not built or has no
/// quantizers, for images of another shape, and for options below 1.
std::vector<LayerAnalysis> analyse(Model& quantized, const Dataset& data,
                                   const AnalyzeOptions& options = {});

}  // namespace perch
