#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include <perch/train/progress_line.h>

namespace perch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) == 1 && !environment("TERM").empty() &&
         environment("TERM") != "dumb";
}

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

class ProgressBar final : public Callback {
 public:
  // An exception that ends the training leaves no half-drawn line before its message.
  ~ProgressBar() override { wipe(); }

  void on_train_begin(Trainer&, const TrainPlan& plan) override {
    plan_ = plan;
    terminal_ = stderr_is_terminal();
    color_ = environment("NO_COLOR").empty();
  }

  void on_epoch_begin(Trainer&, std::int64_t) override { last_ = Clock::now(); }

  void on_batch_end(Trainer&, const BatchResult& result) override {
    const Clock::time_point now = Clock::now();
    if (now - last_ < (terminal_ ? milliseconds(100) : milliseconds(10'000))) return;
    last_ = now;
    if (terminal_) {
      // One column stays free: some terminals wrap after the last one.
      write("\r\033[K" + progress_line(plan_, result, terminal_width() - 1, color_));
      drawn_ = true;
    } else {
      write(progress_note(plan_, result) + "\n");
    }
  }

  void on_epoch_end(Trainer&, const EpochResult& result) override {
    wipe();
    write(epoch_line(plan_, result) + "\n");
  }

 private:
  void wipe() {
    if (drawn_) write("\r\033[K");
    drawn_ = false;
  }

  TrainPlan plan_;
  bool terminal_ = false, color_ = false, drawn_ = false;
  Clock::time_point last_{};
};

}  // namespace

CallbackPtr progress_bar() {
  return std::make_shared<ProgressBar>();
}

}  // namespace perch
