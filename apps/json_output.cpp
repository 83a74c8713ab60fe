#include "json_output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <perch/core/check.h>

void Output::event(const Json& event) {
  // A path need not be UTF-8; the line has to be.
  if (json_) write(event.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void Output::text(const std::string& text) {
  if (!json_) write(text);
}

void Output::write(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    perch::fail(perch::ErrorCode::io,
                "cannot write the results to stdout: {}; redirect it to a place with room",
                std::strerror(errno));
  }
}
