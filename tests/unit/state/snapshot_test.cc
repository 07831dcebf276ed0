#include "engine/state/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "engine/base/little_endian.h"
#include "engine/state/history.h"
#include "tests/unit/state/snapshot_fixture.h"

namespace ssmd {
namespace {

using ::testing::AllOf;
using testing::Bytes;
using ::testing::HasSubstr;
using testing::MakeSnapshot;
using testing::MakeState;
using ::testing::Not;

constexpr size_t kSmallStateBytes = 64;

SnapshotLimits SmallLimits() {
  SnapshotLimits limits;
  limits.state_bytes = kSmallStateBytes;
  limits.history_tokens = 1000;
  limits.vocabulary = 300;
  return limits;
}

absl::StatusOr<Snapshot> Decode(const std::string& bytes,
                                const SnapshotLimits& limits = SmallLimits()) {
  return DecodeSnapshot(bytes, limits);
}

std::string Message(const absl::StatusOr<Snapshot>& snapshot) {
  return std::string(snapshot.status().message());
}

struct RoundTripCase {
  const char* name;
  int64_t history;
  int64_t pending;
  bool with_session;
};
class SnapshotRoundTripTest : public ::testing::TestWithParam<RoundTripCase> {};

TEST_P(SnapshotRoundTripTest, ReadsBackWhatItWrote) {
  const auto& [name, history, pending, with_session] = GetParam();
  const Snapshot written = MakeSnapshot(history, pending, with_session, kSmallStateBytes);
  const std::string bytes = Bytes(written);
  EXPECT_EQ(bytes.size(), EncodeSnapshot(written).size());

  const auto read = Decode(bytes);
  ASSERT_EQ(read.status(), absl::OkStatus());
  EXPECT_EQ(read->identity.fingerprint, written.identity.fingerprint);
  EXPECT_EQ(read->identity.numerics_profile, written.identity.numerics_profile);
  EXPECT_EQ(read->identity.layout, written.identity.layout);
  EXPECT_EQ(read->state_position, written.state_position);
  EXPECT_EQ(read->history_hash, written.history_hash);
  EXPECT_EQ(read->state == nullptr, history == pending);
  ASSERT_EQ(read->session.has_value(), with_session);
  if (with_session) {
    EXPECT_EQ(read->session->model, written.session->model);
    EXPECT_EQ(read->session->revision, written.session->revision);
    EXPECT_EQ(read->session->pending_tokens, written.session->pending_tokens);
    EXPECT_EQ(read->session->text_remainder, written.session->text_remainder);
    EXPECT_EQ(read->session->history.size(), written.session->history.size());
  }
  EXPECT_EQ(Bytes(*read), bytes);  // tokens and state included
}

INSTANTIATE_TEST_SUITE_P(Cases, SnapshotRoundTripTest,
                         ::testing::Values(RoundTripCase{"Stored", 20, 1, false},
                                           RoundTripCase{"Exported", 20, 1, true},
                                           RoundTripCase{"WithoutPending", 20, 0, true},
                                           RoundTripCase{"Long", 900, 2, true},
                                           RoundTripCase{"Unfed", 3, 3, true},
                                           RoundTripCase{"Empty", 0, 0, true}),
                         [](const auto& test) { return test.param.name; });

TEST(Snapshot, AlignsTheStateThatItReads) {
  const auto read = Decode(Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes)));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read->state->data()) % 64, 0u);
}

TEST(Snapshot, HasAStateOfNoBytesForALayoutWithoutFields) {
  Snapshot snapshot = MakeSnapshot(20, 1, true, kSmallStateBytes);
  snapshot.state = std::make_shared<const kernels::Buffer>();
  SnapshotLimits limits = SmallLimits();
  limits.state_bytes = 0;
  const auto read = Decode(Bytes(snapshot), limits);
  ASSERT_EQ(read.status(), absl::OkStatus());
  EXPECT_EQ(Bytes(*read), Bytes(snapshot));
}

TEST(Snapshot, NoticesEveryFlippedByte) {
  const std::string whole = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x04);
    const auto read = Decode(bytes);
    EXPECT_EQ(read.status().code(),
              at < 8 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kDataLoss)
        << at;
  }
}

TEST(Snapshot, NoticesWhereverItIsCutOff) {
  const std::string whole = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(Decode(whole.substr(0, size)).status().code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(Decode(whole + "x").status().code(), absl::StatusCode::kDataLoss);
}

TEST(Snapshot, NamesTheSectionThatWasChangedOrCutOff) {
  const Snapshot snapshot = MakeSnapshot(20, 1, true, kSmallStateBytes);
  const std::string whole = Bytes(snapshot);
  const size_t state = whole.size() - kSmallStateBytes;
  const size_t history = state - 20 * 4;
  for (const auto& [at, section] :
       {std::pair(state, "STAT"), std::pair(history, "HIST"), std::pair(history - 1, "SESS")}) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    EXPECT_THAT(Message(Decode(bytes)), HasSubstr(std::string("section ") + section));
    EXPECT_THAT(Message(Decode(whole.substr(0, at))), HasSubstr(std::string("section ") + section));
  }
}

