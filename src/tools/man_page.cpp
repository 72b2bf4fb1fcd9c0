// The manual, in roff's man macros. Source: man(7), groff_man_style(7).
#include <fmt/format.h>

#include "terrazzo/version.h"
#include "tools/command_tree.hpp"
#include "tools/variables.hpp"

namespace terrazzo::tools {
namespace {

/// Text as roff prints it: no escapes or requests by chance, and hyphens that can be copied.
std::string roff(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '\\') out += "\\e";
    else if (letter == '-') out += "\\-";
    else if ((letter == '.' || letter == '\'') && (out.empty() || out.back() == '\n'))
      out += std::string("\\&") + letter;
    else if (letter == '\'') out += "\\(aq";
    else out += letter;
  }
  return out;
}

std::string bold(const std::string& text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + roff(text) + "\\fR"; }

/// Begins with a capital and ends with a full stop, as the sentence that help does without.
std::string sentence(const std::string& clause) {
  std::string text = clause;
  if (text.empty()) return text;
  if (text[0] >= 'a' && text[0] <= 'z' && !text.starts_with("cuBLAS")) text[0] = static_cast<char>(text[0] - 'a' + 'A');
  if (text.back() != '.') text += '.';
  return roff(text);
}

std::string synopsis(const command_entry& command) {
  std::string text = bold(command.words);
  if (!command.options.empty()) text += " [" + italic("options") + "]";
  for (const option_entry& one : command.arguments)
    text += one.is_required ? " " + italic(one.value) : " [" + italic(one.value) + "]";
  if (!command.commands.empty()) text += " " + italic("command");
  return text;
}

std::string tag(const option_entry& option) {
  std::string text;
  for (const std::string& name : option.names) text += (text.empty() ? "" : ", ") + bold(name);
  if (!option.value.empty()) text += (text.empty() ? "" : " ") + italic(option.value);
  return text;
}

void add_options(const command_entry& command, std::string& out) {
  for (const std::vector<option_entry>* list : {&command.arguments, &command.options}) {
    for (const option_entry& one : *list) out += fmt::format(".TP\n{}\n{}\n", tag(one), sentence(one.description));
  }
}

struct exit_entry {
  int code;
  const char* meaning;
};

constexpr exit_entry exit_codes[] = {
    {0, "All is well."},
    {1, "Something is wrong, or there is not enough memory."},
    {2, "The command line, or what it names, cannot be understood."},
};

}  // namespace

std::string make_man_page(const command_entry& root) {
  std::string out =
      fmt::format(".\\\" Made by `terrazzo generate man`.\n.TH TERRAZZO 1 \"\" \"terrazzo {}\" \"User Commands\"\n",
                  TERRAZZO_VERSION_STRING);
  out += ".SH NAME\nterrazzo \\- look into GPU memory, cuBLAS, and the settings of both\n.SH SYNOPSIS\n";
  bool first = true;
  for (const command_entry* one : flatten(root)) {
    if (!one->commands.empty() && one != &root) continue;  // it does nothing by itself
    out += fmt::format("{}{}\n", first ? "" : ".br\n", synopsis(*one));
    first = false;
  }
  out += ".SH DESCRIPTION\n" + sentence(root.description) +
         "\nNothing but the command\\(aqs answer goes to standard output, and with\n" + bold("--json") +
         "\nthat is one JSON document; errors and warnings go to standard error.\n";
  out += ".SH OPTIONS\n";
  add_options(root, out);
  out += ".SH COMMANDS\n";
  for (const command_entry* one : flatten(root)) {
    if (one == &root) continue;
    out += fmt::format(".SS {}\n{}\n", roff(one->words), sentence(one->description));
    if (!one->footer.empty()) out += sentence(one->footer) + "\n";
    add_options(*one, out);
  }
  out += ".SH EXIT STATUS\n";
  for (const exit_entry& one : exit_codes) out += fmt::format(".TP\n.B {}\n{}\n", one.code, roff(one.meaning));
  out += ".SH ENVIRONMENT\n";
  for (const own_variable& one : own_variables())
    out += fmt::format(".TP\n.B {}\n{}\n", roff(one.name), sentence(one.meaning));
  for (const variable_info& one : other_variables()) {
    if (std::string(one.owner) == "nobody") continue;
    out += fmt::format(".TP\n.B {}\n{}\n", roff(one.name),
                       sentence(fmt::format("{}; read by {}", one.purpose, one.owner)));
  }
  out += ".SH SEE ALSO\n.BR nvidia\\-smi (1)\n";
  return out;
}

}  // namespace terrazzo::tools
