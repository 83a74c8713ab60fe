// Small pieces that several commands' flags share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/core/check.h>

namespace CLI {
class App;
class Option;
}  // namespace CLI
namespace perch {
class Trainer;
}

/// Throws Error(usage) naming the choices and the nearest unless `value` is one of them.
void check_choice(const std::string& option, const std::string& value,
                  const std::vector<std::string>& names);

/// Names of those that are on the command line.
std::vector<std::string> names_of_given(const std::vector<CLI::Option*>& options);

/// Runs what refuses a flag's value without knowing the flag.
template <class Step>
auto with_flag(const std::string& flag, const Step& step) {
  try {
    return step();
  } catch (const perch::Error& error) {
    perch::fail(perch::ErrorCode::usage, "{}: {}", flag, error.what());
  }
}

/// As --integer-forward or PERCH_INTEGER has it: "on", "off", "fast".
std::string integer_forward_name();

/// How the work is done; results do not depend on it but for the order of float sums.
class ComputeFlags {
 public:
  void add_to(CLI::App& app);
  /// Sets the thread count and the integer forward where their flags were given.
  void use() const;
  /// Turns fusion off when told so.
  void apply(perch::Trainer& trainer) const;

 private:
  std::optional<int> threads_;
  std::optional<std::string> integer_;
  bool no_fuse_ = false;
};
