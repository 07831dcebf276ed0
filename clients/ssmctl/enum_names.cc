#include "clients/ssmctl/enum_names.h"

#include <cctype>

namespace ssmd::ctl {

std::string ShortName(const std::string& name, std::string_view prefix, int number) {
  if (name.compare(0, prefix.size(), prefix) != 0) return std::to_string(number);
  return name.substr(prefix.size());
}

std::string LowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace ssmd::ctl
