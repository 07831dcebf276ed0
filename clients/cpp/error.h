// What went wrong with a call, as a value: the canonical gRPC code, the server's message, and the
// machine-readable details that ssmd sends in "grpc-status-details-bin" (the reason of
// google.rpc.ErrorInfo, the delay of google.rpc.RetryInfo).
//
// Plain values; nothing here throws.
#ifndef SSMD_CLIENTS_CPP_ERROR_H_
#define SSMD_CLIENTS_CPP_ERROR_H_

#include <grpcpp/support/status.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace ssmd::client {

struct Error {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string message;
  // Upper snake case and stable (QUEUE_FULL, SESSION_BUSY, …); empty when the server named none.
  std::string reason;
  // How long the server asks to wait before the next try.
  std::optional<std::chrono::milliseconds> retry_after;
};

// "NOT_FOUND"; a code that has no name is "CODE_<number>".
std::string CodeName(grpc::StatusCode code);

// "NOT_FOUND: no such model (MODEL_NOT_FOUND)".
std::string ToString(const Error& error);

// Empty for OK. Details that cannot be decoded are left out: the code and the message stay.
std::optional<Error> ErrorOf(const grpc::Status& status);

// A value or the Error that took its place.
template <typename T>
class Result {
 public:
  Result(T value) : data_(std::move(value)) {}      // NOLINT: meant to be implicit
  Result(Error error) : data_(std::move(error)) {}  // NOLINT: meant to be implicit

  bool ok() const { return std::holds_alternative<T>(data_); }
  // REQUIRES: ok().
  const T& value() const& { return std::get<T>(data_); }
  T&& value() && { return std::get<T>(std::move(data_)); }
  // REQUIRES: !ok().
  const Error& error() const { return std::get<Error>(data_); }

 private:
  std::variant<T, Error> data_;
};

}  // namespace ssmd::client

#endif  // SSMD_CLIENTS_CPP_ERROR_H_
