#include "outcome.h"

#include <fmt/format.h>

#include <perch/core/or_null.h>

#include "file_digest.h"
#include "process.h"

using namespace perch;
namespace fs = std::filesystem;

Outcome outcome(const fs::path& file, const std::string& run, const std::optional<Evaluation>& test,
                const History& history, std::optional<double> first_step_seconds, double seconds) {
  Json event = {{"event", "result"}, {"model", file.string()}, {"name", file.stem().string()}};
  if (!run.empty()) event["run"] = run;
  if (test) {
    event["test_loss"] = test->loss;
    event["test_accuracy"] = test->accuracy;
  }
  event["seconds"] = seconds;
  event["first_step_seconds"] = or_null<Json>(first_step_seconds);
  event["peak_rss_mb"] = peak_rss_mb();

  std::string text = file.stem().string() + "\n", rate;
  if (!history.epochs.empty()) {
    const EpochResult& last = history.epochs.back();
    text += fmt::format("  training    loss {:.4f}, accuracy {:.2f} %\n", last.loss,
                        100 * last.accuracy);
    if (last.val_loss && last.val_accuracy) {
      text += fmt::format("  validation  loss {:.4f}, accuracy {:.2f} %\n", *last.val_loss,
                          100 * *last.val_accuracy);
    }
    rate = fmt::format(", {:.0f} images/s", last.images_per_second);
  }
  if (test) {
    text += fmt::format("  test        loss {:.4f}, accuracy {:.2f} %\n", test->loss,
                        100 * test->accuracy);
  }
  text += fmt::format("  {:.1f} s{}, peak memory {:.0f} MB\nsaved: {}\n", seconds, rate,
                      peak_rss_mb(), file.string());
  if (!run.empty()) text += fmt::format("run:   {}\n", run);
  return {std::move(event), std::move(text)};
}

std::optional<Outcome> earlier_outcome(const io::CheckpointFolder* checkpoints,
                                       const fs::path& file) {
  const auto text = checkpoints == nullptr ? std::nullopt : checkpoints->complete();
  const Json note = Json::parse(text.value_or(""), nullptr, false);
  if (!note.is_object() || note.value("model_sha256", "") != file_digest(file)) return std::nullopt;
  return Outcome{note.at("event"), note.at("text").get<std::string>()};
}

void note_outcome(io::CheckpointFolder* checkpoints, const Outcome& outcome, const fs::path& file) {
  if (checkpoints == nullptr || checkpoints->failures() > 0) return;
  const Json note = {
      {"model_sha256", file_digest(file)}, {"event", outcome.event}, {"text", outcome.text}};
  checkpoints->set_complete(note.dump(1) + "\n");
}
