// The bytes of an HDF5 file from anybody. Every look at them is checked against the file's end, and
// all work is paid for from a budget, so that no file costs more than its size allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace perch::io {

using H5Bytes = std::span<const std::byte>;

/// What the format writes for an address that leads nowhere.
constexpr std::uint64_t h5_nowhere = ~std::uint64_t{0};

/// A whole file in memory. For one thread at a time, since it counts the work that it causes.
/// All that throw say where: the path of the object in the file.
class H5File {
 public:
  H5File(std::string name, std::vector<std::byte> bytes);
  /// Throws Error(missing_input) when there is no such readable file, Error(bad_data) when it is
  /// larger than any model.
  static std::shared_ptr<H5File> read(const std::filesystem::path& file);

  const std::string& name() const { return name_; }  ///< for messages
  std::uint64_t size() const { return bytes_.size(); }

  /// Throws Error(bad_data) when they are not all in the file.
  H5Bytes view(std::uint64_t address, std::uint64_t count, std::string_view where) const;
  /// Counts bytes of structure that are visited or kept. Throws Error(bad_data) when that is more
  /// than a file of this size needs, as with structures that contain themselves.
  void charge(std::uint64_t bytes, std::string_view where);
  /// The same for the values of datasets.
  void charge_values(std::uint64_t bytes, std::string_view where);

  /// An object of the collection (a "global heap") at that address, which holds texts of any
  /// length. Throws Error(bad_data) when there is none.
  H5Bytes heap_object(std::uint64_t address, std::uint64_t index, std::string_view where);

  /// Throw Error(bad_data): for what cannot be so, and for what is but perch does not read.
  [[noreturn]] void damaged(const std::string& problem) const;
  [[noreturn]] void unsupported(std::string_view where, const std::string& feature) const;

 private:
  using Collection = std::map<std::uint64_t, H5Bytes>;
  const Collection& collection(std::uint64_t address, std::string_view where);

  std::string name_;
  std::vector<std::byte> bytes_;
  std::uint64_t structure_budget_;
  std::uint64_t values_budget_;
  std::map<std::uint64_t, Collection> collections_;
};

/// Reads little-endian numbers one after the other. Throws Error(bad_data) at the end of its bytes.
class H5Cursor {
 public:
  /// Keeps the file and `where`, which must outlive it.
  H5Cursor(const H5File& file, H5Bytes bytes, std::string_view where)
      : file_(&file), left_(bytes), where_(where) {}

  /// At most eight bytes.
  std::uint64_t number(std::size_t bytes);
  std::uint64_t address() { return number(8); }
  H5Bytes take(std::uint64_t count);
  void skip(std::uint64_t count) { take(count); }
  /// Four characters that mark a structure.
  void expect(std::string_view signature);
  H5Bytes left() const { return left_; }

  const H5File& file() const { return *file_; }
  std::string_view where() const { return where_; }

 private:
  const H5File* file_;
  H5Bytes left_;
  std::string_view where_;
};

/// The characters up to the first NUL, or all.
std::string_view h5_text(H5Bytes bytes);

}  // namespace perch::io
