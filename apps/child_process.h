// A command that runs beside this process.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

class ChildProcess {
 public:
  /// Starts this program with other arguments, in `folder`; its stderr is added to `log`. It dies
  /// with this process. Throws Error(failure), Error(cannot_create) for the log.
  ChildProcess(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
               const std::filesystem::path& log);
  /// Kills it if it still runs; one that was asked to stop has five seconds for it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// To poll: readable when there is output, and at its end.
  int output() const { return output_; }
  /// Adds the complete lines that came; false at the end of its output.
  bool read(std::vector<std::string>& lines);
  /// SIGTERM, which lets it save what it has.
  void ask_to_stop();
  /// Waits for its end: the exit code, or 128 and the signal that ended it.
  int wait();

 private:
  pid_t process_ = -1;
  bool asked_ = false;
  int output_ = -1;
  std::string rest_;
};
