#include "clients/cpp/error.h"

#include "ssmd/v1/rpc_status.pb.h"

namespace ssmd::client {
namespace {

constexpr std::string_view kErrorInfo = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr std::string_view kRetryInfo = "type.googleapis.com/google.rpc.RetryInfo";

// Far above any sane delay; keeps hostile details from overflowing the arithmetic.
constexpr int64_t kRetrySecondsMax = 24 * 3600;

void AddDetails(const std::string& serialized, Error* error) {
  v1::RpcStatus status;
  if (!status.ParseFromString(serialized)) return;
  for (const auto& detail : status.details()) {
    if (detail.type_url() == kErrorInfo) {
      v1::ErrorInfo info;
      if (info.ParseFromString(detail.value())) error->reason = info.reason();
    } else if (detail.type_url() == kRetryInfo) {
      v1::RetryInfo info;
      if (!info.ParseFromString(detail.value())) continue;
      const auto& delay = info.retry_delay();
      if (delay.seconds() < 0 || delay.seconds() > kRetrySecondsMax || delay.nanos() < 0) continue;
      error->retry_after =
          std::chrono::milliseconds(delay.seconds() * 1000 + delay.nanos() / 1000000);
    }
  }
}

}  // namespace

std::string CodeName(grpc::StatusCode code) {
  static constexpr std::string_view kNames[] = {"OK",
                                                "CANCELLED",
                                                "UNKNOWN",
                                                "INVALID_ARGUMENT",
                                                "DEADLINE_EXCEEDED",
                                                "NOT_FOUND",
                                                "ALREADY_EXISTS",
                                                "PERMISSION_DENIED",
                                                "RESOURCE_EXHAUSTED",
                                                "FAILED_PRECONDITION",
                                                "ABORTED",
                                                "OUT_OF_RANGE",
                                                "UNIMPLEMENTED",
                                                "INTERNAL",
                                                "UNAVAILABLE",
                                                "DATA_LOSS",
                                                "UNAUTHENTICATED"};
  const int number = static_cast<int>(code);
  if (number < 0 || number >= static_cast<int>(std::size(kNames))) {
    return "CODE_" + std::to_string(number);
  }
  return std::string(kNames[number]);
}

std::string ToString(const Error& error) {
  std::string text = CodeName(error.code) + ": " + error.message;
  if (!error.reason.empty()) text += " (" + error.reason + ")";
  return text;
}

std::optional<Error> ErrorOf(const grpc::Status& status) {
  if (status.ok()) return std::nullopt;
  Error error{status.error_code(), status.error_message(), "", std::nullopt};
  if (!status.error_details().empty()) AddDetails(status.error_details(), &error);
  return error;
}

}  // namespace ssmd::client
