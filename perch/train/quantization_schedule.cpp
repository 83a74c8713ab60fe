#include <algorithm>
#include <memory>
#include <utility>

#include <perch/core/check.h>
#include <perch/layers/batch_norm.h>
#include <perch/layers/graph.h>
#include <perch/quant/wrapper.h>
#include <perch/train/quantization_schedule.h>
#include <perch/train/trainer.h>

namespace perch {
namespace {

using Wrappers = std::vector<QuantizeWrapper*>;
using Norms = std::vector<BatchNorm*>;

void collect(Layer& layer, Wrappers& wrappers, Norms& norms) {
  for_each_layer(layer, [&](Layer& each) {
    if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&each)) {
      wrappers.push_back(wrapper);
      collect(wrapper->layer(), wrappers, norms);
    } else if (auto* const folded = dynamic_cast<FoldedBatchNorm*>(&each)) {
      norms.push_back(&folded->norm());
    } else if (auto* const norm = dynamic_cast<BatchNorm*>(&each)) {
      norms.push_back(norm);
    }
  });
}

class ScheduleCallback final : public Callback {
 public:
  explicit ScheduleCallback(QuantizationSchedule schedule) : schedule_(std::move(schedule)) {}

  void on_train_begin(Trainer& trainer, const TrainPlan& plan) override {
    wrappers_.clear();
    norms_.clear();
    collect(trainer.model(), wrappers_, norms_);
    quantizers_ = quantizers_of(trainer.model());
    const auto step_of = [&](const TrainTime& time) {
      const std::int64_t step = time.step(plan.batches);
      PERCH_CHECK(step >= 0, "quantization_schedule: step {} must not be negative", step);
      return step;
    };
    activations_from_ = step_of(schedule_.activations_from);
    full_from_ = step_of(schedule_.full_from);
    ranges_until_.reset();
    batch_norm_until_.reset();
    if (schedule_.ranges_until) ranges_until_ = step_of(*schedule_.ranges_until);
    if (schedule_.batch_norm_until) batch_norm_until_ = step_of(*schedule_.batch_norm_until);
    bits_.clear();
    for (const auto& [time, bits] : schedule_.weight_bits) bits_.emplace_back(step_of(time), bits);
    check(plan.epochs * plan.batches);
    // A training that goes back comes here again: as it was before the first switch.
    if (begun_) {
      for (std::size_t i = 0; i < norms_.size(); ++i) norms_[i]->freeze_statistics(frozen_[i]);
      for (const auto& [wrapper, weight, bits] : widths_) wrapper->set_bits(weight, bits);
    } else {
      note();
    }
    // A resumed training passes what lies behind it once more; its state is put in afterwards.
    for (step_ = 0; step_ < plan.steps_done; ++step_) switch_over();
    switch_over();
    apply_modes();
  }
  void on_train_end(Trainer&) override { begun_ = false; }
  void on_batch_end(Trainer&, const BatchResult&) override {
    ++step_;
    switch_over();
    const bool moves = step_ == activations_from_ || step_ == ranges_until_ || step_ <= full_from_;
    if (moves) apply_modes();
  }

 private:
  struct Width {
    QuantizeWrapper* wrapper;
    std::string weight;
    int bits;
  };

  void note() {
    begun_ = true;
    frozen_.clear();
    widths_.clear();
    for (const BatchNorm* const norm : norms_) frozen_.push_back(norm->statistics_frozen());
    if (bits_.empty()) return;
    for_main_weights([&](QuantizeWrapper& wrapper, const std::string& weight) {
      widths_.push_back({&wrapper, weight, wrapper.quantizers().at(weight)->spec().bits});
    });
  }

  void check(std::int64_t steps) const {
    PERCH_CHECK(quantizers_.any(),
                "quantization_schedule: the model has no quantizer; quantize it first");
    PERCH_CHECK(!batch_norm_until_ || !norms_.empty(),
                "quantization_schedule: the model has no BatchNormalization to freeze; leave "
                "batch_norm_until out");
    const auto reached = [&](std::int64_t step, const char* what) {
      PERCH_CHECK(step < steps,
                  "quantization_schedule: {} from step {} on, but there are only {}; train for "
                  "longer or begin earlier",
                  what, step, steps);
    };
    reached(std::max(activations_from_, full_from_), "all would be quantized");
    std::int64_t before = -1;
    for (const auto& [step, bits] : bits_) {
      PERCH_CHECK(step > before,
                  "quantization_schedule: widths of weights must come one after another, but {} "
                  "bits begin at step {}, not after step {}",
                  bits, step, before);
      before = step;
      reached(step, "the last width would begin");
      for_main_weights([bits = bits](QuantizeWrapper& wrapper, const std::string& weight) {
        wrapper.quantizers().at(weight)->check_bits(bits);
      });
    }
  }

  /// use(wrapper, the main weight's name) where that is quantized.
  template <class Use>
  void for_main_weights(const Use& use) const {
    for (QuantizeWrapper* const wrapper : wrappers_) {
      const std::string weight = main_weight(weighted_layer(wrapper->layer()).kind());
      if (!wrapper->quantizers().contains(weight)) continue;
      with_layer_name(*wrapper, [&] { use(*wrapper, weight); });
    }
  }

  /// What happens once, at this step.
  void switch_over() const {
    for (const auto& [step, bits] : bits_) {
      if (step != step_) continue;
      for_main_weights([bits = bits](QuantizeWrapper& wrapper, const std::string& weight) {
        wrapper.set_bits(weight, bits);
      });
    }
    if (step_ == batch_norm_until_) {
      for (BatchNorm* const norm : norms_) norm->freeze_statistics(true);
    }
  }

  void apply_modes() const {
    Quantizer::Mode mode{.observes = !ranges_until_ || step_ < *ranges_until_};
    if (step_ < full_from_) {
      const double left = 1.0 - static_cast<double>(step_) / static_cast<double>(full_from_);
      mode.share = static_cast<float>(1.0 - left * left * left);
    }
    for (Quantizer* const quantizer : quantizers_.weights) quantizer->mode = mode;
    mode.quantizes = step_ >= activations_from_;
    for (Quantizer* const quantizer : quantizers_.activations) quantizer->mode = mode;
  }

  QuantizationSchedule schedule_;
  ModelQuantizers quantizers_;
  Wrappers wrappers_;
  Norms norms_;
  std::int64_t activations_from_ = 0, full_from_ = 0, step_ = 0;
  std::optional<std::int64_t> ranges_until_, batch_norm_until_;
  std::vector<std::pair<std::int64_t, int>> bits_;
  bool begun_ = false;
  std::vector<bool> frozen_;
  std::vector<Width> widths_;
};

}  // namespace

std::vector<std::pair<TrainTime, int>> spread_bits(const std::vector<int>& bits, double epochs) {
  PERCH_CHECK(!bits.empty(), "spread_bits: no width given; give at least one");
  std::vector<std::pair<TrainTime, int>> result;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(bits.size());
    result.emplace_back(TrainTime::epochs(share * epochs), bits[i]);
  }
  return result;
}

CallbackPtr quantization_schedule(const QuantizationSchedule& schedule) {
  return std::make_shared<ScheduleCallback>(schedule);
}

}  // namespace perch
