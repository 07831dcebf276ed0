#include "engine/text/jinja/template.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/parser.h"
#include "engine/text/utf8.h"

namespace ssmd::jinja {

Template::Template(std::unique_ptr<const Syntax> syntax) : syntax_(std::move(syntax)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

absl::StatusOr<Template> Template::Parse(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", source.size(), " bytes; the limit is ", kMaxTemplateBytes));
  }
  if (const auto invalid = FindInvalidUtf8(source)) {
    return absl::InvalidArgumentError(absl::StrCat("is not UTF-8 at byte ", *invalid));
  }
  SSMD_ASSIGN_OR_RETURN(Syntax syntax, jinja::Parse(source));
  return Template(std::make_unique<const Syntax>(std::move(syntax)));
}

absl::StatusOr<Text> Template::Render(const Variables& variables, const std::tm& now,
                                      const RenderLimits& limits) const {
  Context context{Budget(limits.work), now, {}};
  Evaluator evaluator(&context, limits.output_bytes);
  for (const auto& [name, value] : variables) evaluator.Define(name, value);
  auto text = evaluator.Run(syntax_->body);
  if (text.ok() || absl::IsFailedPrecondition(text.status())) return text;
  return ErrorInLine(evaluator.line(),
                     {text.status().message().data(), text.status().message().size()});
}

const std::vector<std::string>& Template::literals() const { return syntax_->literals; }

}  // namespace ssmd::jinja
