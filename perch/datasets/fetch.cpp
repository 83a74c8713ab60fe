#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include <perch/core/check.h>
#include <perch/datasets/cifar10.h>
#include <perch/datasets/download.h>
#include <perch/datasets/fetch.h>
#include <perch/datasets/file.h>
#include <perch/datasets/sha256.h>
#include <perch/datasets/unpack.h>

namespace perch::datasets {
namespace fs = std::filesystem;
namespace {

constexpr const char* archive_name = "cifar-10-binary.tar.gz";

std::string sha256(const File& file) {
  Sha256 digest;
  std::vector<char> buffer(std::size_t{1} << 20);
  const std::int64_t size = file.size();
  for (std::int64_t at = 0; at < size;) {
    const std::int64_t count = std::min(size - at, static_cast<std::int64_t>(buffer.size()));
    file.read_at(at, buffer.data(), count);
    digest.add(buffer.data(), static_cast<std::size_t>(count));
    at += count;
  }
  return digest.digits();
}

/// Where things go, all of them in one folder so that renaming is atomic.
struct Places {
  explicit Places(const fs::path& to)
      : parent(to.empty() ? cache_folder() : to),
        folder(parent / "cifar-10-batches-bin"),
        part(parent / (std::string(archive_name) + ".part")),
        unpacked(parent / "cifar-10-batches-bin.part") {}
  fs::path parent, folder, part, unpacked;
};

/// True for a complete folder, false for none or an empty one; throws for anything else.
bool is_installed(const fs::path& folder, std::int64_t batch_file_size) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(folder, error))) return false;
  const auto& names = cifar10_batch_files();
  const bool complete = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    std::error_code ignored;
    return fs::file_size(folder / name, ignored) == static_cast<std::uintmax_t>(batch_file_size);
  });
  if (complete) return true;
  if (fs::is_directory(folder, error) && fs::is_empty(folder, error)) return false;
  fail(ErrorCode::cannot_create,
       "{}: is there but incomplete; remove it or give another folder with --to", folder.string());
}

enum class Outcome { complete, wrong, failed };

/// Tries one mirror until the file is complete and right, or the mirror is given up.
class Mirror {
 public:
  Mirror(const FetchOptions& options, std::string url, File& file)
      : options_(options), url_(std::move(url)), file_(file) {}

  Outcome run() {
    bool resumed = file_.size() > 0;
    while (true) {
      const Outcome outcome = download();
      if (outcome != Outcome::complete) return outcome;
      const std::string found = sha256(file_);
      if (found == options_.archive.sha256) return Outcome::complete;
      file_.truncate(0);
      message_ = fmt::format("{}: its SHA-256 is {}, where {} is right", url_, found,
                             options_.archive.sha256);
      // What an earlier run or another mirror left may be to blame: once more, all of it.
      if (!std::exchange(resumed, false)) return Outcome::wrong;
    }
  }

  const std::string& url() const { return url_; }
  const std::string& message() const { return message_; }
  std::int64_t downloaded() const { return downloaded_; }

 private:
  Outcome download() {
    constexpr std::int64_t worth_another_round = 1 << 20;
    std::int64_t gained = 0;
    std::chrono::milliseconds delay = options_.retry_delay;
    for (int failures = 0; failures < options_.attempts;) {
      if (file_.size() == options_.archive.size) return Outcome::complete;
      if (file_.size() > options_.archive.size) file_.truncate(0);
      const TransferResult result = transfer(request(), file_);
      downloaded_ += result.received;
      if (result.end == TransferEnd::complete) return Outcome::complete;
      message_ = fmt::format("{}: {}", url_, result.message);
      if (result.end == TransferEnd::wrong_file) {
        if (result.received > 0) file_.truncate(0);
        return Outcome::wrong;
      }
      if (result.end != TransferEnd::cut_off) return Outcome::failed;
      gained += result.received;
      if (gained >= worth_another_round) {
        gained = 0;
        failures = 0;
        delay = options_.retry_delay;
      }
      if (++failures < options_.attempts) wait(delay);
      delay *= 2;
    }
    return Outcome::failed;
  }

