#include <algorithm>
#include <cstdlib>

#include <perch/core/check.h>
#include <perch/core/parallel.h>
#include <perch/datasets/cifar10.h>
#include <perch/datasets/file.h>

namespace perch::datasets {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t side = 32, channels = 3, plane = side * side;
constexpr std::int64_t image_bytes = channels * plane, record_bytes = 1 + image_bytes;
constexpr std::int64_t class_count = 10;
constexpr std::int64_t official_records = 10'000;

/// Whole records and at least one, or throws.
std::int64_t count_records(const fs::path& path, const File& file) {
  const std::int64_t size = file.size();
  if (size == 0)
    fail(ErrorCode::bad_data, "{}: is empty; remove it or copy it anew", path.string());
  if (size % record_bytes != 0) {
    fail(ErrorCode::bad_data,
         "{}: {} bytes are not whole records of {} bytes (one label, 3 x 32 x 32 pixels); the file "
         "is truncated or not CIFAR-10 in binary form, copy or fetch it anew",
         path.string(), size, record_bytes);
  }
  return size / record_bytes;
}

void check_label(const fs::path& path, std::int64_t record, std::int64_t label) {
  if (label < class_count) return;
  fail(ErrorCode::bad_data,
       "{}: label {} of record {} is over {}; the file is damaged, copy or fetch it anew",
       path.string(), label, record, class_count - 1);
}

/// Records as NHWC pixels and labels, which are not checked yet.
void read_records(const File& file, std::int64_t count, std::uint8_t* images,
                  std::int32_t* labels) {
  constexpr std::int64_t records_per_chunk = 64;
  const Chunks chunks(count, records_per_chunk);
  parallel_for(chunks.number(), [&](std::int64_t chunk) {
    const ChunkRange range = chunks[chunk];
    const auto records = std::make_unique_for_overwrite<std::uint8_t[]>(
        static_cast<std::size_t>(range.size() * record_bytes));
    file.read_at(range.begin * record_bytes, records.get(), range.size() * record_bytes);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::uint8_t* const record = records.get() + (i - range.begin) * record_bytes;
      labels[i] = record[0];
      const std::uint8_t* const planar = record + 1;
      std::uint8_t* const image = images + i * image_bytes;
      for (std::int64_t p = 0; p < plane; ++p) {
        for (std::int64_t c = 0; c < channels; ++c) image[p * channels + c] = planar[c * plane + p];
      }
    }
  });
}

Dataset load(const std::vector<fs::path>& paths) {
  std::vector<File> files;
  std::vector<std::int64_t> counts;
  std::int64_t total = 0;
  for (const fs::path& path : paths) {
    files.push_back(File::open(path));
    counts.push_back(count_records(path, files.back()));
    total += counts.back();
  }
  const std::shared_ptr<std::uint8_t[]> images(
      new std::uint8_t[static_cast<std::size_t>(total * image_bytes)]);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(total));
  std::int64_t first = 0;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    std::int32_t* const file_labels = labels.data() + first;
    read_records(files[i], counts[i], images.get() + first * image_bytes, file_labels);
    for (std::int64_t r = 0; r < counts[i]; ++r) check_label(paths[i], r, file_labels[r]);
    first += counts[i];
  }
  return from_memory(std::shared_ptr<const std::uint8_t[]>(images), std::move(labels),
                     {side, side, channels}, class_count);
}

std::vector<fs::path> batch_files(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("data_batch_") && name.ends_with(".bin")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Where the files are: the folder itself, or cifar-10-batches-bin/ in it.
fs::path batches_folder(const fs::path& folder) {
  const fs::path inner = folder / "cifar-10-batches-bin";
  return batch_files(folder).empty() && fs::is_directory(inner) ? inner : folder;
}

/// The folder to read: the argument's, PERCH_DATA_DIR's or the cache's, or Error(missing_input)
/// with the ways on.
fs::path folder_to_read(const fs::path& argument) {
  const char* const variable = std::getenv("PERCH_DATA_DIR");
  fs::path place = argument;
  std::string origin;
  if (place.empty() && variable != nullptr && *variable != '\0') {
    place = variable;
    origin = " (from PERCH_DATA_DIR)";
  } else if (place.empty()) {
    place = cache_folder();
    origin = " (the cache folder)";
  }
  if (!fs::is_directory(place)) {
    fail(ErrorCode::missing_input, "{}: there is no such folder{}; {}", place.string(), origin,
         ways_to_get_cifar10());
  }
  return batches_folder(place);
}

std::string verify_file(const fs::path& path) {
  const File file = File::open(path);
  const std::int64_t records = count_records(path, file);
  if (records != official_records) {
    fail(ErrorCode::bad_data, "{}: {} bytes, where the official file has {}; copy or fetch it anew",
         path.string(), file.size(), official_records * record_bytes);
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(records * record_bytes));
  file.read_at(0, bytes.data(), records * record_bytes);
  std::vector<std::int64_t> counts(class_count);
  for (std::int64_t r = 0; r < records; ++r) {
    const std::uint8_t label = bytes[static_cast<std::size_t>(r * record_bytes)];
    check_label(path, r, label);
    ++counts[label];
  }
  std::string line = fmt::format("{}: {} bytes, {} records, per class", path.filename().string(),
                                 file.size(), records);
  for (const std::int64_t count : counts) line += fmt::format(" {}", count);
  return line;
}

}  // namespace

TrainTest cifar10(const fs::path& folder) {
  const fs::path found = folder_to_read(folder);
  const std::vector<fs::path> batches = batch_files(found);
  if (batches.empty()) {
    fail(ErrorCode::missing_input, "{}: this folder has no data_batch_*.bin; {}", found.string(),
         ways_to_get_cifar10());
  }
  const fs::path test = found / "test_batch.bin";
  return {load(batches), fs::exists(test) ? load({test}) : Dataset()};
}

Dataset cifar10_file(const fs::path& file) {
  return load({file});
}

std::vector<std::string> verify_cifar10(const fs::path& folder) {
  const fs::path found = folder_to_read(folder);
  std::vector<std::string> findings;
  for (const std::string& name : cifar10_batch_files())
    findings.push_back(verify_file(found / name));
  return findings;
}

const std::vector<std::string>& cifar10_batch_files() {
  static const std::vector<std::string> names{"data_batch_1.bin", "data_batch_2.bin",
                                              "data_batch_3.bin", "data_batch_4.bin",
                                              "data_batch_5.bin", "test_batch.bin"};
  return names;
}

const std::vector<std::string>& cifar10_class_names() {
  static const std::vector<std::string> names{"airplane", "automobile", "bird",  "cat",  "deer",
                                              "dog",      "frog",       "horse", "ship", "truck"};
  return names;
}

fs::path cache_folder() {
  const auto variable = [](const char* name) -> fs::path {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  // The XDG specification has relative paths ignored.
  if (const fs::path cache = variable("XDG_CACHE_HOME"); cache.is_absolute()) {
    return cache / "perch";
  }
  return variable("HOME") / ".cache" / "perch";
}

std::string ways_to_get_cifar10() {
  return "name a folder that holds data_batch_*.bin with --data DIR or PERCH_DATA_DIR, or use the "
         "embedded subset datasets/cifar10_mini (installed under share/perch), or download with "
         "\"perch data fetch cifar10\" (--mirror URL where the official server is out of reach)";
}

}  // namespace perch::datasets
