// Pieces of HTML. For sources of this room.
#pragma once

#include <string>
#include <vector>

namespace perch::experiments::html {

/// Text as content or attribute.
std::string escaped(const std::string& text);

struct Table {
  std::string caption;
  std::vector<std::string> head;               ///< text
  std::vector<std::vector<std::string>> rows;  ///< HTML; a row's first cell is its header
};
/// In a box that scrolls by itself where the page is too narrow.
std::string table(const Table& table);

}  // namespace perch::experiments::html
