// What commands put on stdout: events as JSON lines with --json, else text to read. Nothing else
// goes there.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

using Json = nlohmann::ordered_json;

class Output {
 public:
  explicit Output(bool json) : json_(json) {}

  bool json() const { return json_; }
  /// One line with --json, nothing without. Numbers that are not finite become null.
  /// Throws Error(io) when stdout does not take it.
  void event(const Json& event);
  /// Text without --json, nothing with it. Throws as event() does.
  void text(const std::string& text);

 private:
  void write(const std::string& text);
  bool json_;
};
