// Small pieces that several commands' flags share.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

/// Throws Error(usage) naming the choices and the nearest unless `value` is one of them.
void check_choice(const std::string& option, const std::string& value,
                  const std::vector<std::string>& names);

class ThreadsFlag {
 public:
  void add_to(CLI::App& app);
  /// Sets the thread count when --threads was given.
  void use() const;

 private:
  std::optional<int> threads_;
};
