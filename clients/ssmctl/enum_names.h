// Values of the wire's enums as words, for people and scripts.
#ifndef SSMD_CLIENTS_SSMCTL_ENUM_NAMES_H_
#define SSMD_CLIENTS_SSMCTL_ENUM_NAMES_H_

#include <string>
#include <string_view>

namespace ssmd::ctl {

// The name of an enum value without its prefix; the number of one that this program does not know.
std::string ShortName(const std::string& name, std::string_view prefix, int number);
std::string LowerCase(std::string text);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_ENUM_NAMES_H_
