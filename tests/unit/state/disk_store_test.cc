#include "engine/state/disk_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/state/snapshot_fixture.h"

namespace ssmd {
namespace {

using ::testing::AllOf;
using testing::Bytes;
using ::testing::ElementsAre;
using testing::FaultFileSystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeSnapshot;
using ::testing::Not;
using Crash = testing::FaultFileSystem::Crash;
using Fault = testing::FaultFileSystem::Fault;

constexpr char kFolder[] = "/state/states";
constexpr size_t kStateBytes = 256;

std::string Id(int number) { return absl::StrFormat("%02x%030x", number % 5, number); }
std::string PathOf(int number) {
  return std::string(kFolder) + "/" + Id(number).substr(0, 2) + "/" + Id(number);
}

// States that differ by their number.
Snapshot State(int number) { return MakeSnapshot(number + 10, 1, false, kStateBytes); }

SnapshotLimits Limits() {
  SnapshotLimits limits;
  limits.state_bytes = kStateBytes;
  return limits;
}

std::future<absl::Status> StartPut(StateStore* store, std::string id, Snapshot state) {
  auto promise = std::make_shared<std::promise<absl::Status>>();
  store->Put(std::move(id), std::move(state),
             [promise](absl::Status status) { promise->set_value(std::move(status)); });
  return promise->get_future();
}

std::future<absl::StatusOr<Snapshot>> StartGet(StateStore* store, std::string id,
                                               SnapshotLimits limits = Limits()) {
  auto promise = std::make_shared<std::promise<absl::StatusOr<Snapshot>>>();
  store->Get(std::move(id), limits,
             [promise](absl::StatusOr<Snapshot> state) { promise->set_value(std::move(state)); });
  return promise->get_future();
}

absl::Status Put(StateStore* store, int number) {
  return StartPut(store, Id(number), State(number)).get();
}
absl::StatusOr<Snapshot> Get(StateStore* store, int number) {
  return StartGet(store, Id(number)).get();
}
// The writing thread is past everything before, once it has answered.
void Delete(StateStore* store, int number) {
  store->Delete(Id(number));
  EXPECT_FALSE(StartPut(store, "no id", State(0)).get().ok());
}

class DiskStoreTest : public ::testing::Test {
 protected:
  DiskStoreTest() {
    options_.directory = kFolder;
    options_.files = &files_;
  }

  std::unique_ptr<StateStore> Open() {
    auto store = OpenDiskStore(options_);
    EXPECT_EQ(store.status(), absl::OkStatus());
    return store.ok() ? *std::move(store) : nullptr;
  }

