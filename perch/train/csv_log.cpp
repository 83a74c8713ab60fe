#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <perch/core/check.h>
#include <perch/train/callback.h>

namespace perch {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

std::string cell(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : std::string();
}

class CsvLog final : public Callback {
 public:
  explicit CsvLog(std::filesystem::path path) : path_(std::move(path)) {}

  void on_train_begin(Trainer&, const TrainPlan& plan) override {
    file_.reset(std::fopen(path_.c_str(), "w"));
    if (!file_) {
      fail(ErrorCode::cannot_create, "csv_log: cannot create {}: {}; choose another file",
           path_.string(), std::strerror(errno));
    }
    write("epoch,loss,accuracy,val_loss,val_accuracy,images_per_second,seconds,oscillating\n");
    for (const EpochResult& result : plan.epochs_done) write_row(result);
  }

  void on_epoch_end(Trainer&, const EpochResult& result) override { write_row(result); }

  void on_train_end(Trainer&) override { file_.reset(); }

 private:
  void write_row(const EpochResult& r) {
    write(fmt::format("{},{},{},{},{},{:.1f},{:.3f},{}\n", r.epoch, r.loss, r.accuracy,
                      cell(r.val_loss), cell(r.val_accuracy), r.images_per_second, r.seconds,
                      cell(r.oscillating)));
  }

  // Flushed row by row, so that a run that is cut short leaves what it had.
  void write(const std::string& line) {
    if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() ||
        std::fflush(file_.get()) != 0) {
      fail(ErrorCode::io, "csv_log: cannot write to {}: {}; make room or choose another file",
           path_.string(), std::strerror(errno));
    }
  }

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace

CallbackPtr csv_log(std::filesystem::path file) {
  return std::make_shared<CsvLog>(std::move(file));
}

}  // namespace perch
