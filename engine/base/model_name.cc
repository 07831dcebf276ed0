#include "engine/base/model_name.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"

namespace ssmd {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr char kGgufExtension[] = ".gguf";

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
  return (normal.extension() == kGgufExtension ? normal.stem() : normal.filename()).string();
}

absl::Status NoSuchModel(std::string_view name) {
  const std::string which =
      IsModelName(name) ? absl::StrCat("named ", std::string(name)) : std::string("of that name");
  return WithReason(
      absl::NotFoundError(absl::StrCat("no model ", which, " is served: list the models")),
      reason::kModelNotFound);
}

}  // namespace ssmd
