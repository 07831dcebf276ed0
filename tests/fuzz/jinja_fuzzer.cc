// A template up to the first NUL, a caller's text behind it: the template is refused, or its
// rendering ends within its limits with UTF-8 whose origins lie in it, in order.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "engine/text/jinja/template.h"
#include "engine/text/utf8.h"

namespace {

using ssmd::jinja::Text;
using ssmd::jinja::Value;

constexpr ssmd::jinja::RenderLimits kLimits = {.work = size_t{1} << 20, .output_bytes = 1 << 16};

Value Message(std::string_view role, std::string_view content) {
  auto message = std::make_shared<ssmd::jinja::Dict>();
  message->Set(Value::String("role"), Value::String(role)).IgnoreError();
  message->Set(Value::String("content"), Value::String(Text(std::string(content), 1)))
      .IgnoreError();
  return Value::Of(std::shared_ptr<const ssmd::jinja::Dict>(std::move(message)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const std::string_view words = end == std::string_view::npos ? "hi" : input.substr(end + 1);
  if (ssmd::FindInvalidUtf8(words).has_value()) return 0;
  const auto parsed = ssmd::jinja::Template::Parse(input.substr(0, end));
  if (!parsed.ok()) return 0;
  const auto messages = ssmd::jinja::MakeSequence(
      {Message("system", words), Message("user", words), Message("assistant", "ok")});
  const auto text = parsed->Render({{"messages", *messages},
                                    {"bos_token", Value::String("<s>")},
                                    {"tools", Value::None()},
                                    {"add_generation_prompt", Value::Bool(true)}},
                                   {}, kLimits);
  if (!text.ok()) return 0;
  if (text->size() > kLimits.output_bytes) std::abort();
  if (ssmd::FindInvalidUtf8(text->bytes()).has_value()) std::abort();
  size_t done = 0;
  for (const Text::Run& run : text->runs()) {
    if (run.begin < done || run.end <= run.begin || run.end > text->size()) std::abort();
    if (run.origin != 1) std::abort();
    done = run.end;
  }
  return 0;
}
