// Every field of SessionService's requests at, below and above its limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "server/convert.h"
#include "tests/unit/server/expect_invalid.h"

namespace ssmd::server {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kTenYears = 315360000;

TEST(ConvertSession, CreateCarriesEverySource) {
  v1::CreateSessionRequest in;
  in.set_model("m");
  EXPECT_FALSE(FromProto(in, RequestLimits())->prompt.has_value());
  in.set_text("once");
  in.set_parse_special(true);
  in.mutable_lifetime()->set_ttl_seconds(5);
  in.mutable_lifetime()->set_idle_seconds(0);
  RequestLimits limits;
  limits.lifetime = {7000, 8000};
  const auto text = FromProto(in, limits);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->model, "m");
  EXPECT_TRUE(text->parse_special);
  EXPECT_EQ(std::get<std::string>(*text->prompt), "once");
  EXPECT_EQ(text->lifetime.ttl_ms, 5000);
  EXPECT_EQ(text->lifetime.idle_ms, 0);
  in.clear_lifetime();
  EXPECT_EQ(FromProto(in, limits)->lifetime.ttl_ms, 7000);
  EXPECT_EQ(FromProto(in, limits)->lifetime.idle_ms, 8000);
  in.mutable_token_ids()->add_ids(3);
  EXPECT_THAT(std::get<std::vector<int32_t>>(*FromProto(in, limits)->prompt), ElementsAre(3));
  in.mutable_token_ids()->add_ids(-3);
  ExpectInvalid(FromProto(in, limits).status(), "must not be negative, got -3");
  in.mutable_messages();
  ExpectInvalid(FromProto(in, limits).status(), "at least one message");
  auto* message = in.mutable_messages()->add_messages();
  message->set_role(v1::CHAT_ROLE_USER);
  EXPECT_EQ(std::get<ChatPrompt>(*FromProto(in, limits)->prompt).messages.size(), 1U);
}

TEST(ConvertSession, CreateFromASessionIsAForkOfOne) {
  v1::CreateSessionRequest in;
  in.mutable_fork()->set_session_id("s");
  in.mutable_fork()->set_checkpoint("c");
  in.mutable_lifetime()->set_idle_seconds(2);
  const auto options = FromProto(AsFork(in), RequestLimits());
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(AsFork(in).session_id(), "s");
  EXPECT_EQ(options->count, 1);
  EXPECT_EQ(options->checkpoint, "c");
  EXPECT_EQ(options->lifetime.idle_ms, 2000);
  in.mutable_fork()->clear_session_id();
  ExpectInvalid(FromProto(AsFork(in), RequestLimits()).status(), "session_id must be given");
}

TEST(ConvertSession, ForkRewindAndCheckpointCarryTheirFields) {
  v1::ForkSessionRequest fork;
  fork.set_session_id("s");
  fork.set_count(3);
  fork.set_position(0);
  fork.set_expected_revision(0);
  const auto forked = FromProto(fork, RequestLimits());
  EXPECT_EQ(forked->count, 3);
  EXPECT_EQ(forked->position, 0);
  EXPECT_EQ(forked->expected_revision, 0U);

  v1::RewindSessionRequest rewind;
  rewind.set_session_id("s");
  ExpectInvalid(FromProto(rewind, RequestLimits()).status(), "set checkpoint, position or turns");
  rewind.set_turns(2);
  rewind.set_allow_recompute(true);
  EXPECT_EQ(FromProto(rewind, RequestLimits())->turns, 2);
  EXPECT_TRUE(FromProto(rewind, RequestLimits())->allow_recompute);
  rewind.set_position(9);
  EXPECT_EQ(FromProto(rewind, RequestLimits())->position, 9);
  rewind.set_checkpoint("c");
  EXPECT_EQ(FromProto(rewind, RequestLimits())->checkpoint, "c");

  v1::CheckpointSessionRequest checkpoint;
  checkpoint.set_session_id("s");
  checkpoint.set_name("n");
  checkpoint.set_remove(true);
  checkpoint.set_expected_revision(4);
  const auto checked = FromProto(checkpoint, RequestLimits());
  EXPECT_EQ(checked->name, "n");
  EXPECT_TRUE(checked->remove);
  EXPECT_EQ(checked->expected_revision, 4U);
}

struct Range {
  const char* words;
  int64_t low;
  int64_t high;
  std::function<absl::Status(int64_t)> status_with;
};

