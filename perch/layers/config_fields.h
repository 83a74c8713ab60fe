// How the layers report settings that are not plain numbers, and what they check. For this room's
// sources.
#pragma once

#include <string>
#include <string_view>

#include <perch/core/ops/pool.h>
#include <perch/core/visitor.h>

namespace perch {

/// As the list [height, width]. Throws Error(bad_data) when a loader puts in another length.
void visit_size(Visitor& visitor, std::string_view name, Size2D& value);
/// As "same" or "valid". Throws Error(bad_data) when a loader puts in something else.
void visit_padding(Visitor& visitor, std::string_view name, Padding& value);
/// As the list [top, bottom, left, right]. Throws Error(bad_data) as visit_size does.
void visit_pad(Visitor& visitor, std::string_view name, Pad2D& value);

/// Throws Error(usage) unless it is one of activation_names(), naming the nearest.
void check_activation(const std::string& name);
/// Throws Error(usage) unless both are at least 1.
void check_size(std::string_view what, Size2D size);

}  // namespace perch