  FaultFileSystem files_;
  DiskStoreOptions options_;
};

TEST_F(DiskStoreTest, GivesBackWhatItWasGiven) {
  for (const bool reopened : {false, true}) {
    const auto store = Open();
    if (!reopened) {
      EXPECT_EQ(Put(store.get(), 1), absl::OkStatus());
      EXPECT_EQ(Put(store.get(), 2), absl::OkStatus());
    }
    for (const int number : {1, 2}) {
      const auto state = Get(store.get(), number);
      ASSERT_EQ(state.status(), absl::OkStatus());
      EXPECT_EQ(Bytes(*state), Bytes(State(number)));
    }
    EXPECT_THAT(*store->List(), ElementsAre(Id(1), Id(2)));
  }
}

TEST_F(DiskStoreTest, KeepsStatesAndNoSessions) {
  const auto store = Open();
  ASSERT_TRUE(StartPut(store.get(), Id(1), MakeSnapshot(20, 1, true, kStateBytes)).get().ok());
  const auto state = Get(store.get(), 1);
  ASSERT_EQ(state.status(), absl::OkStatus());
  EXPECT_FALSE(state->session.has_value());
  EXPECT_EQ(files_.Read(PathOf(1)), Bytes(MakeSnapshot(20, 1, false, kStateBytes)));
}

TEST_F(DiskStoreTest, KnowsNothingOfWhatIsNotThere) {
  const auto store = Open();
  EXPECT_EQ(Get(store.get(), 1).status().code(), absl::StatusCode::kNotFound);
  store->Delete(Id(1));
  ASSERT_TRUE(Put(store.get(), 1).ok());
  Delete(store.get(), 1);
  EXPECT_EQ(Get(store.get(), 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->figures().failures, 3);  // two gets, and the put that Delete waits for
}

TEST_F(DiskStoreTest, RefusesNamesThatAreNotIds) {
  const auto store = Open();
  for (const std::string& id : {std::string(), std::string("../../../../etc/passwd"),
                                std::string(31, 'a'), std::string(33, 'a'), std::string(32, 'A'),
                                std::string(30, 'a') + "/x", std::string(31, 'a') + '\0'}) {
    EXPECT_EQ(StartPut(store.get(), id, State(1)).get().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(StartGet(store.get(), id).get().status().code(), absl::StatusCode::kInvalidArgument);
    store->Delete(id);
  }
  EXPECT_THAT(*store->List(), IsEmpty());
}

TEST_F(DiskStoreTest, WritesANameOnce) {
  const auto store = Open();
  ASSERT_TRUE(Put(store.get(), 1).ok());
  EXPECT_EQ(StartPut(store.get(), Id(1), State(2)).get().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Bytes(*Get(store.get(), 1)), Bytes(State(1)));
}

TEST_F(DiskStoreTest, HoldsItsLimitOfBytes) {
  const auto size = static_cast<int64_t>(Bytes(State(1)).size());
  options_.bytes_limit = 3 * size - 1;
  {
    const auto store = Open();
    EXPECT_TRUE(Put(store.get(), 1).ok());
    EXPECT_TRUE(Put(store.get(), 2).ok());
    const int64_t operations = files_.operations();
    const absl::Status status = Put(store.get(), 3);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(3 * size - 1)));
    EXPECT_EQ(files_.operations(), operations);  // not even begun
    EXPECT_EQ(store->figures().bytes, 2 * size);
    EXPECT_EQ(store->figures().bytes_limit, 3 * size - 1);
  }
  // What is there from before counts too, until it is deleted.
  const auto store = Open();
  EXPECT_EQ(Put(store.get(), 3).code(), absl::StatusCode::kResourceExhausted);
  Delete(store.get(), 1);
  EXPECT_TRUE(Put(store.get(), 3).ok());
  EXPECT_EQ(store->figures().states, 2);
}

TEST_F(DiskStoreTest, GoesOnWhereTheDiskWasFull) {
  const auto store = Open();
  ASSERT_TRUE(Put(store.get(), 1).ok());
  // Create, Append, Append, Sync, Rename, SyncDirectory.
  for (int64_t operation = 0; operation < 6; ++operation) {
    files_.FailAt(operation, Fault::kFull);
    const absl::Status status = Put(store.get(), 6);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("the stored state"), Not(HasSubstr(kFolder))));
    EXPECT_THAT(files_.Paths(), ElementsAre(PathOf(1))) << operation;
    EXPECT_THAT(*store->List(), ElementsAre(Id(1)));
  }
  EXPECT_EQ(store->figures().failures, 6);
  EXPECT_TRUE(Put(store.get(), 6).ok());
  EXPECT_TRUE(Get(store.get(), 6).ok());
}

TEST_F(DiskStoreTest, CountsWhatItCannotRemove) {
  const auto store = Open();
  ASSERT_TRUE(Put(store.get(), 1).ok());
  files_.FailAt(0, Fault::kBroken);
  Delete(store.get(), 1);
  EXPECT_EQ(store->figures().states, 1);
  EXPECT_GT(store->figures().bytes, 0);
}

TEST_F(DiskStoreTest, RefusesFilesThatWereChanged) {
  const auto store = Open();
  ASSERT_TRUE(Put(store.get(), 1).ok());
  const std::string whole = files_.Read(PathOf(1));
  for (const std::string& bytes : {std::string(), whole.substr(0, whole.size() - 1), whole + "x",
                                   whole.substr(0, whole.size() - 1) + "x"}) {
    files_.Write(PathOf(1), bytes);
    EXPECT_EQ(Get(store.get(), 1).status().code(), absl::StatusCode::kDataLoss);
  }
  files_.Write(PathOf(1), whole);
  EXPECT_TRUE(Get(store.get(), 1).ok());
}

