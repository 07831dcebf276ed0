#include "clients/cpp/error.h"

#include <gtest/gtest.h>

#include "ssmd/v1/rpc_status.pb.h"

namespace ssmd::client {
namespace {

std::string Details(const google::protobuf::Message& detail, const std::string& type) {
  v1::RpcStatus status;
  auto* any = status.add_details();
  any->set_type_url("type.googleapis.com/google.rpc." + type);
  any->set_value(detail.SerializeAsString());
  return status.SerializeAsString();
}

std::optional<Error> Decode(const std::string& details) {
  return ErrorOf(grpc::Status(grpc::StatusCode::ABORTED, "no", details));
}

TEST(Error, OkIsNoError) { EXPECT_FALSE(ErrorOf(grpc::Status::OK).has_value()); }

TEST(Error, KeepsCodeAndMessageWithoutDetails) {
  const auto error = ErrorOf(grpc::Status(grpc::StatusCode::NOT_FOUND, "no such model"));
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ToString(*error), "NOT_FOUND: no such model");
  EXPECT_FALSE(error->retry_after.has_value());
}

TEST(Error, DecodesTheReason) {
  v1::ErrorInfo info;
  info.set_reason("SESSION_BUSY");
  info.set_domain("ssmd");
  const auto error = Decode(Details(info, "ErrorInfo"));
  EXPECT_EQ(error->reason, "SESSION_BUSY");
  EXPECT_EQ(ToString(*error), "ABORTED: no (SESSION_BUSY)");
}

TEST(Error, DecodesTheRetryDelay) {
  v1::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(2);
  info.mutable_retry_delay()->set_nanos(250'000'000);
  EXPECT_EQ(Decode(Details(info, "RetryInfo"))->retry_after, std::chrono::milliseconds(2250));
}

TEST(Error, LeavesOutADelayThatMakesNoSense) {
  for (const int64_t seconds : {int64_t{-1}, int64_t{1} << 62}) {
    v1::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(seconds);
    EXPECT_FALSE(Decode(Details(info, "RetryInfo"))->retry_after.has_value()) << seconds;
  }
}

TEST(Error, KeepsTheErrorWhenDetailsCannotBeDecoded) {
  for (const std::string details : {"\xff\xff\xff", "x", "\x1a\x7f"}) {
    const auto error = Decode(details);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->message, "no");
    EXPECT_TRUE(error->reason.empty());
  }
  v1::ErrorInfo info;
  info.set_reason("X");
  EXPECT_TRUE(Decode(Details(info, "Unknown"))->reason.empty());
}

TEST(Error, NamesEveryCode) {
  EXPECT_EQ(CodeName(grpc::StatusCode::OK), "OK");
  EXPECT_EQ(CodeName(grpc::StatusCode::RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(CodeName(grpc::StatusCode::UNAUTHENTICATED), "UNAUTHENTICATED");
  EXPECT_EQ(CodeName(static_cast<grpc::StatusCode>(77)), "CODE_77");
  EXPECT_EQ(CodeName(static_cast<grpc::StatusCode>(-3)), "CODE_-3");
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> value = 7;
  EXPECT_TRUE(value.ok());
  EXPECT_EQ(value.value(), 7);
  const Result<int> error = Error{grpc::StatusCode::ABORTED, "no", "", std::nullopt};
  EXPECT_FALSE(error.ok());
  EXPECT_EQ(error.error().message, "no");
}

}  // namespace
}  // namespace ssmd::client
