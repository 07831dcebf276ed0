#include "engine/base/errors.h"

#include <gtest/gtest.h>

#include <memory>

#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

using std::chrono::milliseconds;

TEST(Errors, CarryAReasonAndARetryDelay) {
  const absl::Status status = WithRetryAfter(
      WithReason(absl::ResourceExhaustedError("full"), reason::kQueueFull), milliseconds(250));
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(status.message(), "full");
  EXPECT_EQ(ReasonOf(status), reason::kQueueFull);
  EXPECT_EQ(RetryAfterOf(status), milliseconds(250));
}

TEST(Errors, WithoutPayloadsHaveNone) {
  EXPECT_EQ(ReasonOf(absl::InternalError("x")), "");
  EXPECT_EQ(RetryAfterOf(absl::InternalError("x")), std::nullopt);
  EXPECT_EQ(ReasonOf(absl::OkStatus()), "");
}

TEST(Errors, TheLastReasonCounts) {
  EXPECT_EQ(ReasonOf(WithReason(WithReason(absl::AbortedError(""), "A"), "B")), "B");
}

absl::StatusOr<std::unique_ptr<int>> MakeEven(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return std::make_unique<int>(value);
}

absl::StatusOr<int> Sum(int a, int b) {
  SSMD_ASSIGN_OR_RETURN(const auto first, MakeEven(a));
  SSMD_ASSIGN_OR_RETURN(const auto second, MakeEven(b));
  SSMD_RETURN_IF_ERROR(*first == *second ? absl::AbortedError("equal") : absl::OkStatus());
  return *first + *second;
}

TEST(StatusMacros, ReturnTheFirstError) {
  EXPECT_EQ(*Sum(2, 4), 6);
  EXPECT_TRUE(absl::IsInvalidArgument(Sum(1, 4).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Sum(2, 3).status()));
  EXPECT_TRUE(absl::IsAborted(Sum(2, 2).status()));
}

TEST(Errors, AnUnsharedCopyIsEqual) {
  EXPECT_TRUE(UnsharedCopy(absl::OkStatus()).ok());
  const absl::Status status =
      WithRetryAfter(WithReason(absl::ResourceExhaustedError("full"), reason::kSlotsHeld),
                     std::chrono::milliseconds(7));
  EXPECT_EQ(UnsharedCopy(status), status);
  EXPECT_EQ(ReasonOf(UnsharedCopy(status)), reason::kSlotsHeld);
  EXPECT_EQ(RetryAfterOf(UnsharedCopy(status))->count(), 7);
}

}  // namespace
}  // namespace ssmd
