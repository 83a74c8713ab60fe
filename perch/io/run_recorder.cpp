#include <cmath>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <perch/core/check.h>
#include <perch/core/or_null.h>
#include <perch/io/event_file.h>
#include <perch/io/run_folder.h>
#include <perch/layers/state.h>
#include <perch/train/csv_log.h>
#include <perch/train/flushed_file.h>
#include <perch/train/progress_line.h>
#include <perch/train/trainer.h>

namespace perch::io {
namespace {

using Json = nlohmann::ordered_json;

class RunRecorder final : public Callback {
 public:
  explicit RunRecorder(std::shared_ptr<RunFolder> folder) : folder_(std::move(folder)) {}

  void on_train_begin(Trainer&, const TrainPlan& plan) override {
    plan_ = plan;
    // Anew from what is known: what a power cut took of a former process's rows comes back.
    csv_.emplace(folder_->path() / "metrics.csv", "run folder");
    csv_->write(csv_header());
    lines_.emplace(folder_->path() / "metrics.jsonl", "run folder");
    for (const EpochResult& result : plan.epochs_done) write_rows(result);
    events_.emplace(folder_->path(), folder_->epochs_done());
  }

  void on_epoch_end(Trainer& trainer, const EpochResult& result) override {
    write_rows(result);
    write_events(trainer, result);
    folder_->log(epoch_line(plan_, result));
  }

  void on_train_end(Trainer&) override {
    csv_.reset();
    lines_.reset();
    events_.reset();
  }

 private:
  void write_rows(const EpochResult& result) {
    csv_->write(csv_row(result));
    lines_->write(json_row(result));
  }

  std::string json_row(const EpochResult& r) const {
    Json json = {{"epoch", r.epoch},
                 {"loss", r.loss},
                 {"accuracy", r.accuracy},
                 {"val_loss", or_null<Json>(r.val_loss)},
                 {"val_accuracy", or_null<Json>(r.val_accuracy)},
                 {"images_per_second", r.images_per_second},
                 {"seconds", r.seconds},
                 {"oscillating", or_null<Json>(r.oscillating)},
                 {"learning_rate", r.learning_rate},
                 {"clipped", or_null<Json>(r.clipped)},
                 {"step", (r.epoch + 1) * plan_.batches}};
    for (const auto& [layer, share] : r.clipped_layers) json["clipped_layers"][layer] = share;
    return json.dump() + "\n";
  }

  void write_events(Trainer& trainer, const EpochResult& r) {
    const std::pair<const char*, std::optional<double>> scalars[] = {
        {"loss", r.loss},
        {"accuracy", r.accuracy},
        {"val_loss", r.val_loss},
        {"val_accuracy", r.val_accuracy},
        {"images_per_second", r.images_per_second},
        {"seconds", r.seconds},
        {"oscillating", r.oscillating},
        {"clipped", r.clipped},
        {"learning_rate", r.learning_rate}};
    for (const auto& [tag, value] : scalars) {
      if (value) events_->add(fmt::format("epoch/{}", tag), *value);
    }
    for (const auto& [layer, share] : r.clipped_layers) {
      events_->add(fmt::format("clipped/{}", layer), share);
    }
    for (const StateEntry& entry : state_of(trainer.model())) {
      const Tensor* const tensor = entry.tensor();
      if (tensor == nullptr) continue;
      const std::string tag =
          fmt::format("{}/{}", entry.of_part ? "ranges" : "weights", entry.name);
      const std::span values(tensor->data(), static_cast<std::size_t>(tensor->size()));
      if (entry.of_part && values.size() == 1) {
        events_->add(tag, values.front());
      } else {
        events_->add(tag, values);
      }
    }
    events_->write(r.epoch);
  }

  std::shared_ptr<RunFolder> folder_;
  TrainPlan plan_;
  std::optional<FlushedFile> csv_, lines_;
  std::optional<EventFile> events_;
};

}  // namespace

CallbackPtr run_recorder(std::shared_ptr<RunFolder> folder) {
  return std::make_shared<RunRecorder>(std::move(folder));
}

}  // namespace perch::io
