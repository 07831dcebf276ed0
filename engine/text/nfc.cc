// The character data is utf8proc's; the ordering and composing passes are ours, because the
// library's ordering takes quadratic time on a long run of marks, which any client can send, and
// because characters newer than Hugging Face's normaliser must be left alone (unicode.h).
#include "engine/text/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/text/unicode.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

// U+0300, the first character that normalisation can change or combine with what precedes it, is
// CC 80 in UTF-8. What lies below is already in form C.
constexpr unsigned char kFirstLeadOfInterest = 0xCC;

struct Mark {
  char32_t code_point = 0;
  uint8_t combining_class = 0;  // 0: a starter
};

Mark MakeMark(char32_t code_point) {
  if (IsUnknownToNormalizer(code_point)) return {code_point, 0};
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code_point));
  return {code_point, static_cast<uint8_t>(property->combining_class)};
}

void AppendDecomposed(char32_t code_point, std::vector<Mark>* marks) {
  constexpr int kLongest = 4;  // characters in a full canonical decomposition
  utf8proc_int32_t parts[kLongest];
  int boundary_class = 0;
  const utf8proc_ssize_t count =
      IsUnknownToNormalizer(code_point)
          ? 0
          : utf8proc_decompose_char(
                static_cast<utf8proc_int32_t>(code_point), parts, kLongest,
                static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE),
                &boundary_class);
  if (count <= 0 || count > kLongest) {
    marks->push_back({code_point, 0});
    return;
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    marks->push_back(MakeMark(static_cast<char32_t>(parts[i])));
  }
}

void OrderMarks(std::vector<Mark>* marks) {
  const auto is_starter = [](const Mark& mark) { return mark.combining_class == 0; };
  auto run = marks->begin();
  while (run != marks->end()) {
    run = std::find_if_not(run, marks->end(), is_starter);
    const auto end = std::find_if(run, marks->end(), is_starter);
    std::stable_sort(run, end, [](const Mark& a, const Mark& b) {
      return a.combining_class < b.combining_class;
    });
    run = end;
  }
}

std::optional<char32_t> ComposePair(char32_t first, char32_t second) {
  if (second < 0x300) return std::nullopt;
  utf8proc_int32_t pair[3] = {static_cast<utf8proc_int32_t>(first),
                              static_cast<utf8proc_int32_t>(second), 0};
  const utf8proc_ssize_t length = utf8proc_normalize_utf32(
      pair, 2, static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  const auto composed = static_cast<char32_t>(pair[0]);
  if (length != 1 || IsUnknownToNormalizer(composed)) return std::nullopt;
  return composed;
}

// Composes in place. A mark reaches the last starter unless one of its own or a higher class, or
// another starter, stands between (D115).
void Compose(std::vector<Mark>* marks) {
  Mark* starter = nullptr;
  size_t kept = 0;
  int last_class = -1;  // of what was kept since `starter`; -1: nothing
  for (const Mark mark : *marks) {
    if (starter != nullptr && last_class < mark.combining_class) {
      if (const auto composed = ComposePair(starter->code_point, mark.code_point)) {
        starter->code_point = *composed;
        continue;
      }
    }
    Mark* const place = &(*marks)[kept++];
    *place = mark;
    if (mark.combining_class == 0) {
      starter = place;
      last_class = -1;
    } else {
      last_class = mark.combining_class;
    }
  }
  marks->resize(kept);
}

bool MayChange(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= kFirstLeadOfInterest; });
}

}  // namespace

std::string NormalizeNfc(std::string_view text) {
  if (!MayChange(text)) return std::string(text);
  std::vector<Mark> marks;
  marks.reserve(text.size() / 2);
  for (size_t at = 0; at < text.size();) {
    const CodePoint next = DecodeUtf8(text, at);
    if (next.value < 0xC0) {
      marks.push_back({next.value, 0});
    } else {
      AppendDecomposed(next.value, &marks);
    }
    at += next.bytes;
  }
  OrderMarks(&marks);
  Compose(&marks);
  std::string result;
  result.reserve(text.size());
  for (const Mark& mark : marks) AppendUtf8(mark.code_point, &result);
  return result;
}

}  // namespace ssmd
