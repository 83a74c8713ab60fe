// Counts large heap allocations, or lets one fail, of every thread and by whatever road (malloc and
// what calls it).
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

/// While it lives, the allocation of this number (0: the first) by this thread fails; one at a
/// time. Memory that exceptions are made of is spared.
class AllocationFailure {
 public:
  AllocationFailure(std::int64_t number, std::size_t minimum);
  ~AllocationFailure();
  AllocationFailure(const AllocationFailure&) = delete;
  AllocationFailure& operator=(const AllocationFailure&) = delete;

  /// Whether there was such an allocation.
  bool happened() const;
  static bool available() { return AllocationCounter::available(); }
};

}  // namespace perch::test