TEST_F(DiskStoreTest, AsksForNoMemoryBeyondItsLimits) {
  const auto store = Open();
  ASSERT_TRUE(Put(store.get(), 1).ok());
  SnapshotLimits limits = Limits();
  limits.state_bytes = 128;
  EXPECT_EQ(StartGet(store.get(), Id(1), limits).get().status().code(),
            absl::StatusCode::kFailedPrecondition);
  files_.Write(PathOf(1), std::string(9 << 20, '\0'));
  const auto state = Get(store.get(), 1);
  EXPECT_EQ(state.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(state.status().message()), HasSubstr("9437184 bytes"));
}

TEST_F(DiskStoreTest, RemovesTemporaryFilesAndLeavesOthersAlone) {
  { ASSERT_TRUE(Put(Open().get(), 1).ok()); }
  files_.Write(PathOf(6) + ".tmp", "half a state");
  const std::string foreign[] = {std::string(kFolder) + "/README",
                                 std::string(kFolder) + "/01/notes.tmp",
                                 std::string(kFolder) + "/01/" + Id(2),  // belongs into 02
                                 std::string(kFolder) + "/zz/" + Id(3)};
  for (const std::string& path : foreign) files_.Write(path, "something");
  const auto store = Open();
  EXPECT_THAT(*store->List(), ElementsAre(Id(1)));
  EXPECT_EQ(store->figures().bytes, static_cast<int64_t>(Bytes(State(1)).size()));
  EXPECT_THAT(files_.Paths(), ::testing::UnorderedElementsAre(PathOf(1), foreign[0], foreign[1],
                                                              foreign[2], foreign[3]));
}

