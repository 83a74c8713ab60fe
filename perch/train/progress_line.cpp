#include <algorithm>

#include <fmt/format.h>

#include <perch/train/progress_line.h>
#include <perch/train/text.h>

namespace perch {
namespace {

std::string epoch_label(const TrainPlan& plan, std::int64_t epoch) {
  return fmt::format("epoch {}/{}", epoch + 1, plan.epochs);
}

// Rate, time left, loss and accuracy.
std::string figures(const TrainPlan& plan, const BatchResult& r) {
  const std::int64_t done = r.batch + 1;
  const std::int64_t ahead = r.batches - done + (plan.epochs - r.epoch - 1) * r.batches;
  const double left = r.seconds / static_cast<double>(done) * static_cast<double>(ahead);
  const double rate = r.seconds > 0.0 ? static_cast<double>(r.images) / r.seconds : 0.0;
  return fmt::format("{} images/s, {} left, loss {:.4f}, accuracy {:.1f} %", grouped(rate),
                     duration(left), r.loss, 100.0 * r.accuracy);
}

// "[=====>    ] " in `width` columns.
std::string bar(const BatchResult& r, int width, bool color) {
  const int inner = width - 3;
  const int filled = static_cast<int>(inner * (r.batch + 1) / r.batches);
  std::string body(static_cast<std::size_t>(filled), '=');
  if (filled < inner) body += '>';
  std::string rest(static_cast<std::size_t>(inner) - body.size(), ' ');
  return color ? fmt::format("[\033[32m{}\033[0m{}] ", body, rest)
               : fmt::format("[{}{}] ", body, rest);
}

}  // namespace

std::string progress_line(const TrainPlan& plan, const BatchResult& result, int width, bool color) {
  constexpr int narrowest_bar = 8, widest_bar = 33;
  const std::string head = epoch_label(plan, result.epoch) + " ";
  const std::string tail = figures(plan, result);
  const int room = width - static_cast<int>(head.size() + tail.size());
  if (room < narrowest_bar) {
    return (head + tail).substr(0, static_cast<std::size_t>(std::max(width, 0)));
  }
  return head + bar(result, std::min(room, widest_bar), color) + tail;
}

std::string progress_note(const TrainPlan& plan, const BatchResult& result) {
  return fmt::format("{}, batch {}/{}: {}", epoch_label(plan, result.epoch), result.batch + 1,
                     result.batches, figures(plan, result));
}

std::string epoch_line(const TrainPlan& plan, const EpochResult& r) {
  std::string line = fmt::format("{}: loss {:.4f}, accuracy {:.2f} %", epoch_label(plan, r.epoch),
                                 r.loss, 100.0 * r.accuracy);
  if (r.val_loss) line += fmt::format(", val_loss {:.4f}", *r.val_loss);
  if (r.val_accuracy) line += fmt::format(", val_accuracy {:.2f} %", 100.0 * *r.val_accuracy);
  if (r.oscillating) line += fmt::format(", oscillating {:.2f} %", 100.0 * *r.oscillating);
  return line + fmt::format(", {} images/s, {:.1f} s", grouped(r.images_per_second), r.seconds);
}

}  // namespace perch
