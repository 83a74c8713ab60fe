// SHA-256 of what is added, part by part.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace perch::datasets {

class Sha256 {
 public:
  /// Throws Error(failure) where OpenSSL cannot.
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(const void* data, std::size_t count);
  /// Of all that was added, as 64 hexadecimal digits; nothing may be added after.
  std::string digits();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_of(std::string_view text);

}  // namespace perch::datasets
