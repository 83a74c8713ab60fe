// A file that grows piece by piece, so that a run that is cut short leaves what it had.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace perch {

class FlushedFile {
 public:
  enum class Begin { empty, append };
  /// `owner` begins its messages. Throws Error(cannot_create).
  FlushedFile(std::filesystem::path path, std::string owner, Begin begin = Begin::empty);

  /// Throws Error(io), for instance on a full disk.
  void write(std::string_view bytes);
  int descriptor() const { return ::fileno(file_.get()); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::filesystem::path path_;
  std::string owner_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace perch
