// Counts large heap allocations, of every thread and by whatever road (malloc and what calls it).
#pragma once

#include <cstddef>
#include <cstdint>

namespace perch::test {

/// Counts allocations of at least `minimum` bytes while it lives. One at a time.
class AllocationCounter {
 public:
  explicit AllocationCounter(std::size_t minimum = 4096);
  ~AllocationCounter();
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  std::int64_t count() const;
  std::size_t largest() const;  ///< bytes

  /// False where the C library's allocator cannot be replaced (sanitizers bring their own).
  static bool available();
};

}  // namespace perch::test