TEST(Snapshot, RefusesWhatWasNeverOne) {
  for (const std::string& bytes : {std::string("hello"), std::string(1000, '\0')}) {
    EXPECT_EQ(Decode(bytes).status(), absl::InvalidArgumentError("this is not a snapshot"));
  }
}

// Writes the table's checksum anew after it was changed.
std::string WithTableDigest(std::string bytes) {
  const size_t table = 16 + 24 * GetLittleEndian<uint32_t>(bytes.data() + 12);
  const uint64_t digest = XXH3_64bits(bytes.data(), table);
  std::memcpy(bytes.data() + table, &digest, sizeof(digest));
  return bytes;
}

TEST(Snapshot, NamesTheModelThatItsSessionIsOf) {
  const std::string whole = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  EXPECT_EQ(*ModelNameOfSnapshot(whole), "tales");
  EXPECT_EQ(ModelNameOfSnapshot("words").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ModelNameOfSnapshot(whole.substr(0, whole.size() - 1)).status().code(),
            absl::StatusCode::kDataLoss);
  std::string changed = whole;
  changed[whole.find("tales")] = 'T';
  EXPECT_EQ(ModelNameOfSnapshot(changed).status().code(), absl::StatusCode::kDataLoss);
  const std::string stored = Bytes(MakeSnapshot(20, 1, false, kSmallStateBytes));
  EXPECT_THAT(std::string(ModelNameOfSnapshot(stored).status().message()),
              HasSubstr("without a session"));
}

TEST(Snapshot, RefusesANewerVersion) {
  std::string bytes = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  bytes[8] = 2;
  const auto read = Decode(WithTableDigest(bytes));
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(read), AllOf(HasSubstr("version 2"), HasSubstr("reads 1")));
}

