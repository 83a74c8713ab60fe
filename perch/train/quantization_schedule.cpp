#include <algorithm>
#include <memory>

#include <perch/core/check.h>
#include <perch/quant/wrapper.h>
#include <perch/train/quantization_schedule.h>
#include <perch/train/trainer.h>

namespace perch {
namespace {

class ScheduleCallback final : public Callback {
 public:
  explicit ScheduleCallback(const QuantizationSchedule& schedule) : schedule_(schedule) {
    for (const std::int64_t step :
         {schedule.activations_from, schedule.ranges_until.value_or(0), schedule.full_from}) {
      PERCH_CHECK(step >= 0, "quantization_schedule: step {} must not be negative", step);
    }
  }

  void on_train_begin(Trainer& trainer, const TrainPlan& plan) override {
    const ModelQuantizers quantizers = quantizers_of(trainer.model());
    PERCH_CHECK(quantizers.any(),
                "quantization_schedule: the model has no quantizer; quantize it first");
    const std::int64_t steps = plan.epochs * plan.batches;
    const std::int64_t last = std::max(schedule_.activations_from, schedule_.full_from);
    PERCH_CHECK(last < steps,
                "quantization_schedule: all would be quantized from step {} on, but there are only "
                "{}; train for longer or begin earlier",
                last, steps);
    step_ = 0;
    apply(quantizers);
  }
  void on_batch_end(Trainer& trainer, const BatchResult&) override {
    ++step_;
    if (step_ == schedule_.activations_from || step_ == schedule_.ranges_until ||
        step_ <= schedule_.full_from) {
      apply(quantizers_of(trainer.model()));
    }
  }

 private:
  void apply(const ModelQuantizers& quantizers) const {
    Quantizer::Mode mode{.observes = !schedule_.ranges_until || step_ < *schedule_.ranges_until};
    if (step_ < schedule_.full_from) {
      const double left =
          1.0 - static_cast<double>(step_) / static_cast<double>(schedule_.full_from);
      mode.share = static_cast<float>(1.0 - left * left * left);
    }
    for (Quantizer* const quantizer : quantizers.weights) quantizer->mode = mode;
    mode.quantizes = step_ >= schedule_.activations_from;
    for (Quantizer* const quantizer : quantizers.activations) quantizer->mode = mode;
  }

  QuantizationSchedule schedule_;
  std::int64_t step_ = 0;
};

}  // namespace

CallbackPtr quantization_schedule(const QuantizationSchedule& schedule) {
  return std::make_shared<ScheduleCallback>(schedule);
}

}  // namespace perch
