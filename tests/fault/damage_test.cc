// State directories that were damaged, cut off or left behind: states that are not whole are never
// served, a torn end of the log is cut, and what cannot be told apart from a loss ends the start.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/fault/ledger.h"
#include "tests/fault/state_dir_fixture.h"

namespace ssmd::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Damage = std::function<void(const fs::path& file)>;

void Flip(const fs::path& file, uintmax_t offset) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const auto byte = static_cast<char>(stream.get());
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(static_cast<char>(byte ^ 1));
  ASSERT_TRUE(stream.good()) << file;
}

void Append(const fs::path& file, const std::string& bytes) {
  std::ofstream stream(file, std::ios::app | std::ios::binary);
  stream << bytes;
  ASSERT_TRUE(stream.good()) << file;
}

std::vector<fs::path> FilesUnder(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class DamageTest : public StateDirFixture {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(StartOracle());
    ASSERT_NO_FATAL_FAILURE(Start());
    const auto session = client_->CreateSession("");
    ASSERT_TRUE(session.ok());
    ledger_.id = session.value().session_id();
  }
  // A turn, which must go on from what the ledger knows.
  v1::Final GoOn(int number) {
    const std::vector<int32_t> prompt = {100 + number, 200 + number, 300};
    const std::vector<int32_t> truth = Truth(*oracle_, ledger_.history, prompt, 6);
    const Turn turn = RunTurn(*client_, TurnRequest(ledger_.id, prompt, 6));
    EXPECT_FALSE(turn.error) << turn.Describe();
    EXPECT_EQ(turn.only().ids, truth);
    AppendTurn(prompt, turn.only().ids, &ledger_.history);
    ++ledger_.revision;
    return turn.final;
  }
  void ExpectFoundAsKnown() {
    const auto session = client_->GetSession(ledger_.id);
    ASSERT_TRUE(session.ok()) << client::ToString(session.error());
    ExpectAsKnown(session.value(), ledger_);
  }
  fs::path LastSegment() const {
    const std::vector<fs::path> files = FilesUnder(folder() + "/log");
    return files.empty() ? fs::path() : files.back();  // "log-…" is after "image-…"
  }

  Ledger ledger_;
};

struct StateDamage {
  const char* name;
  Damage apply;
};

class StateDamageTest : public DamageTest, public ::testing::WithParamInterface<StateDamage> {};

TEST_P(StateDamageTest, IsRecognisedAndTheHistoryReadAgain) {
  for (int turn = 0; turn < 3; ++turn) GoOn(turn);
  ASSERT_NO_FATAL_FAILURE(End());
  const std::vector<fs::path> states = FilesUnder(folder() + "/states");
  ASSERT_FALSE(states.empty());
  for (const fs::path& state : states) GetParam().apply(state);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  const auto consumed = static_cast<int64_t>(ledger_.history.size()) - 1;
  const v1::Final final = GoOn(3);
  EXPECT_EQ(final.state_source(), v1::STATE_SOURCE_REPLAYED);
  EXPECT_EQ(final.usage().recomputed_tokens(), consumed) << "every token, and each once";
  ExpectFoundAsKnown();
  // It is whole again, and stored as such.
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(GoOn(4).state_source(), v1::STATE_SOURCE_DISK);
}

INSTANTIATE_TEST_SUITE_P(
    All, StateDamageTest,
    ::testing::Values(
        StateDamage{"FirstByteFlipped", [](const auto& file) { Flip(file, 0); }},
        StateDamage{"TableFlipped", [](const auto& file) { Flip(file, 30); }},
        StateDamage{"StateFlipped", [](const auto& file) { Flip(file, fs::file_size(file) / 2); }},
        StateDamage{"LastByteFlipped",
                    [](const auto& file) { Flip(file, fs::file_size(file) - 1); }},
        StateDamage{"CutInHalf",
                    [](const auto& file) { fs::resize_file(file, fs::file_size(file) / 2); }},
        StateDamage{"Emptied", [](const auto& file) { fs::resize_file(file, 0); }},
        StateDamage{"Lengthened", [](const auto& file) { Append(file, "x"); }},
        StateDamage{"Gone", [](const auto& file) { fs::remove(file); }}),
    [](const auto& test) { return test.param.name; });

TEST_F(DamageTest, AStateOfAnotherSessionUnderItsNameIsNotServed) {
  GoOn(0);
  Ledger first = ledger_;
  const auto session = client_->CreateSession("");
  ASSERT_TRUE(session.ok());
  ledger_ = Ledger{session.value().session_id(), 0, {}, {}};
  GoOn(7);
  ASSERT_NO_FATAL_FAILURE(End());
  const std::vector<fs::path> states = FilesUnder(folder() + "/states");
  ASSERT_EQ(states.size(), 2U);
  fs::rename(states[0], states[0].string() + ".other");
  fs::rename(states[1], states[0]);
  fs::rename(states[0].string() + ".other", states[1]);
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(GoOn(8).state_source(), v1::STATE_SOURCE_REPLAYED);
  ledger_ = first;
  EXPECT_EQ(GoOn(9).state_source(), v1::STATE_SOURCE_REPLAYED);
}

TEST_F(DamageTest, WhatATornWriteLeftAtTheEndOfTheLogIsCut) {
  GoOn(0);
  GoOn(1);
  ASSERT_NO_FATAL_FAILURE(Kill());
  const fs::path segment = LastSegment();
  const uintmax_t whole = fs::file_size(segment);
  Append(segment, std::string("\x30\0\0\0\0\0\0\0half a frame", 20));
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  GoOn(2);
  ASSERT_NO_FATAL_FAILURE(Kill());
  // What was appended to the cut log is good, too.
  EXPECT_GT(fs::file_size(LastSegment()), whole);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  GoOn(3);
}

TEST_F(DamageTest, AHalfWrittenCommitNeverHappened) {
  GoOn(0);
  const Ledger before = ledger_;
  GoOn(1);
  ASSERT_NO_FATAL_FAILURE(Kill());
  const fs::path segment = LastSegment();
  fs::resize_file(segment, fs::file_size(segment) - 5);
  ASSERT_NO_FATAL_FAILURE(Start());
  ledger_ = before;
  ExpectFoundAsKnown();
  GoOn(2);
}

TEST_F(DamageTest, DamageInTheMiddleOfTheLogEndsTheStartAndChangesNothing) {
  for (int turn = 0; turn < 8; ++turn) GoOn(turn);
  ASSERT_NO_FATAL_FAILURE(Kill());
  const fs::path segment = LastSegment();
  const uintmax_t size = fs::file_size(segment);
  Flip(segment, size / 2);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Finished refused = RunRefused();
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr(segment.string()));
    EXPECT_EQ(fs::file_size(segment), size) << "a start that fails must not repair by cutting";
  }
  Flip(segment, size / 2);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  GoOn(8);
}

TEST_F(DamageTest, AFolderInUseIsRefusedAndOneThatAKillLeftIsNot) {
  GoOn(0);
  const Finished second = RunRefused();
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.errors, AllOf(HasSubstr(folder()), HasSubstr("is in use"),
                                   HasSubstr(std::to_string(daemon_->pid()))));
  GoOn(1);
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_TRUE(fs::exists(folder() + "/LOCK"));
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  GoOn(2);
}

}  // namespace
}  // namespace ssmd::test
