#include <fmt/format.h>

#include <perch/experiments/html.h>

namespace perch::experiments::html {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string table(const Table& table) {
  constexpr std::size_t many = 6;
  std::string text = fmt::format(
      "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table{1}>"
      "<caption>{0}</caption><thead><tr>",
      escaped(table.caption), table.head.size() < many ? "" : " class=\"many\"");
  for (const std::string& name : table.head) {
    text += fmt::format("<th scope=\"col\">{}</th>", escaped(name));
  }
  text += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    text += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", row[i])
                     : fmt::format("<td>{}</td>", row[i]);
    }
    text += "</tr>\n";
  }
  return text + "</tbody></table></div>\n";
}

}  // namespace perch::experiments::html
