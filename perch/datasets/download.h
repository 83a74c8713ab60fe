// One HTTP transfer into a file, resumed where the file ends. For sources of this room.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include <perch/datasets/file.h>

namespace perch::datasets {

/// Throws Error(usage) unless the URL is https, or http on 127.0.0.1, [::1] or localhost.
void check_url(const std::string& url);

struct Transfer {
  std::string url;
  std::int64_t size = 0;  ///< what the whole file must have; more is never written
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{30};
  /// Gets the bytes in the file so far; false stops.
  std::function<bool(std::int64_t)> progress = {};
};

enum class TransferEnd {
  complete,     ///< the file has all of its bytes
  cut_off,      ///< the connection failed midway; trying again continues
  unreachable,  ///< no such host, no connection, or a certificate that is not trusted
  refused,      ///< the server does not have it, or redirects where we do not go
  wrong_file,   ///< the server has a file of another size
};

struct TransferResult {
  TransferEnd end;
  std::string message;        ///< what happened, unless complete
  std::int64_t received = 0;  ///< bytes that came
};

/// Appends to `file` what it lacks. A server without ranges makes it start over. Throws
/// Error(usage) for the URL, Error(io) when the file cannot be written, Error(interrupted) when
/// progress stops it, and what progress throws.
TransferResult transfer(const Transfer& request, File& file);

}  // namespace perch::datasets
