// W3C Trace Context: the caller's trace, which goes on here.
// https://www.w3.org/TR/trace-context/
#ifndef SSMD_SERVER_TELEMETRY_TRACE_CONTEXT_H_
#define SSMD_SERVER_TELEMETRY_TRACE_CONTEXT_H_

#include <optional>
#include <string>
#include <string_view>

namespace ssmd::server {

inline constexpr char kTraceparent[] = "traceparent";

struct TraceContext {
  std::string trace_id;  // 32 hexadecimal digits, the caller's
  std::string span_id;   // 16, of this request here
  std::string flags;     // 2, the caller's

  std::string ToHeader() const;  // as a traceparent of what is called from here, and of the reply
};

// A new span of the trace that a `traceparent` names; nothing where it is none.
std::optional<TraceContext> ContinueTrace(std::string_view traceparent);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_TRACE_CONTEXT_H_