TEST(Snapshot, RefusesSectionsThatItDoesNotKnow) {
  std::string bytes = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  bytes.replace(16, 4, "\x01\x02XX");
  EXPECT_EQ(Decode(WithTableDigest(bytes)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Snapshot, RefusesFlagsThatItDoesNotKnow) {
  std::string bytes = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  bytes[16 + 4] = 1;
  EXPECT_EQ(Decode(WithTableDigest(bytes)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Snapshot, RefusesATableThatLies) {
  const std::string whole = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  for (const uint64_t length : {uint64_t{0}, uint64_t{1} << 40, ~uint64_t{0}, ~uint64_t{0} - 100}) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + 16 + 8, &length, sizeof(length));  // of the first section
    EXPECT_EQ(Decode(WithTableDigest(bytes)).status().code(), absl::StatusCode::kDataLoss);
  }
  for (const uint32_t sections : {uint32_t{65}, uint32_t{0x0aaaaaab}, ~uint32_t{0}}) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + 12, &sections, sizeof(sections));
    EXPECT_EQ(Decode(bytes).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(Snapshot, HoldsItsLimits) {
  const std::string bytes = Bytes(MakeSnapshot(20, 1, true, kSmallStateBytes));
  for (const auto& [change, message] :
       std::vector<std::pair<std::function<void(SnapshotLimits*)>, std::string>>{
           {[](SnapshotLimits* l) { l->history_tokens = 19; }, "history has 20 tokens"},
           {[](SnapshotLimits* l) { l->history_tokens = -1; }, "history has 20 tokens"},
           {[](SnapshotLimits* l) { l->vocabulary = 19; }, "token 19 has the id 19"}}) {
    SnapshotLimits limits = SmallLimits();
    change(&limits);
    const auto read = Decode(bytes, limits);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(Message(read), HasSubstr(message));
  }
  SnapshotLimits limits = SmallLimits();
  for (const size_t state_bytes : {0, 128}) {  // another model's
    limits.state_bytes = state_bytes;
    const auto read = Decode(bytes, limits);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(read), HasSubstr("state has 64 bytes"));
  }
  limits = SmallLimits();
  limits.history_tokens = 20;
  limits.vocabulary = 20;
  EXPECT_EQ(Decode(bytes, limits).status(), absl::OkStatus());
  limits.state_bytes = 128;
  limits.without_state = true;
  const auto without = Decode(bytes, limits);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_EQ(without->state, nullptr);
  EXPECT_EQ(without->session->history.size(), 20u);
}

TEST(Snapshot, RefusesTextsBeyondMeasure) {
  Snapshot snapshot = MakeSnapshot(20, 1, true, kSmallStateBytes);
  snapshot.identity.layout = std::string(5 << 20, 'x');
  EXPECT_EQ(Decode(Bytes(snapshot)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Snapshot, RefusesPositionsThatDoNotFitTogether) {
  struct {
    const char* name;
    std::function<void(Snapshot*)> change;
  } const cases[] = {
      {"another hash", [](Snapshot* s) { ++s->history_hash; }},
      {"another token", [](Snapshot* s) { s->session->history[3] = LoggedToken(4, false); }},
      {"another position", [](Snapshot* s) { --s->state_position; }},
      {"negative position", [](Snapshot* s) { s->state_position = -1; }},
      {"more pending", [](Snapshot* s) { ++s->session->pending_tokens; }},
      {"negative pending", [](Snapshot* s) { s->session->pending_tokens = -1; }},
      {"too many pending",
       [](Snapshot* s) { s->session->pending_tokens = std::numeric_limits<int64_t>::max(); }},
      {"shorter history", [](Snapshot* s) { s->session->history.pop_back(); }},
      {"no state", [](Snapshot* s) { s->state = nullptr; }},
      {"a state of nothing",
       [](Snapshot* s) {
         s->state_position = 0;
         s->history_hash = 0;
         s->session->pending_tokens = 20;
       }},
      {"a hash of nothing",
       [](Snapshot* s) {
         s->state_position = 0;
         s->state = nullptr;
         s->session->pending_tokens = 20;
       }},
  };
  for (const auto& [name, change] : cases) {
    Snapshot snapshot = MakeSnapshot(20, 1, true, kSmallStateBytes);
    change(&snapshot);
    EXPECT_EQ(Decode(Bytes(snapshot)).status().code(), absl::StatusCode::kDataLoss) << name;
  }
}

// After a crash, or a rewind to where no state was held.
TEST(Snapshot, AStateMayHaveConsumedLessThanTheSession) {
  for (const int64_t position : {0, 1, 11, 19}) {
    Snapshot written = MakeSnapshot(20, 20 - position, true, kSmallStateBytes);
    written.session->pending_tokens = 1;
    const auto read = Decode(Bytes(written));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->state_position, position);
    EXPECT_EQ(read->session->pending_tokens, 1);
    EXPECT_EQ(read->session->history.size(), 20u);
  }
}

// The bytes of files that exist do not change.
TEST(Snapshot, IsWhatTheReadmeSays) {
  Snapshot snapshot;
  snapshot.identity = {"fp", "np", "layout\n"};
  snapshot.state_position = 2;
  snapshot.session.emplace();
  snapshot.session->model = "m";
  snapshot.session->revision = 7;
  snapshot.session->history = {{5, false}, {6, true}, {7, true}};
  snapshot.session->pending_tokens = 1;
  snapshot.session->text_remainder = "\xe2";
  snapshot.history_hash = 0x0102030405060708;
  snapshot.state = MakeState(4, 1.5f);
  const std::string bytes = Bytes(snapshot);

  const auto u32 = [](uint32_t value) {
    std::string out;
    PutLittleEndian(&out, value);
    return out;
  };
  const auto u64 = [](uint64_t value) {
    std::string out;
    PutLittleEndian(&out, value);
    return out;
  };
  const std::vector<std::pair<std::string, std::string>> sections = {
      {"IDNT", u32(2) + "fp" + u32(2) + "np" + u32(7) + "layout\n"},
      {"POSN", u64(2) + u64(0x0102030405060708)},
      {"SESS", u32(1) + "m" + u64(7) + u64(1) + u32(1) + "\xe2"},
      {"HIST", u32(5) + u32(0x80000006) + u32(0x80000007)},
      {"STAT", u32(0x3fc00000)},
  };
  std::string expected = "SSMDSNAP" + u32(1) + u32(5);
  std::string contents;
  for (const auto& [tag, content] : sections) {
    expected +=
        tag + u32(0) + u64(content.size()) + u64(XXH3_64bits(content.data(), content.size()));
    contents += content;
  }
  expected += u64(XXH3_64bits(expected.data(), expected.size())) + contents;
  EXPECT_EQ(bytes, expected);
}

TEST(CheckIdentity, AcceptsTheSame) {
  const ModelIdentity identity = MakeSnapshot(1, 0, false, kSmallStateBytes).identity;
  EXPECT_EQ(CheckIdentity(identity, identity, false), absl::OkStatus());
}

TEST(CheckIdentity, NamesEverythingThatDiffersWithBothValues) {
  const ModelIdentity ours = {"aaaa", "cpu/avx2", "layer 0 conv\nlayer 0 ssm\nlayer 1 conv\n"};
  const ModelIdentity theirs = {"bbbb", "cpu/avx512", "layer 0 conv\nlayer 0 other\n"};
  const absl::Status status = CheckIdentity(theirs, ours, false);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("another model"), HasSubstr("fingerprint is \"bbbb\""),
                    HasSubstr("\"aaaa\""), HasSubstr("\"layer 0 other\""),
                    HasSubstr("\"layer 0 ssm\""), HasSubstr("\"cpu/avx512\""),
                    HasSubstr("\"cpu/avx2\""), Not(HasSubstr("layer 0 conv"))));
}

TEST(CheckIdentity, NoticesLayoutsThatDifferInTheirEndAlone) {
  for (const auto& [theirs, ours] : {std::pair("a\nb\n", "a\nb"), std::pair("a\n", "a\nb\n"),
                                     std::pair("", "a\n"), std::pair("a\n\n", "a\n")}) {
    EXPECT_FALSE(CheckIdentity({"f", "n", theirs}, {"f", "n", ours}, true).ok()) << theirs;
    EXPECT_FALSE(CheckIdentity({"f", "n", ours}, {"f", "n", theirs}, true).ok()) << theirs;
  }
}

TEST(CheckIdentity, LetsAnotherProfilePassWhereThatIsAllowed) {
  const ModelIdentity ours = {"f", "cpu/avx2", "l\n"};
  const ModelIdentity theirs = {"f", "cpu/avx512", "l\n"};
  EXPECT_EQ(CheckIdentity(theirs, ours, true), absl::OkStatus());
  const absl::Status status = CheckIdentity(theirs, ours, false);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("another numerics profile"), HasSubstr("allow_inexact")));
  EXPECT_FALSE(CheckIdentity({"g", "cpu/avx2", "l\n"}, ours, true).ok());
}

