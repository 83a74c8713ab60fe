#include <vector>

#include <perch/core/check.h>
#include <perch/core/ops/activation.h>
#include <perch/core/suggest.h>
#include <perch/layers/config_fields.h>

namespace perch {
namespace {

void visit_list(Visitor& visitor, std::string_view name, std::vector<std::int64_t>& list) {
  const std::size_t length = list.size();
  visitor.config(name, list);
  if (list.size() != length) {
    fail(ErrorCode::bad_data, "{}: needs {} numbers, got {}", name, length, list.size());
  }
}

}  // namespace

void visit_size(Visitor& visitor, std::string_view name, Size2D& value) {
  std::vector<std::int64_t> list{value.height, value.width};
  visit_list(visitor, name, list);
  value = {list[0], list[1]};
}

void visit_padding(Visitor& visitor, std::string_view name, Padding& value) {
  std::string text = value == Padding::same ? "same" : "valid";
  visitor.config(name, text);
  if (text != "same" && text != "valid") {
    fail(ErrorCode::bad_data, "{}: \"{}\" is neither \"same\" nor \"valid\"", name, text);
  }
  value = text == "same" ? Padding::same : Padding::valid;
}

void visit_pad(Visitor& visitor, std::string_view name, Pad2D& value) {
  std::vector<std::int64_t> list{value.top, value.bottom, value.left, value.right};
  visit_list(visitor, name, list);
  value = {.top = list[0], .bottom = list[1], .left = list[2], .right = list[3]};
}

void check_activation(const std::string& name) {
  index_of("activation", name, activation_names());
}

void check_size(std::string_view what, Size2D size) {
  PERCH_CHECK(size.height >= 1 && size.width >= 1, "{} {}x{} must be at least 1x1", what,
              size.height, size.width);
}

}  // namespace perch
