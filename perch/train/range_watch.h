// Ranges that collapse or explode: told, with layer and channel.
#pragma once

#include <functional>
#include <string>

#include <perch/train/callback.h>

namespace perch {

/// After each epoch, tells of every quantizer whose ranges have since collapsed (to no width, or to
/// a millionth of the widest of the same tensor: all its values become one level) or exploded (not
/// finite, or a hundred times as wide as an epoch before), once for each range and kind. `tell`
/// gets one line without its end; by default it goes to stderr as a warning.
CallbackPtr range_watch(std::function<void(const std::string&)> tell = {});

}  // namespace perch
