#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <perch/core/check.h>
#include <perch/layers/graph.h>
#include <perch/layers/state.h>
#include <perch/quant/element_grids.h>
#include <perch/quant/wrapper.h>
#include <perch/train/oscillation.h>
#include <perch/train/trainer.h>

namespace perch {
namespace {

/// What happened to the levels of one weight tensor.
class LevelHistory final : public Visitable {
 public:
  LevelHistory(QuantizeWrapper& wrapper, const std::string& weight)
      : quantizer_(*wrapper.quantizers().at(weight)),
        weight_(*find_weight(wrapper.layer(), weight)),
        channels_(channel_axes(wrapper.layer().kind(), weight_.shape())) {}

  std::int64_t size() const { return weight_.value().size(); }
  std::int64_t above(float frequency) const {
    return std::ranges::count_if(elements_,
                                 [&](const Element& e) { return e.frequency > frequency; });
  }

  /// All elements as one tensor, [elements, 5]; none before the first step.
  void visit(Visitor& visitor) override {
    constexpr std::int64_t fields = 5;
    Tensor packed;
    if (!elements_.empty()) packed = Tensor({size(), fields});
    float* out = packed.data();
    for (const Element& e : elements_) {
      for (const float x : {e.level, e.mean, e.frequency, e.direction, e.frozen ? 1.0f : 0.0f}) {
        *out++ = x;
      }
    }
    visitor.buffer("elements", packed);
    elements_.resize(static_cast<std::size_t>(packed.empty() ? 0 : size()));
    if (packed.size() != fields * static_cast<std::int64_t>(elements_.size())) {
      fail(ErrorCode::bad_data, "oscillation: a state of {} for {} weights",
           packed.shape().to_string(), size());
    }
    const float* in = packed.data();
    for (Element& e : elements_) {
      e = {in[0], in[1], in[2], in[3], in[4] != 0.0f};
      in += fields;
    }
  }

  /// Adds the gradient of strength |w - q(w)|^2.
  void dampen(float strength) {
    if (!ready()) return;
    const ElementGrids grids = grid();
    const Tensor& w = weight_.value();
    Tensor gradient(w.shape());
    for (std::int64_t i = 0; i < size(); ++i) {
      const float x = w.data()[i];
      const float low = grids.base.data()[i];
      const float high = low + grids.top.data()[i] * grids.step.data()[i];
      const bool inside = x >= low && x <= high;
      gradient.data()[i] =
          inside ? 2.0f * strength * (x - value_of(grids, i, level(grids, i))) : 0.0f;
    }
    weight_.backward(std::move(gradient));
  }

  void step(float momentum, std::optional<float> freeze_above) {
    if (!ready()) return;
    const ElementGrids grids = grid();
    const bool first = elements_.empty();
    elements_.resize(static_cast<std::size_t>(size()));
    for (std::int64_t i = 0; i < size(); ++i) {
      Element& e = elements_[static_cast<std::size_t>(i)];
      const float now = level(grids, i);
      if (first) {
        e.level = e.mean = now;
        continue;
      }
      if (!e.frozen) e.note(now, momentum);
      if (!e.frozen && freeze_above && e.frequency > *freeze_above) {
        e.frozen = true;
        e.level = std::round(e.mean);
      }
      if (e.frozen) weight_.mutable_value().data()[i] = value_of(grids, i, e.level);
    }
  }

 private:
  struct Element {
    float level = 0.0f, mean = 0.0f, frequency = 0.0f;
    float direction = 0.0f;  // of the last change; 0: there was none
    bool frozen = false;

    void note(float now, float momentum) {
      const float change = now - level;
      const bool turned = change * direction < 0.0f;
      frequency += momentum * ((turned ? 1.0f : 0.0f) - frequency);
      mean += momentum * (now - mean);
      if (change != 0.0f) direction = change;
      level = now;
    }
  };

  // A trained range is set by the first step's values.
  bool ready() const { return !quantizer_.grids().empty(); }
  ElementGrids grid() const { return ElementGrids::of(weight_.shape(), quantizer_, channels_); }
  float level(const ElementGrids& grids, std::int64_t i) const {
    const float step = grids.step.data()[i];
    if (step <= 0.0f) return 0.0f;
    const float place = (weight_.value().data()[i] - grids.base.data()[i]) / step;
    return std::clamp(std::floor(place + 0.5f), 0.0f, grids.top.data()[i]);
  }
  static float value_of(const ElementGrids& grids, std::int64_t i, float level) {
    return grids.base.data()[i] + level * grids.step.data()[i];
  }

