#include "child_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <perch/core/check.h>

using namespace perch;

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::filesystem::path& folder, const std::filesystem::path& log) {
  std::vector<std::string> words = {"perch"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const int errors = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (errors < 0) {
    fail(ErrorCode::cannot_create, "cannot write to {}: {}", log.string(), std::strerror(errno));
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    ::close(errors);
    fail(ErrorCode::failure, "cannot start perch: {}", std::strerror(errno));
  }
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ == 0) {
    // Only what is safe between fork and exec in a program with threads. A group of its own: what
    // the terminal sends ends this process first, which then knows why the other ended.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    if (::chdir(folder.c_str()) != 0) ::_exit(127);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  const int reason = errno;
  ::close(errors);
  ::close(ends[1]);
  output_ = ends[0];
  if (process_ < 0) {
    ::close(output_);
    fail(ErrorCode::failure, "cannot start perch: {}", std::strerror(reason));
  }
}

ChildProcess::~ChildProcess() {
  constexpr int patience_ms = 5000, round_ms = 10;
  for (int waited = 0; asked_ && process_ > 0 && waited < patience_ms; waited += round_ms) {
    if (::waitpid(process_, nullptr, WNOHANG) == process_) process_ = -1;
    if (process_ > 0) ::poll(nullptr, 0, round_ms);
  }
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  if (output_ >= 0) ::close(output_);
}

void ChildProcess::ask_to_stop() {
  if (process_ > 0) asked_ = ::kill(process_, SIGTERM) == 0;
}

bool ChildProcess::read(std::vector<std::string>& lines) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(output_, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (count == 0) return false;
  rest_.append(buffer.data(), static_cast<std::size_t>(count));
  for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
    lines.push_back(rest_.substr(0, end));
    rest_.erase(0, end + 1);
  }
  return true;
}

int ChildProcess::wait() {
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
