#include <memory>
#include <vector>

#include <perch/core/check.h>
#include <perch/quant/wrapper.h>
#include <perch/train/quantization_schedule.h>
#include <perch/train/trainer.h>

namespace perch {
namespace {

/// A model's quantizers, those of activations apart.
struct Quantizers {
  std::vector<Quantizer*> weights, activations;

  explicit Quantizers(Model& model) { collect(model); }

 private:
  void collect(Layer& layer) {
    if (auto* const model = dynamic_cast<Model*>(&layer)) {
      for (const Model::Node& node : model->nodes()) collect(*node.layer);
    } else if (auto* const input = dynamic_cast<QuantizeLayer*>(&layer)) {
      activations.push_back(&input->quantizer());
    } else if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
      for (const auto& [prefix, quantizer] : wrapper->quantizers()) {
        const bool weight = wrapper->config().weights.contains(prefix);
        (weight ? weights : activations).push_back(quantizer.get());
      }
    }
  }
};

class ScheduleCallback final : public Callback {
 public:
  explicit ScheduleCallback(const QuantizationSchedule& schedule) : schedule_(schedule) {
    PERCH_CHECK(schedule.activations_from >= 0 && schedule.ranges_until.value_or(0) >= 0,
                "quantization_schedule: steps {} and {} must not be negative",
                schedule.activations_from, schedule.ranges_until.value_or(0));
  }

  void on_train_begin(Trainer& trainer, const TrainPlan& plan) override {
    const Quantizers quantizers(trainer.model());
    PERCH_CHECK(!quantizers.weights.empty() || !quantizers.activations.empty(),
                "quantization_schedule: the model has no quantizer; quantize it first");
    const std::int64_t steps = plan.epochs * plan.batches;
    PERCH_CHECK(schedule_.activations_from < steps,
                "quantization_schedule: activations would be quantized from step {} on, but there "
                "are only {}; train for longer or begin earlier",
                schedule_.activations_from, steps);
    step_ = 0;
    apply(quantizers);
  }
  void on_batch_end(Trainer& trainer, const BatchResult&) override {
    ++step_;
    if (step_ == schedule_.activations_from || step_ == schedule_.ranges_until) {
      apply(Quantizers(trainer.model()));
    }
  }

 private:
  void apply(const Quantizers& quantizers) const {
    const bool observe = !schedule_.ranges_until || step_ < *schedule_.ranges_until;
    for (Quantizer* const quantizer : quantizers.weights) quantizer->mode.observes = observe;
    for (Quantizer* const quantizer : quantizers.activations) {
      quantizer->mode = {.observes = observe, .quantizes = step_ >= schedule_.activations_from};
    }
  }

  QuantizationSchedule schedule_;
  std::int64_t step_ = 0;
};

}  // namespace

CallbackPtr quantization_schedule(const QuantizationSchedule& schedule) {
  return std::make_shared<ScheduleCallback>(schedule);
}

}  // namespace perch
