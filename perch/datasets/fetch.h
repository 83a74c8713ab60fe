// Downloads the official CIFAR-10 archive, checks it and installs it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace perch::datasets {

/// What the archive must be. The defaults are the official facts; tests use a small stand-in.
struct ArchiveFacts {
  std::int64_t size = 170'052'171;
  std::string sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd";
  std::int64_t batch_file_size = 30'730'000;  ///< of each of the six .bin members
};

struct FetchProgress {
  std::string source;         ///< the URL in use
  std::int64_t received = 0;  ///< bytes on disk, what an earlier run left included
  std::int64_t total = 0;     ///< bytes of the archive
};

struct FetchOptions {
  /// The folder cifar-10-batches-bin/ is made in this one; empty: cache_folder().
  std::filesystem::path to = {};
  /// URLs of the archive, tried in order; one that ends in '/' is the folder that holds it. https,
  /// or http on a loopback host. Empty: the official one.
  std::vector<std::string> mirrors = {};
  /// Called several times a second. False stops with Error(interrupted); the next run resumes.
  std::function<bool(const FetchProgress&)> progress = {};
  ArchiveFacts archive = {};
  /// Connections in a row that brought less than a megabyte before a mirror is given up.
  int attempts = 5;
  std::chrono::milliseconds retry_delay{1000};  ///< doubled after each of these
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{30};  ///< gives a connection up below 1,000 bytes/s
};

struct FetchResult {
  std::filesystem::path folder;  ///< .../cifar-10-batches-bin
  bool already_there = false;    ///< a complete folder was found and left alone
  std::string source = {};       ///< the URL that served it
  std::int64_t downloaded = 0;   ///< bytes that came over the network in this run
};

/// Downloads into `to`/cifar-10-binary.tar.gz.part (resuming what is there), checks size and
/// SHA-256, unpacks the eight known members beside the destination and renames the folder into
/// place: there is a complete folder or none. Throws Error(usage) for a URL that is not allowed,
/// Error(io) with the ways on when no mirror can be reached or the disk is full (what came so far
/// is kept), Error(bad_data) for a wrong archive (which is removed), Error(cannot_create) when the
/// destination cannot be written or holds something else, Error(interrupted).
FetchResult fetch_cifar10(const FetchOptions& options);

/// The mirrors that are tried by default.
const std::vector<std::string>& official_mirrors();

}  // namespace perch::datasets
