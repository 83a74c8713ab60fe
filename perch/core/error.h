// The one exception type of perch and the process exit codes it stands for.
#pragma once

#include <stdexcept>
#include <string>

namespace perch {

/// What went wrong, in the terms of a process exit code (BSD sysexits where one fits).
enum class ErrorCode {
  failure = 1,         ///< anything else, for instance a loss that is no longer finite
  usage = 2,           ///< the caller's argument or option is wrong
  bad_data = 65,       ///< a file's content is wrong
  missing_input = 66,  ///< a file or folder that should be read is not there
  cannot_create = 73,  ///< an output cannot be created
  io = 74,             ///< reading or writing failed midway
  interrupted = 75,    ///< stopped by the user
};

/// Thrown by every public function. what() is one line: what, where, and how to put it right.
/// Control characters of the message are written out: \n, \x1b.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message);
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace perch
