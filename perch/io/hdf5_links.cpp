#include <algorithm>

#include <perch/core/check.h>
#include <perch/io/hdf5_links.h>

namespace perch::io {

namespace {

constexpr std::uint64_t kept_link = 64;

// The classic form: a B-tree whose leaves are tables of symbols, with the names in a heap.
class SymbolTable {
 public:
  SymbolTable(H5File& file, std::string_view where, H5Links& links)
      : file_(file), where_(where), links_(links) {}

  void read(H5Bytes message) {
    H5Cursor cursor(file_, message, where_);
    const std::uint64_t tree = cursor.address();
    read_heap(cursor.address());
    // Levels fall from node to child, so that no path is endless; the budget ends all others.
    std::vector<Node> pending{{tree, any_level}};
    while (!pending.empty()) {
      const Node node = pending.back();
      pending.pop_back();
      if (node.level == symbols_level) {
        read_symbols(node.address);
      } else {
        read_node(node, pending);
      }
    }
  }

 private:
  static constexpr int any_level = 256;
  static constexpr int symbols_level = -1;
  struct Node {
    std::uint64_t address;
    int level;
  };

  void read_heap(std::uint64_t address) {
    constexpr std::uint64_t size = 32;
    H5Cursor cursor(file_, file_.view(address, size, where_), where_);
    cursor.expect("HEAP");
    cursor.skip(4);
    const std::uint64_t bytes = cursor.number(8);
    cursor.skip(8);  // the first free piece
    names_ = file_.view(cursor.address(), bytes, where_);
  }

  void read_node(const Node& node, std::vector<Node>& pending) {
    constexpr std::uint64_t header = 24, key_and_child = 16;
    file_.charge(kept_link, where_);
    H5Cursor cursor(file_, file_.view(node.address, header, where_), where_);
    cursor.expect("TREE");
    const std::uint64_t type = cursor.number(1);
    const auto level = static_cast<int>(cursor.number(1));
    const std::uint64_t count = cursor.number(2);
    if (type != 0 || (node.level != any_level && level != node.level)) {
      file_.damaged(fmt::format("{} has a damaged index of names", where_));
    }
    H5Cursor children(file_, file_.view(node.address + header, count * key_and_child, where_),
                      where_);
    file_.charge(count * key_and_child, where_);
    for (std::uint64_t i = 0; i < count; ++i) {
      children.skip(8);
      pending.push_back({children.address(), level - 1});
    }
  }

  void read_symbols(std::uint64_t address) {
    constexpr std::uint64_t header = 8, entry = 40;
    file_.charge(kept_link, where_);
    H5Cursor front(file_, file_.view(address, header, where_), where_);
    front.expect("SNOD");
    front.skip(2);
    const std::uint64_t count = front.number(2);
    H5Cursor cursor(file_, file_.view(address + header, count * entry, where_), where_);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t name = cursor.number(8);
      H5Link link;
      link.address = cursor.address();
      constexpr std::uint64_t soft = 2;
      link.hard = cursor.number(4) != soft && link.address != h5_nowhere;
      cursor.skip(20);
      if (name >= names_.size()) {
        file_.damaged(fmt::format("{} has a member whose name is not in the file", where_));
      }
      link.name = h5_text(names_.subspan(name));
      file_.charge(kept_link + link.name.size(), where_);
      links_.push_back(link);
    }
  }

  H5File& file_;
  std::string_view where_;
  H5Links& links_;
  H5Bytes names_;
};

H5Link read_link_message(const H5File& file, H5Bytes message, std::string_view where) {
  H5Cursor cursor(file, message, where);
  if (cursor.number(1) != 1) file.unsupported(where, "another version of link messages");
  const std::uint64_t flags = cursor.number(1);
  const std::uint64_t kind = (flags & 0x08) != 0 ? cursor.number(1) : 0;
  if ((flags & 0x04) != 0) cursor.skip(8);  // order of creation
  if ((flags & 0x10) != 0) cursor.skip(1);  // character set
  const std::uint64_t length = cursor.number(std::size_t{1} << (flags & 3));
  H5Link link;
  link.name = h5_text(cursor.take(length));
  link.hard = kind == 0;
  if (link.hard) link.address = cursor.address();
  return link;
}

// The form of libver='latest': a message per link, or a heap when they are many.
void read_link_messages(H5File& file, const H5Messages& messages, std::string_view where,
                        H5Links& links) {
  for (const H5Message& message : messages) {
    if (message.kind == H5MessageKind::link_info) {
      H5Cursor cursor(file, message.body, where);
      cursor.skip(1);
      if ((cursor.number(1) & 1) != 0) cursor.skip(8);  // the largest order of creation
      if (cursor.address() != h5_nowhere) {
        file.unsupported(where, "its many members in a heap (libver='latest')");
      }
    }
    if (message.kind != H5MessageKind::link) continue;
    if (message.shared) file.unsupported(where, "a shared link message");
    const H5Link link = read_link_message(file, message.body, where);
    file.charge(kept_link + link.name.size(), where);
    links.push_back(link);
  }
}

}  // namespace

H5Links read_links(H5File& file, const H5Messages& messages, std::string_view where) {
  H5Links links;
  if (const H5Message* table = find_message(file, messages, H5MessageKind::symbol_table, where)) {
    SymbolTable(file, where, links).read(table->body);
  } else if (find_message(file, messages, H5MessageKind::link_info, where) != nullptr) {
    read_link_messages(file, messages, where, links);
  } else {
    file.damaged(fmt::format("{} is not a readable group", where));
  }
  std::ranges::sort(links, {}, &H5Link::name);
  return links;
}

const H5Link* find_link(const H5Links& links, std::string_view name) {
  const auto found = std::ranges::lower_bound(links, name, {}, &H5Link::name);
  return found != links.end() && found->name == name ? &*found : nullptr;
}

}  // namespace perch::io
