// State directories that were damaged, cut off or left behind: states that are not whole are never
// served, a torn end of the log is cut, and what cannot be told apart from a loss ends the start.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "absl/strings/match.h"
#include "tests/fault/ledger.h"
#include "tests/fault/state_dir_fixture.h"
#include "tests/support/eventually.h"

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
    return GoOnTruly(*client_, *oracle_, {100 + number, 200 + number, 300}, 6, &ledger_);
  }
  void ExpectFoundAsKnown() {
    const auto session = client_->GetSession(ledger_.id);
    ASSERT_TRUE(session.ok()) << client::ToString(session.error());
    ExpectAsKnown(session.value(), ledger_);
  }
  // "image-…" or "log-…", the newest.
  fs::path LogFile(const std::string& prefix) const {
    fs::path newest;
    for (const fs::path& file : FilesUnder(folder() + "/log")) {
      const bool whole = file.extension() != ".tmp";
      if (whole && file.filename().string().rfind(prefix, 0) == 0) newest = file;
    }
    return newest;
  }
  fs::path LastSegment() const { return LogFile("log-"); }

  Ledger ledger_;
};

// A file's damage, and what is said of it.
struct Case {
  const char* name;
  Damage apply;
  const char* said;
};

const Damage kHalve = [](const auto& file) { fs::resize_file(file, fs::file_size(file) / 2); };
const Damage kEmpty = [](const auto& file) { fs::resize_file(file, 0); };
const Damage kRemove = [](const auto& file) { fs::remove(file); };
const Damage kLengthen = [](const auto& file) { Append(file, "x"); };
const Damage kFlipMiddle = [](const auto& file) { Flip(file, fs::file_size(file) / 2); };
const Damage kFlipLast = [](const auto& file) { Flip(file, fs::file_size(file) - 1); };
Damage FlipAt(uintmax_t offset) {
  return [offset](const auto& file) { Flip(file, offset); };
}
Damage CutTo(uintmax_t size) {
  return [size](const auto& file) { fs::resize_file(file, size); };
}

// A session for each damage, and one that stays whole.
TEST_F(DamageTest, AStateThatIsNotWholeIsNeverServedAndItsHistoryIsReadAgain) {
  const std::vector<Case> cases = {
      {"first byte flipped", FlipAt(0), "not a snapshot"},
      {"version flipped", FlipAt(8), "section table was changed"},
      {"table flipped", FlipAt(30), "section table was changed"},
      {"identity flipped", FlipAt(130), "section IDNT was changed"},
      {"state flipped", kFlipMiddle, "section STAT was changed"},
      {"last byte flipped", kFlipLast, "section STAT was changed"},
      {"cut in the table", CutTo(40), "cut off in its section table"},
      {"cut in half", kHalve, "cut off in its section STAT"},
      {"emptied", kEmpty, "cut off in its section table"},
      {"lengthened", kLengthen, "1 bytes follow its last section"},
  };
  std::vector<Ledger> ledgers = {ledger_};
  while (ledgers.size() < cases.size() + 1) {
    const auto session = client_->CreateSession("");
    ASSERT_TRUE(session.ok());
    ledgers.push_back({session.value().session_id(), 0, {}, {}});
  }
  const auto go_on = [&](int number) {
    std::map<v1::StateSource, size_t> sources;
    for (Ledger& ledger : ledgers) {
      const auto consumed = static_cast<int64_t>(ledger.history.size()) - 1;
      const v1::Final final = GoOnTruly(*client_, *oracle_, {100 + number, 200, 300}, 6, &ledger);
      ++sources[final.state_source()];
      if (final.state_source() == v1::STATE_SOURCE_REPLAYED) {
        EXPECT_EQ(final.usage().recomputed_tokens(), consumed) << "every token, and each once";
      }
    }
    return sources;
  };
  for (int turn = 0; turn < 2; ++turn) go_on(turn);
  ASSERT_NO_FATAL_FAILURE(End());
  const std::vector<fs::path> states = FilesUnder(folder() + "/states");
  ASSERT_EQ(states.size(), ledgers.size());
  for (size_t i = 0; i < cases.size(); ++i) cases[i].apply(states[i]);
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::map<v1::StateSource, size_t> damaged = {{v1::STATE_SOURCE_DISK, 1},
                                                     {v1::STATE_SOURCE_REPLAYED, cases.size()}};
  EXPECT_EQ(go_on(2), damaged);
  const std::string log = daemon_->log();
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string id = states[i].filename();
    const size_t at = log.find("state=" + id);
    ASSERT_NE(at, std::string::npos) << cases[i].name;
    EXPECT_THAT(log.substr(at, log.find('\n', at) - at), HasSubstr(cases[i].said)) << cases[i].name;
  }
  // They are whole again, and stored as such.
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::map<v1::StateSource, size_t> whole = {{v1::STATE_SOURCE_DISK, ledgers.size()}};
  EXPECT_EQ(go_on(3), whole);
}

TEST_F(DamageTest, AStateThatIsGoneIsMadeAgain) {
  GoOn(0);
  GoOn(1);
  ASSERT_NO_FATAL_FAILURE(End());
  for (const fs::path& state : FilesUnder(folder() + "/states")) fs::remove(state);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  EXPECT_EQ(GoOn(2).state_source(), v1::STATE_SOURCE_REPLAYED);
}

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

