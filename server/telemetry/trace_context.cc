// See trace_context.h.
#include "server/telemetry/trace_context.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/secure_random.h"

namespace ssmd::server {
namespace {

// version "-" trace-id "-" parent-id "-" flags
constexpr size_t kTraceAt = 3;
constexpr size_t kTraceDigits = 32;
constexpr size_t kParentAt = 36;
constexpr size_t kParentDigits = 16;
constexpr size_t kFlagsAt = 53;
constexpr size_t kBytes = 55;

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::string TraceContext::ToHeader() const {
  return absl::StrCat("00-", trace_id, "-", span_id, "-", flags);
}

std::optional<TraceContext> ContinueTrace(std::string_view traceparent) {
  if (traceparent.size() < kBytes) return std::nullopt;
  const std::string_view version = traceparent.substr(0, 2);
  // Later versions may have more behind.
  const bool whole =
      traceparent.size() == kBytes || (version != "00" && traceparent[kBytes] == '-');
  const bool parts = traceparent[kTraceAt - 1] == '-' && traceparent[kParentAt - 1] == '-' &&
                     traceparent[kFlagsAt - 1] == '-';
  const std::string_view trace = traceparent.substr(kTraceAt, kTraceDigits);
  const std::string_view flags = traceparent.substr(kFlagsAt, 2);
  if (!whole || !parts || !IsHex(version) || version == "ff" || !IsId(trace) ||
      !IsId(traceparent.substr(kParentAt, kParentDigits)) || !IsHex(flags)) {
    return std::nullopt;
  }
  TraceContext context;
  context.trace_id = std::string(trace);
  context.span_id = absl::StrFormat("%016x", SecureRandom64() | 1);  // never all zero
  context.flags = std::string(flags);
  return context;
}

}  // namespace ssmd::server
