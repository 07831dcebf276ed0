// What a request says of the turn that it makes: retries, waiting, commits, durability, priority.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "server/convert.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;

v1::GenerateRequest OnSession() {
  v1::GenerateRequest request;
  request.set_text("x");
  request.set_session_id("s");
  return request;
}

GenerateRequest Converted(const v1::GenerateRequest& request) {
  auto out = FromProto(request, RequestLimits());
  if (out.ok()) return *std::move(out);
  ADD_FAILURE() << out.status();
  return {};
}

void ExpectInvalid(const v1::GenerateRequest& request, const std::string& words) {
  const absl::Status status = FromProto(request, RequestLimits()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << words;
  EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  EXPECT_EQ(ReasonOf(status), "INVALID_FIELD") << words;
}

TEST(ConvertTurn, EveryFieldArrives) {
  v1::GenerateRequest in = OnSession();
  in.set_request_id("retry 1");
  in.set_when_busy(v1::WHEN_BUSY_WAIT);
  in.set_commit(v1::COMMIT_PARTIAL);
  in.set_durability(v1::DURABILITY_POWER);
  const GenerateRequest out = Converted(in);
  EXPECT_EQ(out.key.request_id, "retry 1");
  EXPECT_NE(out.key.body_hash, 0U);
  EXPECT_EQ(out.when_busy, WhenBusy::kWait);
  EXPECT_EQ(out.commit, CommitMode::kPartial);
  EXPECT_EQ(out.durability, Durability::kPower);
}

TEST(ConvertTurn, DurabilityIsTheDaemonsUnlessTheRequestSays) {
  RequestLimits limits;
  limits.durability = Durability::kReplicated;
  v1::GenerateRequest in = OnSession();
  EXPECT_EQ(FromProto(in, limits)->durability, Durability::kReplicated);
  in.set_durability(v1::DURABILITY_PROCESS);
  EXPECT_EQ(FromProto(in, limits)->durability, Durability::kProcess);
  in.set_durability(v1::DURABILITY_REPLICATED);
  EXPECT_EQ(Converted(in).durability, Durability::kReplicated);
}

TEST(ConvertTurn, PriorityIsItsSign) {
  const std::pair<int, Priority> kCases[] = {{-100, Priority::kLow},
                                             {-1, Priority::kLow},
                                             {0, Priority::kNormal},
                                             {1, Priority::kHigh},
                                             {100, Priority::kHigh}};
  for (const auto& [number, priority] : kCases) {
    v1::GenerateRequest request = OnSession();
    request.set_priority(number);
    EXPECT_EQ(Converted(request).priority, priority) << number;
  }
}

TEST(ConvertTurn, ARequestIdHasOneTo128PrintableCharactersAndASession) {
  v1::GenerateRequest request = OnSession();
  for (const size_t length : {1, 127, 128}) {
    request.set_request_id(std::string(length, '~'));
    EXPECT_EQ(Converted(request).key.request_id.size(), length);
  }
  request.set_request_id(std::string(129, 'x'));
  ExpectInvalid(request, "request_id must have 1 to 128 characters, got 129");
  for (const char* id : {"a\nb", "\x7f", "é"}) {
    request.set_request_id(id);
    ExpectInvalid(request, "printable ASCII");
  }
  request = OnSession();
  request.set_request_id("r");
  request.clear_session_id();
  ExpectInvalid(request, "request_id needs a session_id");
}

TEST(ConvertTurn, APartialCommitNeedsASessionAndOneChoice) {
  v1::GenerateRequest request = OnSession();
  request.set_commit(v1::COMMIT_PARTIAL);
  request.set_n(1);
  Converted(request);
  request.set_n(2);
  ExpectInvalid(request, "COMMIT_PARTIAL needs n = 1, got 2");
  request.set_n(1);
  request.clear_session_id();
  ExpectInvalid(request, "COMMIT_PARTIAL needs a session_id");
}

TEST(ConvertTurn, UnknownValuesOfEnumsAreRefusedByName) {
  v1::GenerateRequest request = OnSession();
  request.set_when_busy(static_cast<v1::WhenBusy>(9));
  ExpectInvalid(request, "when_busy must be WHEN_BUSY_ABORT or WHEN_BUSY_WAIT, got 9");
  request = OnSession();
  request.set_commit(static_cast<v1::Commit>(9));
  ExpectInvalid(request, "commit must be");
  request = OnSession();
  request.set_durability(static_cast<v1::Durability>(-1));
  ExpectInvalid(request, "durability must be");
}

TEST(ConvertTurn, TheHashOfABodyIsThatOfItsContent) {
  v1::GenerateRequest one = OnSession();
  v1::GenerateRequest other = OnSession();
  one.set_request_id("a");
  other.set_request_id("b");
  // A map has no order on the wire.
  for (int i = 0; i < 50; ++i) {
    (*one.mutable_sampling()->mutable_logit_bias())[i] = 1;
    (*other.mutable_sampling()->mutable_logit_bias())[49 - i] = 1;
  }
  EXPECT_EQ(Converted(one).key.body_hash, Converted(other).key.body_hash);
  other.set_max_tokens(255);
  EXPECT_NE(Converted(one).key.body_hash, Converted(other).key.body_hash);
  // Without a name there is nothing to compare.
  one.clear_request_id();
  EXPECT_EQ(Converted(one).key.body_hash, 0U);
}

}  // namespace
}  // namespace ssmd::server
