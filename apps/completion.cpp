// perch completion: a script by which a shell completes commands, options and their words.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/check.h>

#include "commands.h"
#include "flags.h"
#include "option_settings.h"

using namespace perch;

namespace {

/// What the script asks of the command line, gathered from it.
struct Tables {
  std::string paths;    // patterns of a command and the one in it
  std::string values;   // cases of an option before the word
  std::string choices;  // cases of a command
};

void add(const CLI::App& app, const std::string& path, Tables& tables) {
  std::vector<std::string> words;
  for (const CLI::App* command : app.get_subcommands({})) {
    words.push_back(command->get_name());
    const std::string inner = fmt::format("{} {}", path, command->get_name());
    tables.paths += fmt::format("{}'{}'", tables.paths.empty() ? "" : " | ", inner);
    add(*command, inner, tables);
  }
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string> of_option = words_of(*option);
    if (option->get_positional()) words.insert(words.end(), of_option.begin(), of_option.end());
    for (const std::string& name : option->get_lnames()) {
      words.push_back("--" + name);
      if (is_flag(*option)) continue;
      tables.values +=
          fmt::format("    '{} --{}') words='{}' ;;\n", path, name, fmt::join(of_option, " "));
    }
  }
  tables.choices += fmt::format("      '{}') words='{}' ;;\n", path, fmt::join(words, " "));
}

std::string script(const CLI::App& root, const std::string& shell) {
  Tables tables;
  add(root, "perch", tables);
  std::string text = "# perch's completion for " + shell + "\n";
  if (shell == "zsh") text += "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n";
  text += "_perch() {\n";
  text += "  local word words='' path=perch at\n";
  text += "  local now=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n";
  text += "  for ((at = 1; at < COMP_CWORD; ++at)); do\n";
  text += "    word=\"${COMP_WORDS[at]}\"\n";
  text += "    case \"$path $word\" in\n";
  text += fmt::format("      {}) path=\"$path $word\" ;;\n", tables.paths);
  text += "    esac\n  done\n";
  text += "  case \"$path $before\" in\n" + tables.values;
  text += "    *)\n      case \"$path\" in\n" + tables.choices + "      esac ;;\n  esac\n";
  // Where nothing is offered, the shell offers files.
  text += "  COMPREPLY=($(compgen -W \"$words\" -- \"$now\"))\n}\n";
  text += "complete -o default -F _perch perch\n";
  return text;
}

}  // namespace

Command add_completion(CLI::App& parent) {
  auto shell = std::make_shared<std::string>();
  CLI::App* app = parent.add_subcommand("completion", "Print what lets a shell complete perch");
  app->footer(
      "Examples:\n  source <(perch completion bash)\n  perch completion zsh > ~/.zsh/perch.zsh");
  app->add_option("SHELL", *shell, "Which shell")->type_name("bash|zsh")->required();
  return {app, [shell, &parent](Output& output) {
            check_choice("shell", *shell, {"bash", "zsh"});
            const std::string text = script(parent, *shell);
            output.event({{"event", "result"}, {"shell", *shell}, {"script", text}});
            output.text(text);
          }};
}
