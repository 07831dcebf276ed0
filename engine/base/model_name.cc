#include "engine/base/model_name.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/errors.h"

namespace ssmd {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr size_t kNamesListedMax = 10;
constexpr std::string_view kFileEndings[] = {".gguf", ".bin", ".pth"};

}  // namespace

bool IsModelName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

std::string ModelNameOf(std::string_view path) {
  std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();  // "dir/"
  const bool of_a_file = std::find(std::begin(kFileEndings), std::end(kFileEndings),
                                   normal.extension()) != std::end(kFileEndings);
  return (of_a_file ? normal.stem() : normal.filename()).string();
}

std::string ListModelNames(const std::vector<std::string>& names) {
  const size_t listed = std::min(names.size(), kNamesListedMax);
  std::string list =
      absl::StrJoin(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(listed), ", ");
  if (listed < names.size()) absl::StrAppend(&list, " and ", names.size() - listed, " more");
  return list;
}

absl::Status NoSuchModel(std::string_view name) {
  const std::string which =
      IsModelName(name) ? absl::StrCat("named ", std::string(name)) : std::string("of that name");
  return WithReason(
      absl::NotFoundError(absl::StrCat("no model ", which, " is served: list the models")),
      reason::kModelNotFound);
}

}  // namespace ssmd
