// perch completion, in a real bash.
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

using namespace perch::test;
using Catch::Contains;

namespace {

/// What bash offers for the last of these words.
std::vector<std::string> offered(const std::string& script, const std::string& words) {
  const ProcessResult bash =
      run_process({"bash", "-c",
                   "source \"$0\"; COMP_WORDS=(" + words +
                       "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _perch; echo \"${COMPREPLY[*]}\"",
                   script});
  CHECK(bash.exit_code == 0);
  CHECK(bash.err.empty());
  std::istringstream out(bash.out);
  std::vector<std::string> found;
  for (std::string word; out >> word;) found.push_back(word);
  return found;
}

}  // namespace

TEST_CASE("a shell completes commands, options and their words") {
  const TestFolder folder;
  const std::string script = folder / "perch.bash";
  const ProcessResult made = run_perch({"completion", "bash"});
  CHECK(made.exit_code == 0);
  write_file(std::filesystem::path(script), made.out);
  using Words = std::vector<std::string>;
  CHECK(offered(script, "perch tr") == Words{"train"});
  CHECK(offered(script, "perch data f") == Words{"fetch"});
  CHECK(offered(script, "perch train --quantizer l") == Words{"last_value", "lsq", "lsq_plus"});
  CHECK(offered(script, "perch train --per-channel --on-non-finite ''") ==
        Words{"stop", "skip", "back"});
  CHECK(offered(script, "perch train mobilenet_v") == Words{"mobilenet_v1", "mobilenet_v2"});
  CHECK(offered(script, "perch train temp_net --checkp") == Words{"--checkpoint-every"});
  // Free values are left to the shell, which offers files.
  CHECK(offered(script, "perch train --data ''").empty());
  CHECK_THAT(run_perch({"completion", "zsh"}).out, Contains("bashcompinit"));
  check_error(run_perch({"completion", "fish"}), 2, {"fish", "bash", "zsh"});
}
