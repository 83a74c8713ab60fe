#include <perch/core/visitor.h>

namespace perch {

bool Visitor::has(std::string_view) const {
  return true;
}
void Visitor::config(std::string_view, bool&) {}
void Visitor::config(std::string_view, std::int64_t&) {}
void Visitor::config(std::string_view, float&) {}
void Visitor::config(std::string_view, std::string&) {}
void Visitor::config(std::string_view, std::vector<std::int64_t>&) {}
void Visitor::weight(std::string_view, Variable&) {}
void Visitor::buffer(std::string_view, Tensor&) {}
void Visitor::counter(std::string_view, std::int32_t&) {}
void Visitor::child(std::string_view, Visitable& child) {
  child.visit(*this);
}
void Visitor::part(std::string_view, Visitable& part) {
  part.visit(*this);
}

}  // namespace perch
