// Reads the eight known members of the CIFAR-10 archive. For sources of this room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace perch::datasets {

/// Writes the members, under names of our own and never by a path of the archive, into the new
/// folder `to`, and waits until they are on the disk. Other members are passed over. `stop` is
/// asked now and then. Throws Error(bad_data) when a member is missing, double, a link or of a
/// wrong size, Error(cannot_create), Error(io), Error(interrupted).
void unpack_cifar10(const std::filesystem::path& archive, const std::filesystem::path& to,
                    std::int64_t batch_file_size, const std::function<bool()>& stop);

}  // namespace perch::datasets
