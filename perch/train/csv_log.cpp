#include <optional>
#include <utility>

#include <fmt/format.h>

#include <perch/train/csv_log.h>
#include <perch/train/flushed_file.h>

namespace perch {
namespace {

std::string cell(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : std::string();
}

class CsvLog final : public Callback {
 public:
  explicit CsvLog(std::filesystem::path path) : path_(std::move(path)) {}

  void on_train_begin(Trainer&, const TrainPlan& plan) override {
    file_.emplace(path_, "csv_log");
    file_->write(csv_header());
    for (const EpochResult& result : plan.epochs_done) file_->write(csv_row(result));
  }
  void on_epoch_end(Trainer&, const EpochResult& result) override { file_->write(csv_row(result)); }
  void on_train_end(Trainer&) override { file_.reset(); }

 private:
  std::filesystem::path path_;
  std::optional<FlushedFile> file_;
};

}  // namespace

std::string csv_header() {
  return "epoch,loss,accuracy,val_loss,val_accuracy,images_per_second,seconds,oscillating,"
         "clipped\n";
}

std::string csv_row(const EpochResult& r) {
  return fmt::format("{},{},{},{},{},{:.1f},{:.3f},{},{}\n", r.epoch, r.loss, r.accuracy,
                     cell(r.val_loss), cell(r.val_accuracy), r.images_per_second, r.seconds,
                     cell(r.oscillating), cell(r.clipped));
}

CallbackPtr csv_log(std::filesystem::path file) {
  return std::make_shared<CsvLog>(std::move(file));
}

}  // namespace perch