TEST(CheckIdentity, ShowsForeignTextEscapedAndCutShort) {
  const absl::Status status =
      CheckIdentity({std::string(10000, '\n'), "n", "l"}, {"f", "n", "l"}, false);
  EXPECT_LT(status.message().size(), 1000u);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
}

// A layout of one ring and one state, which take whole cache lines.
StateLayout LayoutIn(kernels::StateFormat format) {
  StateLayout layout(format);
  layout.Add(2, "conv", StateKind::kConvRing, {16});
  layout.Add(2, "ssm", StateKind::kSsm, {32});
  return layout;
}

TEST(CheckFinite, RefusesWhatIsNotFinite) {
  const StateLayout layout = LayoutIn(kernels::StateFormat::kF32);
  std::vector<float> state(48, -1.5f);
  const auto check = [&] {
    return CheckFinite({reinterpret_cast<const std::byte*>(state.data()), state.size() * 4},
                       layout);
  };
  EXPECT_EQ(check(), absl::OkStatus());
  state[10] = std::numeric_limits<float>::max();
  state[11] = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(check(), absl::OkStatus());
  for (const float bad : {std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(), std::nanf("")}) {
    for (const size_t at : {size_t{0}, size_t{15}, size_t{16}, size_t{47}}) {
      const float good = std::exchange(state[at], bad);
      EXPECT_EQ(check().code(), absl::StatusCode::kInvalidArgument);
      const std::string where = at < 16 ? "number " + std::to_string(at) + " of layer 2's conv"
                                        : "number " + std::to_string(at - 16) + " of layer 2's ssm";
      EXPECT_THAT(std::string(check().message()), HasSubstr(where));
      state[at] = good;
    }
  }
  EXPECT_EQ(CheckFinite({}, StateLayout()), absl::OkStatus());
}

TEST(CheckFinite, KnowsNarrowNumbers) {
  struct Case {
    kernels::StateFormat format;
    uint16_t largest, infinity;
  };
  for (const Case& c : {Case{kernels::StateFormat::kBf16, 0x7F7F, 0xFF80},
                        Case{kernels::StateFormat::kF16, 0x7BFF, 0xFC00}}) {
    const StateLayout layout = LayoutIn(c.format);
    std::vector<std::byte> state(layout.bytes_per_slot());
    const auto set = [&](size_t number, uint16_t bits) {
      std::memcpy(state.data() + layout.fields()[1].offset + 2 * number, &bits, sizeof(bits));
    };
    for (size_t i = 0; i < 32; ++i) set(i, c.largest);
    EXPECT_EQ(CheckFinite(state, layout), absl::OkStatus());
    set(31, c.infinity);
    EXPECT_THAT(std::string(CheckFinite(state, layout).message()),
                HasSubstr("number 31 of layer 2's ssm is not finite"));
  }
}

TEST(CheckFinite, RefusesAStateOfAnotherSize) {
  const std::vector<std::byte> state(48 * 4);
  EXPECT_EQ(CheckFinite(state, LayoutIn(kernels::StateFormat::kBf16)).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ssmd