// Of several at once, too: where the machine went down before they were on the medium.
TEST_F(DamageTest, AHalfWrittenCommitNeverHappened) {
  std::vector<Ledger> steps = {ledger_};
  for (int turn = 0; turn < 4; ++turn) {
    GoOn(turn);
    steps.push_back(ledger_);
  }
  ASSERT_NO_FATAL_FAILURE(Kill());
  for (const bool half : {false, true}) {
    const fs::path segment = LastSegment();
    const uintmax_t size = fs::file_size(segment);
    fs::resize_file(segment, half ? size / 2 : size - 5);
    ASSERT_NO_FATAL_FAILURE(Start());
    const auto session = client_->GetSession(ledger_.id);
    ASSERT_TRUE(session.ok()) << client::ToString(session.error());
    ASSERT_LT(session.value().revision(), ledger_.revision);
    EXPECT_TRUE(Eventually([&] { return absl::StrContains(daemon_->log(), "log_torn bytes="); }))
        << daemon_->log();
    ledger_ = steps[session.value().revision()];
    ExpectFoundAsKnown();
    ASSERT_NO_FATAL_FAILURE(Kill());
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  GoOn(2);
}

// Whatever a crash cannot have done to a log ends the start, which says where the log is damaged
// and repairs nothing.
TEST_F(DamageTest, ADamagedLogEndsTheStartAndIsLeftAsItIs) {
  GoOn(0);
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(Start({"--compact-log-bytes", "64"}));
  ASSERT_TRUE(Eventually([&] { return !LogFile("image-").empty(); }, kPatience));
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int turn = 1; turn < 8; ++turn) GoOn(turn);
  ASSERT_NO_FATAL_FAILURE(Kill());

  const std::string log = folder() + "/log";
  const std::string good = dir_.File("good");
  fs::copy(log, good);
  const std::map<std::string, std::vector<Case>> cases = {
      {"image-",
       {{"first byte flipped", FlipAt(0), "offset 0: is not a file of a commit log"},
        {"header flipped", FlipAt(20), "offset 0: its header was changed"},
        {"middle flipped", kFlipMiddle, "is damaged"},
        {"last byte flipped", kFlipLast, "is damaged"},
        {"cut in the header", CutTo(30), "offset 0: is cut off in its header"},
        {"cut in half", kHalve, "is damaged"},
        {"emptied", kEmpty, "offset 0: is cut off in its header"},
        {"lengthened", kLengthen, "is damaged"},
        {"gone", kRemove, "is missing"}}},
      {"log-",
       {{"first byte flipped", FlipAt(0), "offset 0: is not a file of a commit log"},
        {"header flipped", FlipAt(20), "offset 0: its header was changed"},
        {"first record flipped", FlipAt(80), "offset 48: is damaged, and records follow"},
        {"middle flipped", kFlipMiddle, "records follow that were written later"},
        {"cut in the header", CutTo(30), "offset 0: is cut off in its header"},
        {"emptied", kEmpty, "offset 0: is cut off in its header"},
        {"gone", kRemove, "is missing"}}}};
  for (const auto& [prefix, damages] : cases) {
    const fs::path file = LogFile(prefix);
    for (const Case& damage : damages) {
      SCOPED_TRACE(prefix + ": " + damage.name);
      damage.apply(file);
      const bool exists = fs::exists(file);
      const std::string bytes = ReadFile(file);
      const Finished refused = RunRefused();
      EXPECT_EQ(refused.status, 1);
      EXPECT_THAT(refused.errors,
                  AllOf(HasSubstr(exists ? file.string() : log), HasSubstr(damage.said)));
      EXPECT_EQ(fs::exists(file), exists);
      EXPECT_EQ(ReadFile(file), bytes) << "a start that fails must not repair";
      fs::remove_all(log);
      fs::copy(good, log);
    }
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  GoOn(8);
}

// Without their log nobody knows whose the stored states are: they are not to be removed for that.
TEST_F(DamageTest, StatesWithoutTheirLogEndTheStartAndAreLeftAsTheyAre) {
  GoOn(0);
  ASSERT_NO_FATAL_FAILURE(End());
  const std::vector<fs::path> states = FilesUnder(folder() + "/states");
  ASSERT_FALSE(states.empty());
  fs::rename(folder() + "/log", dir_.File("log"));
  const Finished refused = RunRefused();
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.errors, HasSubstr(folder() + "/log: there is no commit log"));
  EXPECT_EQ(FilesUnder(folder() + "/states"), states);
  EXPECT_FALSE(fs::exists(folder() + "/log")) << "in the way of the one that is put back";
  fs::rename(dir_.File("log"), folder() + "/log");
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectFoundAsKnown();
  GoOn(1);
}

TEST_F(DamageTest, AFolderInUseIsRefusedAndOneThatAKillLeftIsNot) {
  GoOn(0);
  const Finished second = RunRefused();
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.errors, AllOf(HasSubstr(folder()), HasSubstr("is in use"),
                                   HasSubstr(std::to_string(daemon_->pid()))));
  GoOn(1);
  const std::string lock = folder() + "/LOCK";
  const auto write = [](const std::string& text) {
    return [text](const fs::path& file) { std::ofstream(file, std::ios::trunc) << text; };
  };
  // As the kill left it; of a process that lives, but does not hold it; and of none.
  const std::vector<Damage> leftovers = {[](const auto&) {}, write(std::to_string(getpid()) + "\n"),
                                         write("not a number"), kEmpty};
  for (const Damage& leave : leftovers) {
    ASSERT_NO_FATAL_FAILURE(Kill());
    ASSERT_TRUE(fs::exists(lock));
    leave(lock);
    ASSERT_NO_FATAL_FAILURE(Start());
    ExpectFoundAsKnown();
  }
  GoOn(2);
}

}  // namespace
}  // namespace ssmd::test
