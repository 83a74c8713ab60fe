// Reads the golden fixtures: HDF5 files of numbers that TensorFlow computed (tests/golden). Knows
// nothing of what they mean; the parity tests do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <perch/core/tensor.h>

namespace perch::golden {

/// PERCH_GOLDEN_DIR, or the copy in the source tree.
std::filesystem::path folder();

/// Prints "golden: DIR: N cases"; a test failure when there are none.
void report(std::int64_t cases);

/// A dataset: row-major values and the extents.
template <class T>
struct Array {
  Shape shape;
  std::vector<T> values;

  /// Values per index of the leading axis.
  std::int64_t row_size() const { return shape[0] == 0 ? 0 : shape.size() / shape[0]; }
};

/// A group of an open file; the file stays open as long as one of its groups lives. Names are
/// paths relative to the group ("initial/conv2d/kernel"). Everything throws Error(bad_data) naming
/// file and object when it is not there or cannot be converted.
class Group {
 public:
  /// The root group of a file. Throws Error(missing_input) when it cannot be opened.
  static Group open(const std::filesystem::path& file);

  std::vector<std::string> groups() const;    ///< names of the child groups, sorted
  std::vector<std::string> datasets() const;  ///< names of the child datasets, sorted
  /// Paths of all datasets in this group and below, sorted.
  std::vector<std::string> all_datasets() const;
  bool contains(const std::string& name) const;  ///< a group or a dataset
  Group group(const std::string& name) const;

  Shape shape(const std::string& dataset) const;
  Array<float> floats(const std::string& dataset) const;
  Array<double> doubles(const std::string& dataset) const;
  Array<std::int64_t> ints(const std::string& dataset) const;
  std::vector<std::string> strings(const std::string& dataset) const;
  Tensor tensor(const std::string& dataset) const;
  /// One index of the leading axis.
  Tensor tensor(const std::string& dataset, std::int64_t row) const;

  // Attributes of this group, or of the object `of`.
  bool has_attribute(const std::string& name, const std::string& of = ".") const;
  std::int64_t integer(const std::string& name, const std::string& of = ".") const;
  bool flag(const std::string& name, const std::string& of = ".") const;
  double number(const std::string& name, const std::string& of = ".") const;
  std::vector<double> numbers(const std::string& name, const std::string& of = ".") const;
  std::string text(const std::string& name, const std::string& of = ".") const;
  std::vector<std::string> texts(const std::string& name, const std::string& of = ".") const;

  const std::string& path() const { return path_; }  ///< "FILE:/group", for messages

 private:
  struct Handle;
  Group(std::shared_ptr<Handle> handle, std::string path);

  std::shared_ptr<Handle> handle_;
  std::string path_;
};

}  // namespace perch::golden
