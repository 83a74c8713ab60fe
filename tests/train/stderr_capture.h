// What the process writes to stderr, caught in a file or by a pseudo-terminal.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace perch::test {

/// While it lives, stderr goes to an unnamed file, or to a terminal of this many columns.
class StderrCapture {
 public:
  explicit StderrCapture(unsigned short terminal_columns = 0) : former_(dup(STDERR_FILENO)) {
    std::fflush(stderr);
    if (terminal_columns == 0) {
      file_ = std::tmpfile();
      dup2(fileno(file_), STDERR_FILENO);
      return;
    }
    master_ = posix_openpt(O_RDWR | O_NOCTTY);
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) return;
    const int terminal = open(ptsname(master_), O_RDWR | O_NOCTTY);
    const winsize size{24, terminal_columns, 0, 0};
    ioctl(terminal, TIOCSWINSZ, &size);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    fcntl(master_, F_SETFL, O_NONBLOCK);
  }
  ~StderrCapture() {
    restore();
    if (file_ != nullptr) std::fclose(file_);
    if (master_ >= 0) close(master_);
  }
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  /// False where the system has no pseudo-terminals.
  bool works() const { return file_ != nullptr || master_ >= 0; }

  /// What has been written so far.
  std::string text() {
    std::fflush(stderr);
    if (file_ != nullptr) lseek(fileno(file_), 0, SEEK_SET);
    std::string all;
    char part[512];
    const int source = file_ != nullptr ? fileno(file_) : master_;
    for (ssize_t n; (n = read(source, part, sizeof part)) > 0;) {
      all.append(part, static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  void restore() {
    std::fflush(stderr);
    dup2(former_, STDERR_FILENO);
    close(former_);
  }

  int former_;
  std::FILE* file_ = nullptr;
  int master_ = -1;
};

}  // namespace perch::test
