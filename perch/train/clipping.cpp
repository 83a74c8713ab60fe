#include <cstdint>
#include <string>
#include <vector>

#include <perch/layers/graph.h>
#include <perch/quant/range_rows.h>
#include <perch/quant/wrapper.h>
#include <perch/train/clipping.h>
#include <perch/train/trainer.h>

namespace perch {
namespace {

struct Count {
  std::int64_t values = 0, clipped = 0;
  void operator+=(const Count& other) {
    values += other.values;
    clipped += other.clipped;
  }
  double share() const { return static_cast<double>(clipped) / static_cast<double>(values); }
};

Count count(const Tensor& weight, const Quantizer& quantizer, const std::vector<int>& channels) {
  const Quantizer::Mode& mode = quantizer.mode;
  const std::vector<QuantGrid> grids = quantizer.grids();
  if (quantizer.spec().observe_only || !mode.quantizes || mode.share != 1.0f || grids.empty()) {
    return {};
  }
  const Tensor rows = range_rows(weight, quantizer.spec().granularity, channels);
  Count result{.values = weight.size()};
  const float* value = rows.data();
  for (const QuantGrid& grid : grids) {
    for (std::int64_t i = 0; i < rows.shape()[1]; ++i, ++value) {
      result.clipped += is_clipped(*value, grid) ? 1 : 0;
    }
  }
  return result;
}

/// Of what the quantizers see: folded kernels where batch normalisation is folded.
Count count(QuantizeWrapper& wrapper) {
  const Weights weights = wrapper.plain_weights({}, {}, Context::for_inference());
  const std::string kind = weighted_layer(wrapper.layer()).kind();
  Count result;
  for (const auto& [name, spec] : wrapper.config().weights) {
    const Tensor& weight = weights[name].value();
    result += count(weight, *wrapper.quantizers().at(name), channel_axes(kind, weight.shape()));
  }
  return result;
}

class Clipping final : public Callback {
 public:
  void on_train_begin(Trainer& trainer, const TrainPlan&) override { model_ = &trainer.model(); }
  void complete(EpochResult& result) override {
    Count all;
    for_each_layer(*model_, [&](Layer& layer) {
      auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
      if (wrapper == nullptr || wrapper->config().weights.empty()) return;
      const Count of_layer = count(*wrapper);
      if (of_layer.values == 0) return;
      result.clipped_layers.push_back({layer.name(), of_layer.share()});
      all += of_layer;
    });
    if (all.values > 0) result.clipped = all.share();
  }

 private:
  Model* model_ = nullptr;
};

}  // namespace

CallbackPtr clipping() {
  return std::make_shared<Clipping>();
}

}  // namespace perch