  Transfer request() const {
    return {.url = url_,
            .size = options_.archive.size,
            .connect_timeout = options_.connect_timeout,
            .stall_timeout = options_.stall_timeout,
            .progress = [this](std::int64_t received) { return report(received); }};
  }

  bool report(std::int64_t received) const {
    return !options_.progress ||
           options_.progress(
               {.source = url_, .received = received, .total = options_.archive.size});
  }

  void wait(std::chrono::milliseconds delay) const {
    constexpr std::chrono::milliseconds step{100};
    for (; delay.count() > 0; delay -= step) {
      if (!report(file_.size())) {
        fail(ErrorCode::interrupted, "the download was stopped; run it again to continue");
      }
      std::this_thread::sleep_for(std::min(delay, step));
    }
  }

  const FetchOptions& options_;
  std::string url_;
  File& file_;
  std::string message_;
  std::int64_t downloaded_ = 0;
};

std::vector<std::string> urls_of(const FetchOptions& options) {
  std::vector<std::string> urls = options.mirrors.empty() ? official_mirrors() : options.mirrors;
  for (std::string& url : urls) {
    check_url(url);
    if (url.ends_with('/')) url += archive_name;
  }
  return urls;
}

/// Fills the file from the first mirror that works, or throws.
void download(const FetchOptions& options, const std::vector<std::string>& urls, File& file,
              FetchResult& result) {
  bool wrong = false;
  std::vector<std::string> messages;
  for (const std::string& url : urls) {
    Mirror mirror(options, url, file);
    const Outcome outcome = mirror.run();
    result.downloaded += mirror.downloaded();
    result.source = mirror.url();
    if (outcome == Outcome::complete) return;
    wrong = wrong || outcome == Outcome::wrong;
    messages.push_back(mirror.message());
  }
  if (wrong) {
    fail(ErrorCode::bad_data, "this is not the CIFAR-10 archive: {}; nothing was installed",
         fmt::join(messages, "; "));
  }
  fail(ErrorCode::io, "CIFAR-10 cannot be downloaded ({}){}; {}", fmt::join(messages, "; "),
       file.size() > 0 ? "; the next run continues where this one ended" : "",
       ways_to_get_cifar10());
}

void install(const FetchOptions& options, const Places& places) {
  const auto stopped = [&] {
    return options.progress && !options.progress({.source = places.part.string(),
                                                  .received = options.archive.size,
                                                  .total = options.archive.size});
  };
  std::error_code error;
  fs::remove_all(places.unpacked, error);
  try {
    unpack_cifar10(places.part, places.unpacked, options.archive.batch_file_size, stopped);
    fs::rename(places.unpacked, places.folder, error);
    if (error) {
      fail(ErrorCode::cannot_create, "{}: cannot create this folder: {}", places.folder.string(),
           error.message());
    }
    sync_folder(places.parent);
  } catch (const Error& problem) {
    std::error_code ignored;
    fs::remove_all(places.unpacked, ignored);
    if (problem.code() == ErrorCode::bad_data) fs::remove(places.part, ignored);
    throw;
  }
  fs::remove(places.part, error);
}

}  // namespace

const std::vector<std::string>& official_mirrors() {
  static const std::vector<std::string> urls{"https://www.cs.toronto.edu/~kriz/" +
                                             std::string(archive_name)};
  return urls;
}

FetchResult fetch_cifar10(const FetchOptions& options) {
  const std::vector<std::string> urls = urls_of(options);
  const Places places(options.to);
  FetchResult result{.folder = places.folder};
  if (is_installed(places.folder, options.archive.batch_file_size)) {
    result.already_there = true;
    return result;
  }
  std::error_code error;
  fs::create_directories(places.parent, error);
  if (error) {
    fail(ErrorCode::cannot_create, "{}: cannot create this folder: {}", places.parent.string(),
         error.message());
  }
  File part = File::open_locked(places.part);
  try {
    download(options, urls, part, result);
  } catch (...) {
    if (part.size() == 0) fs::remove(places.part, error);
    throw;
  }
  install(options, places);
  return result;
}

}  // namespace perch::datasets