TEST_F(DiskStoreTest, AnswersEveryCallBeforeItGoes) {
  std::vector<std::future<absl::Status>> puts;
  std::vector<std::future<absl::StatusOr<Snapshot>>> gets;
  {
    auto store = Open();
    ASSERT_TRUE(Put(store.get(), 0).ok());
    for (int i = 1; i <= 50; ++i) {
      puts.push_back(StartPut(store.get(), Id(i), State(i)));
      gets.push_back(StartGet(store.get(), Id(0)));
    }
  }
  for (auto& put : puts) {
    ASSERT_EQ(put.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    const absl::Status status = put.get();
    EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
  }
  for (auto& get : gets) {
    ASSERT_EQ(get.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    const absl::Status status = get.get().status();
    EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
  }
}

// Calls that are made again as long as they are not cancelled: so one of each waits whenever the
// store goes.
TEST_F(DiskStoreTest, CancelsWhatWaitsWhenItGoes) {
  bool put_cancelled = false;
  bool get_cancelled = false;
  auto owned = Open();
  StateStore* store = owned.get();
  std::function<void()> put = [&] {
    store->Put("no id", State(1), [&](const absl::Status& status) {
      put_cancelled = absl::IsCancelled(status);
      if (!put_cancelled) put();
    });
  };
  std::function<void()> get = [&] {
    store->Get("no id", Limits(), [&](const absl::StatusOr<Snapshot>& state) {
      get_cancelled = absl::IsCancelled(state.status());
      if (!get_cancelled) get();
    });
  };
  put();
  get();
  owned.reset();
  EXPECT_TRUE(put_cancelled);
  EXPECT_TRUE(get_cancelled);
}

TEST_F(DiskStoreTest, ReadsWhileItWrites) {
  const auto store = Open();
  ASSERT_TRUE(Put(store.get(), 1).ok());
  const auto go_on = std::make_shared<std::promise<void>>();
  store->Put(Id(2), State(2), [go_on](const absl::Status&) { go_on->get_future().wait(); });
  EXPECT_TRUE(Get(store.get(), 1).ok());  // though the writing thread is held up
  go_on->set_value();
}

TEST_F(DiskStoreTest, CountsItsCalls) {
  const auto store = Open();
  ASSERT_TRUE(Put(store.get(), 1).ok());
  ASSERT_TRUE(Get(store.get(), 1).ok());
  ASSERT_TRUE(Get(store.get(), 1).ok());
  const StoreFigures figures = store->figures();
  EXPECT_EQ(figures.states, 1);
  EXPECT_EQ(figures.bytes, static_cast<int64_t>(Bytes(State(1)).size()));
  EXPECT_EQ(figures.bytes_limit, 0);
  EXPECT_EQ(figures.queued, 0);
  EXPECT_EQ(figures.puts, 1);
  EXPECT_EQ(figures.gets, 2);
  EXPECT_EQ(figures.failures, 0);
}

// A crash at every operation of a random sequence.

struct CrashCase {
  std::string name;
  Crash crash;
  uint32_t seed;
};
class DiskStoreCrashTest : public DiskStoreTest, public ::testing::WithParamInterface<CrashCase> {};

enum class Expected { kThere, kGone, kEither };

// Returns what must be there of each number after a crash.
std::map<int, Expected> RunScript(const DiskStoreOptions& options, const FaultFileSystem& files,
                                  uint32_t seed) {
  std::map<int, Expected> expected;
  const auto store = OpenDiskStore(options);
  if (!store.ok()) return expected;
  std::mt19937 random(seed);
  for (int number = 0; number < 12 && !files.crashed(); ++number) {
    expected[number] = Put(store->get(), number).ok() ? Expected::kThere : Expected::kEither;
    const int victim = static_cast<int>(random() % 20);
    if (victim <= number && expected[victim] == Expected::kThere) {
      Delete(store->get(), victim);
      expected[victim] = Expected::kEither;  // a deletion is not synced
    }
  }
  return expected;
}

TEST_P(DiskStoreCrashTest, KeepsWhatWasAcknowledgedWhole) {
  bool crashed = true;
  for (int64_t operation = 0; crashed; ++operation) {
    SCOPED_TRACE(operation);
    FaultFileSystem files;
    options_.files = &files;
    files.FailAt(operation, Fault::kCrash);
    const std::map<int, Expected> expected = RunScript(options_, files, GetParam().seed);
    crashed = files.crashed();
    files.Restart(GetParam().crash, static_cast<uint32_t>(operation));

    const auto store = Open();
    const std::vector<std::string> ids = *store->List();
    int64_t bytes = 0;
    for (const auto& [number, wanted] : expected) {
      const auto state = Get(store.get(), number);
      const bool listed = std::count(ids.begin(), ids.end(), Id(number)) > 0;
      EXPECT_EQ(state.ok(), listed) << state.status();
      if (state.ok()) {
        EXPECT_EQ(Bytes(*state), Bytes(State(number)));
        bytes += static_cast<int64_t>(Bytes(*state).size());
      } else {
        EXPECT_EQ(state.status().code(), absl::StatusCode::kNotFound);
        EXPECT_NE(wanted, Expected::kThere) << number;
      }
    }
    EXPECT_EQ(store->figures().bytes, bytes);
    for (const std::string& path : files.Paths()) EXPECT_THAT(path, Not(HasSubstr(".tmp")));
    if (HasFailure()) return;
  }
}

std::vector<CrashCase> CrashCases() {
  std::vector<CrashCase> cases;
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    cases.push_back({"OfTheProcess" + std::to_string(seed), Crash::kProcess, seed});
    cases.push_back({"OfTheMachine" + std::to_string(seed), Crash::kMachine, seed});
    cases.push_back({"OfTheMachineTorn" + std::to_string(seed), Crash::kMachineTorn, seed});
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Cases, DiskStoreCrashTest, ::testing::ValuesIn(CrashCases()),
                         [](const auto& test) { return test.param.name; });

// On the machine's own disk.

TEST(DiskStoreOnDisk, KeepsItsFilesFromOthers) {
  const testing::TempFolder folder;
  DiskStoreOptions options;
  options.directory = folder.File("states");
  for (int round = 0; round < 2; ++round) {
    const auto store = OpenDiskStore(options);
    ASSERT_EQ(store.status(), absl::OkStatus());
    ASSERT_EQ(Put(store->get(), round), absl::OkStatus());
    for (int number = 0; number <= round; ++number) {
      EXPECT_EQ(Get(store->get(), number).status(), absl::OkStatus());
    }
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options.directory)) {
    struct stat info = {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, entry.is_directory() ? 0700u : 0600u) << entry.path();
  }
}

TEST(DiskStoreOnDisk, SaysWhichFolderCannotBeUsed) {
  const testing::TempFolder folder;
  DiskStoreOptions options;
  for (const std::string& path : {folder.Write("file", ""), folder.File("absent/states")}) {
    options.directory = path;
    EXPECT_THAT(std::string(OpenDiskStore(options).status().message()), HasSubstr(path));
  }
  options.bytes_limit = -1;
  EXPECT_EQ(OpenDiskStore(options).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ssmd
