#include "engine/session/session_change.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "tests/support/fake_state.h"

namespace ssmd {
namespace {

TokenLog Tokens(std::initializer_list<int32_t> ids) {
  TokenLog tokens;
  for (const int32_t id : ids) tokens.emplace_back(id, id % 2 == 0);
  return tokens;
}

SessionCommit SomeCommit() {
  SessionCommit commit;
  commit.appended = Tokens({5, 6, 2147483647});
  commit.pending_tokens = 2;
  commit.text_remainder = std::string("\xE2\x82\0", 3);
  commit.state = test::MakeFakeState(7, 4096, "stored-commit");
  return commit;
}

TurnResult SomeResult() {
  TurnResult result;
  result.key = {"request", 0xFEDCBA9876543210};
  result.base_revision = 8;
  result.state_source = StateSource::kReplayed;
  result.seed = UINT64_MAX;
  ChoiceResult choice;
  choice.reason = FinishReason::kStop;
  choice.stop_reason = "###";
  choice.text = "text";
  choice.token_ids = {1, 2, -3};
  choice.history_token_ids = {1, 2};
  choice.session_id = "child";
  choice.revision = 9;
  choice.usage = {1, 2, 3, 4, 5};
  result.choices = {choice, ChoiceResult()};
  result.usage = {INT64_MAX, 7, 8, 9, 10};
  return result;
}

SessionImage SomeImage() {
  SessionImage image;
  image.key = {"tenant", "image"};
  image.model = "model";
  image.model_fingerprint = "print";
  image.revision = 12;
  image.history = Tokens({1, 2, 3, 4});
  image.pending_tokens = 1;
  image.text_remainder = "\xC3";
  image.state = test::MakeFakeState(3, 100, "stored-image");
  image.parent_id = "parent";
  image.parent_position = 2;
  image.turn_ends = {{1, 1, 0, "", test::MakeFakeState(1, 100, "stored-end")},
                     {2, 3, 1, "r", nullptr}};
  image.checkpoints = {
      {"draft", Tokens({1, 9}), {3, 2, 1, "x", test::MakeFakeState(1, 100, "stored-draft")}}};
  image.results = {SomeResult(), SomeResult()};
  image.lifetime = {1000, 2000};
  image.created_unix_ms = 1700000000000;
  image.used_unix_ms = 1700000000001;
  return image;
}

// One of each alternative, with every field unlike its default.
std::vector<SessionChange> OneOfEach() {
  return {
      SessionCreated{{"tenant", "a"}, "model", "print", {10, 20}, 30},
      SessionCommitted{{"tenant", "a"}, 1, SomeCommit(), SomeResult(), 31},
      SessionCommitted{{"tenant", "a"}, 2, SessionCommit(), std::nullopt, 32},
      SessionForked{{"tenant", "b"}, "a", "draft", 4, SomeCommit(), {11, 21}, 33},
      ResultKept{{"tenant", "a"}, SomeResult()},
      SessionRewound{
          {"tenant", "a"}, 3, "draft", 5, 2, "rest", test::MakeFakeState(3, 9, "stored-back"), 34},
      SessionCheckpointed{{"tenant", "a"}, 4, "name", true},
      SessionDeleted{{"tenant", "a"}},
      StateStored{{"tenant", "a"}, 5, "draft", test::MakeFakeState(4, 8, "stored-new")},
      SomeImage(),
  };
}

StateRef Resolve(const std::string& id, int64_t position, size_t bytes) {
  return test::MakeFakeState(position, bytes, id);
}

TEST(SessionChange, EveryAlternativeComesBackAsItWas) {
  const std::string record = EncodeChanges(OneOfEach());
  const auto decoded = DecodeChanges(record, Resolve);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), OneOfEach().size());
  // A value has one encoding only, so equal bytes are equal values ...
  EXPECT_EQ(EncodeChanges(*decoded), record);
  // ... of the fields that are written at all, of which these are samples.
  const auto& committed = std::get<SessionCommitted>((*decoded)[1]);
  EXPECT_EQ(committed.key.id, "a");
  EXPECT_EQ(committed.commit.appended[2].token_id(), 2147483647);
  EXPECT_TRUE(committed.commit.appended[1].sampled());
  EXPECT_FALSE(committed.commit.appended[0].sampled());
  EXPECT_EQ(committed.commit.state->position, 7);
  EXPECT_EQ(committed.commit.state->bytes, 4096u);
  EXPECT_EQ(committed.commit.state->stored_id(), "stored-commit");
  EXPECT_EQ(committed.result->choices[0].usage.recomputed_tokens, 4);
  EXPECT_EQ(committed.result->choices[0].token_ids, (std::vector<int32_t>{1, 2, -3}));
  EXPECT_FALSE(std::get<SessionCommitted>((*decoded)[2]).result.has_value());
  const auto& rewound = std::get<SessionRewound>((*decoded)[5]);
  EXPECT_EQ(rewound.text_remainder, "rest");
  EXPECT_EQ(rewound.unix_ms, 34);
  EXPECT_TRUE(std::get<SessionCheckpointed>((*decoded)[6]).remove);
  EXPECT_EQ(std::get<StateStored>((*decoded)[8]).revision, 5u);
  const auto& image = std::get<SessionImage>((*decoded)[9]);
  EXPECT_EQ(image.turn_ends[1].text_remainder, "r");
  EXPECT_EQ(image.checkpoints[0].point.state->stored_id(), "stored-draft");
  EXPECT_EQ(image.results.size(), 2u);
  EXPECT_EQ(image.lifetime.idle_ms, 2000);
  EXPECT_EQ(image.used_unix_ms, 1700000000001);
}

