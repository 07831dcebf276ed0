// What a model may be called, and the error for one that is not served.
#ifndef SSMD_ENGINE_BASE_MODEL_NAME_H_
#define SSMD_ENGINE_BASE_MODEL_NAME_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace ssmd {

// 1 to 128 characters of A-Z a-z 0-9 . _ -: fit for a label, a log line and an error message.
bool IsModelName(std::string_view name);

// What a model is called whose name nobody gave: the last component of its path, without the ending
// of a model that is one file (.gguf, .bin or .pth). It need not be a model's name.
std::string ModelNameOf(std::string_view path);

// "a, b", of at most some ten: the names to choose from, for an error message.
std::string ListModelNames(const std::vector<std::string>& names);

// NOT_FOUND. Repeats the name that a caller asked for only where it could be one.
absl::Status NoSuchModel(std::string_view name);

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_MODEL_NAME_H_
