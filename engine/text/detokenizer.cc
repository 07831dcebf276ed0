#include "engine/text/detokenizer.h"

#include "engine/text/utf8.h"

namespace ssmd {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

std::string Detokenizer::Push(std::string_view bytes) {
  held_.append(bytes);
  std::string text;
  text.reserve(held_.size());
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Step step = NextUtf8(rest);
    if (step.kind == Utf8Kind::kIncomplete) break;
    text.append(step.kind == Utf8Kind::kCharacter ? rest.substr(0, step.bytes) : kReplacement);
    rest.remove_prefix(step.bytes);
  }
  held_.erase(0, held_.size() - rest.size());
  return text;
}

std::string Detokenizer::Flush() {
  // An incomplete character is a single maximal ill-formed sequence.
  std::string text(held_.empty() ? std::string_view() : kReplacement);
  held_.clear();
  return text;
}

}  // namespace ssmd
