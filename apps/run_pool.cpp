#include "run_pool.h"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <system_error>

#include <fmt/format.h>
#include <poll.h>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>

using namespace perch;
namespace fs = std::filesystem;

std::string last_line(const fs::path& file) {
  std::ifstream input(file);
  std::string last;
  for (std::string line; std::getline(input, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

namespace {

std::string failure_of(const Run& run, int status) {
  const std::string said = last_line(run.log());
  if (status > 128) {
    return fmt::format("ended by signal {}{}", status - 128,
                       status == 128 + SIGKILL ? " (out of memory?)" : "");
  }
  return said.empty() ? fmt::format("exit code {}", status) : said;
}

}  // namespace

void RunPool::run(std::deque<std::unique_ptr<Run>> waiting, const Said& said,
                  const std::function<void(Run&, bool failed)>& ended) {
  while (!waiting.empty() || !places_taken_.empty()) {
    while (!waiting.empty() && places_taken_.size() < static_cast<std::size_t>(places_)) {
      begin(std::move(waiting.front()));
      waiting.pop_front();
    }
    hear(said);
    for (std::size_t i = 0; i < places_taken_.size();) {
      if (go_on(places_taken_[i], ended)) {
        ++i;
      } else {
        places_taken_.erase(places_taken_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
}

void RunPool::begin(std::unique_ptr<Run> run) {
  std::error_code error;
  fs::create_directories(run->folder(), error);  // checkpoints of an interrupted one stay
  if (error) {
    fail(ErrorCode::cannot_create, "cannot write to {}: {}", run->folder().string(),
         error.message());
  }
  Place& place = places_taken_.emplace_back();
  place.start = Clock::now();
  place.process = std::make_unique<ChildProcess>(*run->next(), folder_, run->log());
  place.run = std::move(run);
}

void RunPool::hear(const Said& said) {
  std::vector<pollfd> outputs;
  for (const Place& place : places_taken_) {
    outputs.push_back({place.process->output(), POLLIN, 0});
  }
  const int ready = ::poll(outputs.data(), outputs.size(), 500);
  if (interrupt_requested()) {
    // All at once: each saves its state and ends.
    for (Place& place : places_taken_) place.process->ask_to_stop();
    places_taken_.clear();
    fail(ErrorCode::interrupted, "interrupted; the same command goes on with it");
  }
  if (ready <= 0) return;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].revents == 0) continue;
    std::vector<std::string> lines;
    places_taken_[i].silent = !places_taken_[i].process->read(lines);
    for (const std::string& line : lines) {
      const Json event = Json::parse(line, nullptr, false);
      if (event.is_object()) {
        places_taken_[i].run->take(event);
        said(*places_taken_[i].run, event);
      }
    }
  }
}

/// False when the run has ended.
bool RunPool::go_on(Place& place, const std::function<void(Run&, bool)>& ended) {
  if (!place.silent) return true;
  const int status = place.process->wait();
  if (interrupt_requested()) return true;  // the next round sees to it
  const std::chrono::duration<double> seconds = Clock::now() - place.start;
  const std::string failure = status == 0 ? "" : failure_of(*place.run, status);
  if (failure.empty()) {
    if (const auto next = place.run->next()) {
      place.process = std::make_unique<ChildProcess>(*next, folder_, place.run->log());
      place.silent = false;
      return true;
    }
  }
  place.run->end(failure, seconds.count());
  ended(*place.run, !failure.empty());
  return false;
}
