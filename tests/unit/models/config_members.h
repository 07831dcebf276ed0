// A config.json for tests, from members that a test can change.
#ifndef SSMD_TESTS_UNIT_MODELS_CONFIG_MEMBERS_H_
#define SSMD_TESTS_UNIT_MODELS_CONFIG_MEMBERS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/formats/json.h"

namespace ssmd::testing {

using Members = std::map<std::string, std::string>;  // key → JSON; empty: leave the member out

inline JsonDocument ToJson(const Members& members) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : members) {
    if (!value.empty()) parts.push_back(absl::StrCat("\"", key, "\": ", value));
  }
  JsonLimits limits;
  limits.allow_non_finite = true;
  return *JsonDocument::Parse(absl::StrCat("{", absl::StrJoin(parts, ", "), "}"), "config.json",
                              limits);
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_MODELS_CONFIG_MEMBERS_H_
