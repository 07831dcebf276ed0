// See config_file.h.
#include "server/config_file.h"

#include <iterator>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace ssmd::server {
namespace {

CLI::ConfigError ErrorAt(int line, const std::string& what) {
  return CLI::ConfigError(absl::StrCat("line ", line, ": ", what));
}

CLI::ConfigError ValueError(const std::map<std::string, int>& lines, const std::string& name,
                            const CLI::Option& option) {
  const std::string what = absl::StrCat("the value of ", option.get_name(),
                                        " is none that it takes: ", option.get_description());
  const auto line = lines.find(name);
  return line == lines.end() ? CLI::ConfigError(what) : ErrorAt(line->second, what);
}

// Null where there is no such option, or it is one for command lines alone (--help).
CLI::Option* FindOption(CLI::App* app, const std::string& name) {
  CLI::Option* option = app->get_option_no_throw("--" + name);
  if (option == nullptr) option = app->get_option_no_throw(name);
  return option != nullptr && option->get_configurable() ? option : nullptr;
}

bool IsFlag(const CLI::Option& option) { return option.get_expected_min() == 0; }

// Where each option is given first. Reads lines as CLI11 does, which does not say where they are.
std::map<std::string, int> FindLines(CLI::App* app, const std::string& text) {
  std::map<std::string, int> lines;
  std::istringstream input(text);
  std::string line;
  for (int number = 1; std::getline(input, line); ++number) {
    CLI::detail::trim(line);
    constexpr size_t kShortest = 3;  // CLI11 skips what is shorter
    if (line.size() < kShortest || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[' && line.back() == ']') throw ErrorAt(number, "there are no sections");
    const size_t equals = line.find('=');
    const bool bare = equals == std::string::npos;  // `insecure` is `insecure = true`
    std::string name = line.substr(0, bare ? line.find('#') : equals);
    CLI::detail::trim(name);
    CLI::detail::remove_quotes(name);
    const CLI::Option* option = FindOption(app, name);
    if (option == nullptr || (bare && !IsFlag(*option))) {
      throw ErrorAt(number,
                    "is not `name = value` with the name of a flag, dashes and not underscores in "
                    "it");
    }
    lines.try_emplace(name, number);
    if (bare) continue;
    std::string value = line.substr(equals + 1, line.find('#', equals) - equals - 1);
    CLI::detail::trim(value);
    if (value.size() < 2 || value.front() != '[') continue;
    while (value.back() != ']' && std::getline(input, line)) {
      ++number;
      value = CLI::detail::trim(line).empty() ? value : line;
    }
  }
  return lines;
}

}  // namespace

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  const std::string text{std::istreambuf_iterator<char>(input), {}};
  const std::map<std::string, int> lines = FindLines(app_, text);
  std::istringstream again(text);
  for (const CLI::ConfigItem& item : ConfigBase::from_config(again)) {
    CLI::Option* option = FindOption(app_, item.name);
    if (option == nullptr || !option->empty()) continue;
    try {
      if (IsFlag(*option)) {
        option->add_result(option->get_flag_value(item.name, to_flag(item)));
      } else {
        option->add_result(item.inputs);
      }
      option->run_callback();
    } catch (const CLI::ParseError&) {  // its text has the value
      throw ValueError(lines, item.name, *option);
    }
  }
  return {};
}

}  // namespace ssmd::server
