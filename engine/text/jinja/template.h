// A Jinja template as chat models bring them, rendered as Hugging Face's transformers does, within
// bounds: a template is a file of others and as hostile as any.
//
// What is supported is said in README.md. Immutable and thread-safe.
#ifndef SSMD_ENGINE_TEXT_JINJA_TEMPLATE_H_
#define SSMD_ENGINE_TEXT_JINJA_TEMPLATE_H_

#include <cstddef>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

struct Syntax;

inline constexpr size_t kMaxTemplateBytes = size_t{256} << 10;

struct RenderLimits {
  // What all work together may cost (budget.h): copied bytes, elements, steps. Some second of one
  // thread at most, and as many bytes of memory.
  size_t work = size_t{1} << 27;
  size_t output_bytes = size_t{16} << 20;
};

using Variables = std::vector<std::pair<std::string, Value>>;

class Template {
 public:
  // INVALID_ARGUMENT names the line and what is malformed, unknown or not supported.
  static absl::StatusOr<Template> Parse(std::string_view source);

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // `now` is what strftime_now shows. FAILED_PRECONDITION with the template's own words where it
  // calls raise_exception; INVALID_ARGUMENT, with the line, where it cannot be evaluated or passes
  // a limit. REQUIRES: the variables' texts are UTF-8.
  absl::StatusOr<Text> Render(const Variables& variables, const std::tm& now,
                              const RenderLimits& limits = {}) const;

  // Every text that the template itself has: what is outside of tags, and the strings in them.
  const std::vector<std::string>& literals() const;

 private:
  explicit Template(std::unique_ptr<const Syntax> syntax);

  std::unique_ptr<const Syntax> syntax_;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_TEMPLATE_H_
