#include <cerrno>
#include <ctime>
#include <random>
#include <system_error>

#include <perch/core/check.h>
#include <perch/io/atomic_file.h>
#include <perch/io/folder_lock.h>
#include <perch/io/run_folder.h>
#include <perch/io/run_json.h>
#include <perch/train/csv_log.h>
#include <perch/train/flushed_file.h>

namespace perch::io {
namespace {

namespace fs = std::filesystem;

std::string utc(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

/// Training does not wait for the disk.
void write_text(const fs::path& file, const std::string& text) {
  write_atomically(file, text, Sync::no);
}

}  // namespace

struct RunFolder::State {
  fs::path path;
  std::int64_t epochs_done = 0;
  RunStatus status;
  FlushedFile log;
};

const char* name_of(RunState state) {
  constexpr const char* names[] = {"running", "complete", "interrupted", "failed"};
  return names[static_cast<int>(state)];
}

std::string utc_now() {
  return utc("%Y-%m-%dT%H:%M:%SZ");
}

RunFolder::RunFolder(std::unique_ptr<State> state) : state_(std::move(state)) {}
RunFolder::~RunFolder() = default;

std::shared_ptr<RunFolder> RunFolder::create(const fs::path& parent, const std::string& model) {
  std::error_code error;
  fs::create_directories(parent, error);
  fs::path path;
  // Runs that begin in the same second are told apart by chance.
  std::random_device chance;
  for (bool made = false; !made && !error;) {
    path = parent / fmt::format("{}-{}-{:06x}", model, utc("%Y%m%dT%H%M%SZ"), chance() & 0xffffff);
    made = fs::create_directory(path, error);
  }
  if (error) {
    fail(ErrorCode::cannot_create,
         "cannot write to {}: {}; choose another folder for runs, or none", parent.string(),
         error.message());
  }
  std::shared_ptr<RunFolder> folder(new RunFolder(
      std::unique_ptr<State>(new State{path, 0, {}, FlushedFile(path / "log.txt", "run folder")})));
  folder->lock_log();
  return folder;
}

std::shared_ptr<RunFolder> RunFolder::reopen(const fs::path& path, std::int64_t epochs_done) {
  RunStatus status = read_run_status(path);
  remove_unfinished(path / "");
  std::shared_ptr<RunFolder> folder(new RunFolder(std::unique_ptr<State>(
      new State{path, epochs_done, std::move(status),
                FlushedFile(path / "log.txt", "run folder", FlushedFile::Begin::append)})));
  folder->lock_log();
  return folder;
}

void RunFolder::lock_log() {
  if (FolderLock::lock(state_->log.descriptor()) || errno != EWOULDBLOCK) return;
  fail(ErrorCode::cannot_create, "{} is in use by a training that goes on; wait for it",
       state_->path.string());
}

const fs::path& RunFolder::path() const {
  return state_->path;
}

std::int64_t RunFolder::epochs_done() const {
  return state_->epochs_done;
}

const RunStatus& RunFolder::status() const {
  return state_->status;
}

void RunFolder::set_status(const RunStatus& status) {
  state_->status = status;
  write_text(state_->path / "status.json", to_json(status).dump(1) + "\n");
}

void RunFolder::write_config(std::string_view title, const std::vector<RunSetting>& settings,
                             std::string_view table) {
  write_text(state_->path / "config.toml", run_config_text(title, settings, table));
}

void RunFolder::write_environment(const RunFacts& facts) {
  write_text(state_->path / "env.json", to_json(facts).dump(1) + "\n");
}

void RunFolder::log(std::string_view line) {
  state_->log.write(fmt::format("{} {}\n", utc_now(), line));
}

void RunFolder::keep(const fs::path& file) {
  const fs::path copy = state_->path / file.filename();
  std::error_code error;
  fs::remove(copy, error);
  fs::create_hard_link(file, copy, error);
  if (error) fs::copy_file(file, copy, fs::copy_options::overwrite_existing, error);
  if (error) fail(ErrorCode::io, "cannot write {}: {}", copy.string(), error.message());
}

void RunFolder::link_checkpoints(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return;
  const fs::path link = state_->path / "checkpoints";
  fs::remove(link, error);
  const fs::path target = fs::absolute(folder).lexically_normal().lexically_relative(
      fs::absolute(state_->path).lexically_normal());
  fs::create_directory_symlink(target, link, error);
  if (error) fail(ErrorCode::io, "cannot write {}: {}", link.string(), error.message());
}

}  // namespace perch::io
