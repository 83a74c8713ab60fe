#include <algorithm>

#include <perch/core/check.h>
#include <perch/io/hdf5_object.h>

namespace perch::io {

namespace {

constexpr std::string_view signature{"\x89HDF\r\n\x1a\n", 8};
constexpr std::size_t most_blocks = 4096;
constexpr std::uint64_t kept_message = 48;
constexpr std::size_t checksum = 4;

// A part of an object header: the one at its address, or a continuation.
struct Block {
  std::uint64_t address;
  H5Bytes messages;
};

class HeaderReader {
 public:
  HeaderReader(H5File& file, std::string_view where) : file_(file), where_(where) {}

  H5Messages read(std::uint64_t address) {
    blocks_.push_back(first_block(address));
    for (std::size_t i = 0; i < blocks_.size(); ++i) read_block(blocks_[i].messages);
    return std::move(messages_);
  }

 private:
  Block first_block(std::uint64_t address) {
    const H5Bytes front = file_.view(address, 4, where_);
    modern_ = h5_text(front) == "OHDR";
    return {address, modern_ ? modern_block(address) : classic_block(address)};
  }

  H5Bytes classic_block(std::uint64_t address) {
    constexpr std::uint64_t prefix = 16;
    H5Cursor cursor(file_, file_.view(address, prefix, where_), where_);
    if (cursor.number(1) != 1) {
      file_.damaged(fmt::format("{} has no object header: truncated or damaged", where_));
    }
    cursor.skip(1);
    expected_ = cursor.number(2);
    cursor.skip(4);
    return file_.view(address + prefix, cursor.number(4), where_);
  }

  H5Bytes modern_block(std::uint64_t address) {
    constexpr std::uint64_t longest_prefix = 6 + 16 + 4 + 8;
    const std::uint64_t left = file_.size() - address;  // view() of the mark has checked it
    H5Cursor cursor(file_, file_.view(address, std::min(left, longest_prefix), where_), where_);
    cursor.expect("OHDR");
    if (cursor.number(1) != 2) file_.unsupported(where_, "another version of object headers");
    const std::uint64_t flags = cursor.number(1);
    creation_order_ = (flags & 0x04) != 0;
    if ((flags & 0x20) != 0) cursor.skip(16);  // times
    if ((flags & 0x10) != 0) cursor.skip(4);   // when to change from compact to dense storage
    const std::uint64_t size = cursor.number(std::size_t{1} << (flags & 3));
    const std::uint64_t prefix = std::min(left, longest_prefix) - cursor.left().size();
    return file_.view(address + prefix, size, where_);
  }

  void read_block(H5Bytes bytes) {
    H5Cursor cursor(file_, bytes, where_);
    const std::size_t header = modern_ ? (creation_order_ ? 6 : 4) : 8;
    // A classic header counts its messages; a modern one may end with a gap too small for one.
    while (cursor.left().size() >= header && (modern_ || seen_ < expected_)) {
      file_.charge(kept_message, where_);
      ++seen_;
      H5Message message;
      const std::uint64_t kind = cursor.number(modern_ ? 1 : 2);
      const std::uint64_t size = cursor.number(2);
      const std::uint64_t flags = cursor.number(1);
      cursor.skip(header - (modern_ ? 4 : 5));
      message.body = cursor.take(size);
      if (kind == 0 || kind > 0xff) continue;  // a gap, or nothing that the format knows
      if ((flags & 0x80) != 0 && kind > 0x18) {
        file_.unsupported(where_, fmt::format("a message of kind {} that must be known", kind));
      }
      message.kind = static_cast<H5MessageKind>(kind);
      message.shared = (flags & 0x02) != 0;
      if (message.kind == H5MessageKind::continuation) {
        add_continuation(message.body);
      } else {
        messages_.push_back(message);
      }
    }
  }

  void add_continuation(H5Bytes body) {
    H5Cursor cursor(file_, body, where_);
    const std::uint64_t address = cursor.address();
    const std::uint64_t size = cursor.number(8);
    const bool known =
        std::ranges::any_of(blocks_, [&](const Block& block) { return block.address == address; });
    if (known || blocks_.size() == most_blocks) {
      file_.damaged(fmt::format("{} has an object header that does not end", where_));
    }
    H5Bytes block = file_.view(address, size, where_);
    if (modern_) {
      H5Cursor inside(file_, block, where_);
      inside.expect("OCHK");
      block = inside.take(inside.left().size() - std::min(inside.left().size(), checksum));
    }
    blocks_.push_back({address, block});
  }

  H5File& file_;
  std::string_view where_;
  bool modern_ = false;
  bool creation_order_ = false;
  std::uint64_t expected_ = 0;
  std::uint64_t seen_ = 0;
  std::vector<Block> blocks_;
  H5Messages messages_;
};

void check_widths(const H5File& file, std::uint64_t addresses, std::uint64_t lengths) {
  if (addresses != 8 || lengths != 8) {
    file.unsupported("the file",
                     fmt::format("addresses of {} and lengths of {} bytes", addresses, lengths));
  }
}

}  // namespace

std::uint64_t root_address(const H5File& file) {
  constexpr std::string_view where = "the superblock";
  const H5Bytes start = file.view(0, std::min<std::uint64_t>(file.size(), 128), where);
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  if (!text.starts_with(signature)) {
    file.damaged("is not an HDF5 file, which a Keras .h5 model is");
  }
  H5Cursor cursor(file, start, where);
  cursor.skip(signature.size());
  const std::uint64_t version = cursor.number(1);
  if (version > 3) file.unsupported(where, fmt::format("version {}", version));
  const bool classic = version < 2;
  if (classic) cursor.skip(4);
  const std::uint64_t addresses = cursor.number(1);
  check_widths(file, addresses, cursor.number(1));
  cursor.skip(classic ? (version == 0 ? 9 : 13) : 1);
  const std::uint64_t base = cursor.address();
  cursor.skip(8);
  const std::uint64_t end = cursor.address();
  if (base != 0) file.unsupported(where, "a base address");
  if (end > file.size()) {
    file.damaged(fmt::format("has {} of {} bytes: it is truncated", file.size(), end));
  }
  if (classic) cursor.skip(16);  // driver information, and the name of the root group's entry
  return cursor.address();
}

H5Messages read_messages(H5File& file, std::uint64_t address, std::string_view where) {
  return HeaderReader(file, where).read(address);
}

const H5Message* find_message(const H5File& file, const H5Messages& messages, H5MessageKind kind,
                              std::string_view where) {
  const auto found = std::ranges::find(messages, kind, &H5Message::kind);
  if (found == messages.end()) return nullptr;
  if (found->shared) file.unsupported(where, "a shared header message (a committed type)");
  return &*found;
}

}  // namespace perch::io
