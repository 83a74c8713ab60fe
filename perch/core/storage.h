// Float buffers from a size-keyed free list, so that a steady training step allocates nothing
// large.
#pragma once

#include <cstdint>
#include <memory>

namespace perch {

/// A 64-byte aligned, uninitialised buffer of `count` floats; returned to the free list when its
/// last owner goes. Thread-safe. Throws std::bad_alloc.
std::shared_ptr<float> allocate_floats(std::int64_t count);

/// The same for doubles, for partial sums, and for bytes, for codes.
std::shared_ptr<double> allocate_doubles(std::int64_t count);
std::shared_ptr<std::uint8_t> allocate_bytes(std::int64_t count);

/// Whether returned buffers wait in the free list, as they do unless told otherwise, or go back to
/// the system at once, so that checkers of memory see every buffer's end.
void keep_returned_buffers(bool keep);

/// Gives the free list's buffers back to the system.
void release_cached_buffers();

/// Bytes of all buffers, in use or in the free list: as nothing leaves it, the most that was needed
/// at once since release_cached_buffers(), or a little more.
std::int64_t held_bytes();

}  // namespace perch
