// perch data: fetches the official CIFAR-10 files and checks them.
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <perch/core/interrupt.h>
#include <perch/datasets/cifar10.h>
#include <perch/datasets/fetch.h>

#include "commands.h"
#include "flags.h"

using namespace perch;

namespace {

struct FetchFlags {
  std::string dataset, to;
  std::vector<std::string> mirrors;
  bool quiet = false;
};

/// A line on stderr that counts up: on a terminal only, since it writes over itself.
class DownloadBar {
 public:
  explicit DownloadBar(bool quiet) : shown_(!quiet && isatty(STDERR_FILENO)) {}
  ~DownloadBar() {
    if (drawn_) std::fputc('\n', stderr);
  }
  DownloadBar(const DownloadBar&) = delete;
  DownloadBar& operator=(const DownloadBar&) = delete;

  void show(const datasets::FetchProgress& progress) {
    if (!shown_ || progress.total <= 0) return;
    constexpr int width = 30;
    const double share =
        static_cast<double>(progress.received) / static_cast<double>(progress.total);
    const int filled = static_cast<int>(share * width);
    fmt::print(stderr, "\r[{:=<{}}{:{}}] {:5.1f} % of {:.0f} MB", "", filled, "", width - filled,
               100 * share, static_cast<double>(progress.total) / 1e6);
    std::fflush(stderr);
    drawn_ = true;
  }

 private:
  bool shown_, drawn_ = false;
};

void fetch(const FetchFlags& flags, Output& output) {
  check_choice("data set", flags.dataset, {"cifar10"});
  datasets::FetchResult result;
  {
    DownloadBar bar(flags.quiet);
    // An interruption ends the download in good order; what has come stays, to go on with.
    result = datasets::fetch_cifar10({.to = flags.to,
                                      .mirrors = flags.mirrors,
                                      .progress = [&](const datasets::FetchProgress& progress) {
                                        bar.show(progress);
                                        return !interrupt_requested();
                                      }});
  }
  output.event({{"event", "result"},
                {"folder", result.folder.string()},
                {"already_there", result.already_there},
                {"source", result.already_there ? Json() : Json(result.source)},
                {"downloaded", result.downloaded}});
  output.text(result.already_there
                  ? fmt::format("{} is complete already\n", result.folder.string())
                  : fmt::format("installed {} from {}\n", result.folder.string(), result.source));
}

void verify(const std::string& folder, Output& output) {
  const auto findings = datasets::verify_cifar10(folder);
  output.event({{"event", "result"}, {"folder", folder}, {"files", findings}});
  output.text(fmt::format("{}\n", fmt::join(findings, "\n")));
}

Command add_fetch(CLI::App& parent) {
  auto flags = std::make_shared<FetchFlags>();
  CLI::App* app = parent.add_subcommand(
      "fetch", "Download the official archive, check it and install it; resumes where it stopped");
  app->footer("Example:\n  perch data fetch cifar10");
  app->add_option("DATASET", flags->dataset, "Which data set")->type_name("cifar10")->required();
  app->add_option("--to", flags->to,
                  "Folder in which cifar-10-batches-bin is made; default: the user's cache folder")
      ->type_name("DIR");
  app->add_option("--mirror", flags->mirrors,
                  "Where the archive is, instead of the official place; several in order")
      ->type_name("URL")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app->add_flag("--quiet", flags->quiet, "No progress bar");
  return {
      .app = app, .run = [flags](Output& output) { fetch(*flags, output); }, .heeds_signals = true};
}

Command add_verify(CLI::App& parent) {
  auto folder = std::make_shared<std::string>();
  CLI::App* app =
      parent.add_subcommand("verify", "Check the six official files: sizes, records and labels");
  app->footer("Example:\n  perch data verify ~/.cache/perch/cifar-10-batches-bin");
  app->add_option("DIR", *folder, "Folder of the files")->type_name("DIR")->required();
  return {app, [folder](Output& output) { verify(*folder, output); }};
}

}  // namespace

std::vector<Command> add_data(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand("data", "Fetch and check data sets");
  app->footer("Example:\n  perch data fetch cifar10");
  app->require_subcommand(1);
  return {add_fetch(*app), add_verify(*app)};
}