  Quantizer& quantizer_;
  Variable& weight_;
  std::vector<int> channels_;
  std::vector<Element> elements_;
};

/// Of a layer's quantized weights.
void add_histories(Layer& layer, std::vector<LevelHistory>& found) {
  auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer);
  if (wrapper == nullptr || !wrapper->trainable() || !wrapper->layer().trainable()) return;
  for (const auto& [weight, spec] : wrapper->config().weights) {
    if (spec.observe_only) continue;
    PERCH_CHECK(
        !wrapper->config().fold,
        "oscillation: {} folds batch normalisation, so that its levels are not those of its "
        "own weights; quantize without folding or leave oscillation out",
        wrapper->name());
    PERCH_CHECK(has_even_levels(spec.range),
                "oscillation: {}: {} has no evenly spaced levels; use another quantizer or leave "
                "oscillation out",
                wrapper->name(), policy_name(spec.range));
    found.emplace_back(*wrapper, weight);
  }
}

class OscillationCallback final : public Callback {
 public:
  explicit OscillationCallback(const OscillationOptions& options) : options_(options) {
    const auto share = [](float value) { return value > 0.0f && value <= 1.0f; };
    PERCH_CHECK(share(options.momentum), "oscillation: momentum {} is outside of (0, 1]",
                options.momentum);
    PERCH_CHECK(options.reported_above >= 0.0f && options.reported_above < 1.0f,
                "oscillation: a frequency of {} to report is outside of [0, 1)",
                options.reported_above);
    PERCH_CHECK(std::isfinite(options.dampen) && options.dampen >= 0.0f,
                "oscillation: dampen {} must not be negative", options.dampen);
    PERCH_CHECK(!options.freeze_above || share(*options.freeze_above),
                "oscillation: a frequency of {} to freeze above is outside of (0, 1]",
                options.freeze_above.value_or(0.0f));
  }

  void on_train_begin(Trainer& trainer, const TrainPlan& plan) override {
    histories_.clear();
    for_each_layer(trainer.model(), [&](Layer& layer) { add_histories(layer, histories_); });
    PERCH_CHECK(!histories_.empty(),
                "oscillation: the model has no quantized weight that is trained; quantize one");
    steps_ = plan.epochs * plan.batches;
    step_ = plan.steps_done;
  }
  std::string state_name() const override { return "oscillation"; }
  void visit(Visitor& visitor) override {
    for (std::size_t i = 0; i < histories_.size(); ++i) {
      visitor.part(fmt::format("weight_{}", i), histories_[i]);
    }
  }
  void on_gradients(Trainer&) override {
    if (options_.dampen == 0.0f) return;
    const auto strength = static_cast<float>(double{options_.dampen} * (1.0 - falling()));
    for (LevelHistory& history : histories_) history.dampen(strength);
  }
  void on_batch_end(Trainer&, const BatchResult&) override {
    std::optional<float> threshold;
    if (options_.freeze_above) {
      threshold = static_cast<float>(double{*options_.freeze_above} * (1.0 + 9.0 * falling()));
    }
    for (LevelHistory& history : histories_) history.step(options_.momentum, threshold);
    ++step_;
  }
  void complete(EpochResult& result) override {
    std::int64_t all = 0, above = 0;
    for (const LevelHistory& history : histories_) {
      all += history.size();
      above += history.above(options_.reported_above);
    }
    result.oscillating = static_cast<double>(above) / static_cast<double>(all);
  }

 private:
  /// From 1 to 0 over the training.
  double falling() const {
    const double t =
        static_cast<double>(step_) / static_cast<double>(std::max<std::int64_t>(steps_, 1));
    return 0.5 * (1.0 + std::cos(std::numbers::pi * t));
  }

  OscillationOptions options_;
  std::vector<LevelHistory> histories_;
  std::int64_t steps_ = 0, step_ = 0;
};

}  // namespace

CallbackPtr oscillation(const OscillationOptions& options) {
  return std::make_shared<OscillationCallback>(options);
}

}  // namespace perch