TEST(SessionChange, NoChangesAreARecordToo) {
  const auto decoded = DecodeChanges(EncodeChanges({}), Resolve);
  ASSERT_TRUE(decoded.ok());
  EXPECT_TRUE(decoded->empty());
}

TEST(SessionChange, AStateIsItsNameInTheStoreOrNothing) {
  SessionCommit commit;
  commit.appended = Tokens({1});
  commit.state = test::MakeFakeState(1);
  const std::string unstored = EncodeChanges({SessionCommitted{{"t", "a"}, 1, commit, {}, 0}});
  const auto decoded = DecodeChanges(unstored, Resolve);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<SessionCommitted>((*decoded)[0]).commit.state, nullptr);

  const auto gone = DecodeChanges(EncodeChanges(OneOfEach()),
                                  [](const auto&, int64_t, size_t) -> StateRef { return nullptr; });
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(std::get<SessionImage>((*gone)[9]).state, nullptr);
}

TEST(SessionChange, RefusesWhatWasCutOffAnywhereAndWhatWasAdded) {
  const std::string record = EncodeChanges(OneOfEach());
  for (size_t length = 0; length < record.size(); ++length) {
    const auto status = DecodeChanges(std::string_view(record).substr(0, length), Resolve).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << length << " bytes: " << status;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeChanges(record + '\0', Resolve).status()));
}

TEST(SessionChange, RefusesOtherVersionsAndUnknownAlternatives) {
  std::string record = EncodeChanges(OneOfEach());
  record[0] = 2;
  EXPECT_TRUE(absl::IsDataLoss(DecodeChanges(record, Resolve).status()));
  record = EncodeChanges({SessionDeleted{{"t", "a"}}});
  record[16] = static_cast<char>(std::variant_size_v<SessionChange>);
  EXPECT_TRUE(absl::IsDataLoss(DecodeChanges(record, Resolve).status()));
}

TEST(SessionChange, AsksForNoMoreMemoryThanTheBytesThatAreThere) {
  // Every eight bytes are made a huge count in turn; sanitizers and the allocator would tell.
  const std::string record = EncodeChanges(OneOfEach());
  for (size_t at = 0; at + 8 <= record.size(); ++at) {
    for (const uint64_t huge : {UINT64_MAX, uint64_t{1} << 62, uint64_t{1} << 40}) {
      std::string damaged = record;
      std::memcpy(damaged.data() + at, &huge, sizeof(huge));
      DecodeChanges(damaged, Resolve).status().IgnoreError();
    }
  }
}

// What still reads after a change of its bytes is a value of its own: it has that encoding.
TEST(SessionChange, FlippedBitsAreRefusedOrAreAnotherValue) {
  const std::string record = EncodeChanges(OneOfEach());
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = record;
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
      damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    }
    const auto decoded = DecodeChanges(damaged, Resolve);
    if (!decoded.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(decoded.status()));
      ++refused;
    } else {
      EXPECT_EQ(EncodeChanges(*decoded), damaged);
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace ssmd
