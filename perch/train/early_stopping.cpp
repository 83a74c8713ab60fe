#include <utility>

#include <perch/core/check.h>
#include <perch/train/monitor.h>
#include <perch/train/snapshot.h>
#include <perch/train/trainer.h>

namespace perch {
namespace {

class EarlyStopping final : public Callback {
 public:
  explicit EarlyStopping(const EarlyStoppingOptions& options)
      : monitor_("early_stopping", options.monitor, options.min_delta),
        patience_(options.patience),
        restore_best_(options.restore_best) {
    PERCH_CHECK(patience_ >= 0, "early_stopping: patience {} is below 0", patience_);
  }

  std::string state_name() const override { return "early_stopping"; }
  void visit(Visitor& visitor) override {
    monitor_.visit(visitor);
    visitor.config("waited", waited_);
    visitor.part("best", best_);
  }

  void on_train_begin(Trainer&, const TrainPlan& plan) override {
    monitor_.begin(plan);
    waited_ = 0;
    best_ = {};
  }

  void on_epoch_end(Trainer& trainer, const EpochResult& result) override {
    if (monitor_.improves(result)) {
      waited_ = 0;
      if (restore_best_) best_.take(trainer.model());
    } else if (++waited_ >= patience_) {
      trainer.stop();
    }
  }

  void on_train_end(Trainer& trainer) override {
    if (!best_.empty()) best_.restore(trainer.model());
    best_ = {};
  }

 private:
  Monitor monitor_;
  std::int64_t patience_;
  bool restore_best_;
  std::int64_t waited_ = 0;
  Snapshot best_;
};

class OnBest final : public Callback {
 public:
  OnBest(std::string monitor, std::function<void(Trainer&)> save)
      : monitor_("on_best", std::move(monitor)), save_(std::move(save)) {
    PERCH_CHECK(save_ != nullptr, "on_best: no function to call");
  }

  std::string state_name() const override { return "on_best"; }
  void visit(Visitor& visitor) override { monitor_.visit(visitor); }
  void on_train_begin(Trainer&, const TrainPlan& plan) override { monitor_.begin(plan); }
  void on_epoch_end(Trainer& trainer, const EpochResult& result) override {
    if (monitor_.improves(result)) save_(trainer);
  }

 private:
  Monitor monitor_;
  std::function<void(Trainer&)> save_;
};

}  // namespace

CallbackPtr early_stopping(EarlyStoppingOptions options) {
  return std::make_shared<EarlyStopping>(options);
}

CallbackPtr on_best(std::string monitor, std::function<void(Trainer&)> save) {
  return std::make_shared<OnBest>(std::move(monitor), std::move(save));
}

}  // namespace perch
