#include <algorithm>
#include <fstream>
#include <utility>

#include <perch/core/check.h>
#include <perch/io/hdf5_file.h>

namespace perch::io {

namespace {

constexpr std::uint64_t largest_file = std::uint64_t{4} << 30;
// Keras spends one or two KiB of structure on a layer; each is visited once or twice.
constexpr std::uint64_t least_structure_budget = 24 << 20;
// Half precision doubles in size, and a dataset may be read twice.
constexpr std::uint64_t values_per_byte = 4;
constexpr std::uint64_t least_values_budget = 1 << 20;
// What a node of a map takes beside the bytes that it names.
constexpr std::uint64_t kept_entry = 64;

// Names come from the file: what they may hold must not break an error's one line.
std::string printable(std::string text) {
  constexpr std::size_t head = 300, tail = 200;
  if (text.size() > head + tail) text.replace(head, text.size() - head - tail, "...");
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

H5File::H5File(std::string name, std::vector<std::byte> bytes)
    : name_(std::move(name)),
      bytes_(std::move(bytes)),
      structure_budget_(least_structure_budget + bytes_.size() / 4),
      values_budget_(least_values_budget + values_per_byte * bytes_.size()) {}

std::shared_ptr<H5File> H5File::read(const std::filesystem::path& file) {
  std::error_code error;
  const std::string name = file.string();
  const std::filesystem::file_status status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) {
    fail(ErrorCode::missing_input, "{}: no such file; check the path", name);
  }
  if (std::filesystem::is_directory(status)) {
    fail(ErrorCode::missing_input, "{}: is a folder; name the .h5 file in it", name);
  }
  if (!std::filesystem::is_regular_file(status)) {
    fail(ErrorCode::missing_input, "{}: is no regular file; name a .h5 file", name);
  }
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  if (error || !in) {
    fail(ErrorCode::missing_input, "{}: cannot be opened for reading; check its permissions", name);
  }
  if (size > largest_file) {
    fail(ErrorCode::bad_data, "{}: has {} bytes, more than any model; name a Keras .h5 file", name,
         size);
  }
  std::vector<std::byte> bytes(size);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (in.gcount() != static_cast<std::streamsize>(size)) {
    fail(ErrorCode::io, "{}: reading failed after {} bytes; try again", name, in.gcount());
  }
  return std::make_shared<H5File>(name, std::move(bytes));
}

H5Bytes H5File::view(std::uint64_t address, std::uint64_t count, std::string_view where) const {
  if (address > bytes_.size() || count > bytes_.size() - address) {
    damaged(
        fmt::format("{} points beyond the end of the file, to {} bytes at {}: truncated or "
                    "damaged",
                    where, count, address));
  }
  return H5Bytes(bytes_).subspan(address, count);
}

void H5File::charge(std::uint64_t bytes, std::string_view where) {
  if (bytes > structure_budget_) {
    damaged(fmt::format("{} has more structure than a file of {} bytes needs", where, size()));
  }
  structure_budget_ -= bytes;
}

void H5File::charge_values(std::uint64_t bytes, std::string_view where) {
  if (bytes > values_budget_) {
    damaged(fmt::format("{} and those before hold more values than a file of {} bytes can", where,
                        size()));
  }
  values_budget_ -= bytes;
}

const H5File::Collection& H5File::collection(std::uint64_t address, std::string_view where) {
  const auto known = collections_.find(address);
  if (known != collections_.end()) return known->second;
  constexpr std::uint64_t header = 16;
  H5Cursor front(*this, view(address, header, where), where);
  front.expect("GCOL");
  if (front.number(1) != 1) unsupported(where, "another version of global heaps");
  front.skip(3);
  const std::uint64_t size = front.number(8);
  charge(kept_entry, where);
  H5Cursor cursor(*this, view(address, std::max(size, header), where).subspan(header), where);
  Collection objects;
  // What is left of the collection is object 0, or too little for one.
  while (cursor.left().size() >= header) {
    charge(kept_entry, where);
    const std::uint64_t index = cursor.number(2);
    cursor.skip(6);
    const std::uint64_t bytes = cursor.number(8);
    if (index == 0) break;
    objects.emplace(index, cursor.take(bytes));
    cursor.skip(std::min<std::uint64_t>((8 - bytes % 8) % 8, cursor.left().size()));
  }
  return collections_.emplace(address, std::move(objects)).first->second;
}

H5Bytes H5File::heap_object(std::uint64_t address, std::uint64_t index, std::string_view where) {
  const Collection& objects = collection(address, where);
  const auto found = objects.find(index);
  if (found == objects.end()) {
    damaged(fmt::format("{} names a text that is not in the file", where));
  }
  return found->second;
}

void H5File::damaged(const std::string& problem) const {
  fail(ErrorCode::bad_data, "{}: {}; use an intact copy or save the model again", name_,
       printable(problem));
}

void H5File::unsupported(std::string_view where, const std::string& feature) const {
  fail(ErrorCode::bad_data,
       "{}: {}, which perch does not read; save it again with Keras or with h5py's default "
       "settings",
       name_, printable(fmt::format("{} has {}", where, feature)));
}

std::uint64_t H5Cursor::number(std::size_t bytes) {
  const H5Bytes taken = take(bytes);
  std::uint64_t value = 0;
  for (std::size_t i = taken.size(); i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint64_t>(taken[i]);
  }
  return value;
}

H5Bytes H5Cursor::take(std::uint64_t count) {
  if (count > left_.size()) {
    file_->damaged(fmt::format("{} ends too early: truncated or damaged", where_));
  }
  const H5Bytes taken = left_.first(count);
  left_ = left_.subspan(count);
  return taken;
}

void H5Cursor::expect(std::string_view signature) {
  const H5Bytes taken = take(signature.size());
  const std::string_view found(reinterpret_cast<const char*>(taken.data()), taken.size());
  if (found != signature) {
    file_->damaged(fmt::format("{} lacks the mark {}: truncated or damaged", where_, signature));
  }
}

std::string_view h5_text(H5Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(0, text.find('\0'));
}

}  // namespace perch::io
