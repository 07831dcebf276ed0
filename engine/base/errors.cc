#include "engine/base/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace ssmd {
namespace {

constexpr std::string_view kReasonUrl = "ssmd/reason";
constexpr std::string_view kRetryUrl = "ssmd/retry_after_ms";

}  // namespace

absl::Status WithReason(absl::Status status, std::string_view reason) {
  status.SetPayload(absl::string_view(kReasonUrl), absl::Cord(absl::string_view(reason)));
  return status;
}

absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay) {
  status.SetPayload(absl::string_view(kRetryUrl), absl::Cord(absl::StrCat(delay.count())));
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(absl::string_view(kReasonUrl));
  return payload.has_value() ? std::string(*payload) : std::string();
}

std::optional<std::chrono::milliseconds> RetryAfterOf(const absl::Status& status) {
  const auto payload = status.GetPayload(absl::string_view(kRetryUrl));
  int64_t milliseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(milliseconds);
}

}  // namespace ssmd
