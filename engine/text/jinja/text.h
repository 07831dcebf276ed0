// Text that knows who wrote it: the template, or a caller and where in the request.
//
// What callers write must never be read as a special token, however the template cuts, trims and
// joins it, so every operation on strings carries the origins along. (llama.cpp's engine marks its
// strings so too, and Hugging Face's tokenizers can; both by other means.)
#ifndef SSMD_ENGINE_TEXT_JINJA_TEXT_H_
#define SSMD_ENGINE_TEXT_JINJA_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace ssmd::jinja {

// 0 is the template; other numbers are the caller's values, as whoever renders counts them.
using Origin = uint32_t;
inline constexpr Origin kOfTemplate = 0;

class Text {
 public:
  struct Run {  // bytes [begin, end) are of `origin`, which is not the template
    size_t begin = 0;
    size_t end = 0;
    Origin origin = kOfTemplate;
  };

  Text() = default;
  explicit Text(std::string bytes, Origin origin = kOfTemplate);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // In order, without overlap; what lies between is the template's.
  absl::Span<const Run> runs() const { return runs_; }
  Origin OriginAt(size_t byte) const;
  // What it takes in memory, about.
  size_t cost() const { return bytes_.size() + runs_.size() * sizeof(Run); }

  // Marked by the filter `safe`: what is added to it with + is escaped for HTML, as Jinja does.
  bool markup() const { return markup_; }
  void set_markup(bool markup) { markup_ = markup; }

  void Append(std::string_view bytes, Origin origin);
  void Append(const Text& other) { Append(other, 0, other.size()); }
  void Append(const Text& other, size_t begin, size_t end);
  Text Slice(size_t begin, size_t end) const;

 private:
  void Mark(size_t begin, size_t end, Origin origin);

  std::string bytes_;
  std::vector<Run> runs_;
  bool markup_ = false;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_TEXT_H_