TEST(ConvertSession, EveryNumberTakesItsRangeAndNothingPastIt) {
  const RequestLimits limits;
  const Range kRanges[] = {
      {"lifetime.ttl_seconds must be in [0, 315360000]", 0, kTenYears,
       [&](int64_t n) {
         v1::CreateSessionRequest request;
         request.mutable_lifetime()->set_ttl_seconds(n);
         return FromProto(request, limits).status();
       }},
      {"lifetime.idle_seconds must be in [0, 315360000]", 0, kTenYears,
       [&](int64_t n) {
         v1::ImportSessionRequest request;
         request.mutable_lifetime()->set_idle_seconds(n);
         return FromProto(request, limits).status();
       }},
      {"count must be in [1, 1000]", 1, 1000,
       [&](int64_t n) {
         v1::ForkSessionRequest request;
         request.set_session_id("s");
         request.set_count(static_cast<int32_t>(n));
         return FromProto(request, limits).status();
       }},
      {"turns must be in [1, 64]", 1, 64,
       [&](int64_t n) {
         v1::RewindSessionRequest request;
         request.set_session_id("s");
         request.set_turns(static_cast<int32_t>(n));
         return FromProto(request, limits).status();
       }},
  };
  for (const Range& range : kRanges) {
    for (const int64_t n : {range.low, range.low + 1, range.high - 1, range.high}) {
      EXPECT_TRUE(range.status_with(n).ok()) << range.words << n;
    }
    for (const int64_t n : {range.low - 1, range.high + 1}) {
      ExpectInvalid(range.status_with(n), range.words);
    }
  }
  v1::ForkSessionRequest fork;
  fork.set_session_id("s");
  fork.set_position(-1);
  ExpectInvalid(FromProto(fork, limits).status(), "position must not be negative, got -1");
  v1::RewindSessionRequest rewind;
  rewind.set_session_id("s");
  rewind.set_position(std::numeric_limits<int64_t>::min());
  ExpectInvalid(FromProto(rewind, limits).status(), "position must not be negative");
}

TEST(ConvertSession, ACheckpointsNameIsOneToSixtyFourPlainCharacters) {
  const auto statuses = [](const std::string& name) {
    v1::CheckpointSessionRequest checkpoint;
    checkpoint.set_session_id("s");
    checkpoint.set_name(name);
    v1::ForkSessionRequest fork;
    fork.set_session_id("s");
    fork.set_checkpoint(name);
    v1::RewindSessionRequest rewind;
    rewind.set_session_id("s");
    rewind.set_checkpoint(name);
    return std::vector<absl::Status>{FromProto(checkpoint, RequestLimits()).status(),
                                     FromProto(fork, RequestLimits()).status(),
                                     FromProto(rewind, RequestLimits()).status()};
  };
  for (const std::string& name : {std::string("a"), std::string("Before_the.storm-2"),
                                  std::string(63, 'x'), std::string(64, 'x')}) {
    for (const absl::Status& status : statuses(name)) EXPECT_TRUE(status.ok()) << name;
  }
  for (const std::string& name : {std::string(), std::string("a b"), std::string("é"),
                                  std::string("a/b"), std::string(65, 'x')}) {
    for (const absl::Status& status : statuses(name)) {
      ExpectInvalid(status, "must have 1 to 64 characters of A-Z a-z 0-9 . _ -");
    }
  }
  v1::ExportSessionRequest exported;
  exported.set_session_id("s");
  EXPECT_TRUE(Validate(exported, RequestLimits()).ok()) << "the present";
  exported.set_checkpoint("a b");
  ExpectInvalid(Validate(exported, RequestLimits()), "checkpoint must have");
}

TEST(ConvertSession, AnImportSaysEverythingInItsFirstMessage) {
  v1::ImportSessionRequest first;
  first.set_model("m");
  first.set_allow_inexact(true);
  first.set_rebuild(true);
  first.set_total_bytes(1);
  first.set_chunk("x");
  const auto options = FromProto(first, RequestLimits());
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->model, "m");
  EXPECT_TRUE(options->allow_inexact);
  EXPECT_TRUE(options->rebuild);
  for (const int64_t bytes : {int64_t{0}, int64_t{-1}}) {
    first.set_total_bytes(bytes);
    ExpectInvalid(FromProto(first, RequestLimits()).status(), "total_bytes must be at least 1");
  }

  v1::ImportSessionRequest next;
  ExpectInvalid(ValidateNext(next), "chunk must not be empty");
  next.set_chunk("x");
  EXPECT_TRUE(ValidateNext(next).ok());
  const std::function<void(v1::ImportSessionRequest*)> kLate[] = {
      [](auto* r) { r->set_model("m"); }, [](auto* r) { r->set_allow_inexact(false); },
      [](auto* r) { r->set_rebuild(false); }, [](auto* r) { r->mutable_lifetime(); },
      [](auto* r) { r->set_total_bytes(1); }};
  for (const auto& change : kLate) {
    v1::ImportSessionRequest late = next;
    change(&late);
    ExpectInvalid(ValidateNext(late), "only the first message");
  }
}

TEST(ConvertSession, IdsAndNamesHaveALimit) {
  RequestLimits limits;
  limits.name_bytes = 8;
  for (const int length : {7, 8, 9}) {
    const std::string text(static_cast<size_t>(length), 'x');
    v1::ForkSessionRequest fork;
    fork.set_session_id(text);
    v1::RewindSessionRequest rewind;
    rewind.set_session_id(text);
    rewind.set_turns(1);
    v1::CheckpointSessionRequest checkpoint;
    checkpoint.set_session_id(text);
    checkpoint.set_name("n");
    v1::ExportSessionRequest exported;
    exported.set_session_id(text);
    v1::ListSessionsRequest list;
    list.set_parent_id(text);
    v1::ImportSessionRequest imported;
    imported.set_model(text);
    for (const absl::Status& status :
         {FromProto(fork, limits).status(), FromProto(rewind, limits).status(),
          FromProto(checkpoint, limits).status(), Validate(exported, limits),
          Validate(list, limits), FromProto(imported, limits).status()}) {
      EXPECT_EQ(status.ok(), length <= 8) << status;
    }
  }
}

}  // namespace
}  // namespace ssmd::server
