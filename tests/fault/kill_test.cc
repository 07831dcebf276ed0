// kill -9 at random moments under load, and while states are stored, while the log is compacted and
// while a start reads it: what was acknowledged is there after the restart, and goes on exactly.
// SSMD_KILLS=200 is the long mode; SSMD_SEED repeats a run as far as threads allow.
//
// That every single step of a write, a compaction and a recovery may be the last one is shown by
// SessionCrash and CommitLogCrash, on files that are made to fail.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "engine/base/mutex.h"
#include "tests/fault/load_client.h"
#include "tests/fault/state_dir_fixture.h"

namespace ssmd::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kClients = 3;

uint64_t FromEnvironment(const char* name, uint64_t preset) {
  const char* const text = std::getenv(name);
  return text == nullptr ? preset : std::strtoull(text, nullptr, 10);
}

// Whether some file under the folder is being written.
bool HasUnfinished(const std::string& folder) {
  std::error_code error;  // files come and go
  for (fs::recursive_directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    if (file->path().extension() == ".tmp") return true;
  }
  return false;
}

// Counts signs of life, and lets one thread wait for a number of them.
class Tally {
 public:
  void Add() {
    MutexLock lock(&mutex_);
    ++count_;
    changed_.NotifyAll();
  }
  // False when that takes far too long.
  bool WaitFor(size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
    MutexLock lock(&mutex_);
    while (count_ < count) {
      if (!changed_.WaitUntil(&mutex_, deadline)) return false;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

class KillTest : public StateDirFixture {
 protected:
  // Few slots and no host memory to speak of: states are on their way to the disk all the time. The
  // log is rewritten as often as house is kept.
  const std::vector<std::string> small_ = {
      "--state-slots",       "5",  "--host-state-bytes",  "0",  "--dirty-state-bytes",  "0",
      "--max-replay-tokens", "32", "--store-after",       "0",  "--prefix-cache-bytes", "0",
      "--max-queue-time",    "60", "--compact-log-bytes", "64", "--log-level",          "error"};

  // When a daemon is killed: after so many signs of life, perhaps once a file is being written in
  // that folder of the state directory, and a little later.
  struct Moment {
    size_t events = 0;
    const char* writing = nullptr;
    std::chrono::microseconds later{};
  };
  Moment PickMoment(uint64_t kill) {
    switch (kill % 5) {
      case 1:
        return {random_() % 50, "/states", std::chrono::microseconds(random_() % 500)};
      case 3:
        return {random_() % 50, "/log", std::chrono::microseconds(random_() % 500)};
      case 4:
        return {random_() % 600, nullptr, std::chrono::microseconds(random_() % 5000)};
      default:
        return {random_() % 200, nullptr, std::chrono::microseconds(random_() % 5000)};
    }
  }

  // Runs the load, and kills the daemon when the moment has come.
  void LoadAndKill(const Moment& moment) {
    Tally tally;
    std::atomic<bool> killed = false;
    std::vector<std::thread> threads;
    threads.reserve(clients_.size());
    for (LoadClient& load : clients_) {
      threads.emplace_back([&] {
        const client::Error error = load.RunUntilCut(*daemon_->Connect(), [&] { tally.Add(); });
        EXPECT_TRUE(killed) << "before it was killed: " << client::ToString(error);
      });
    }
    EXPECT_TRUE(tally.WaitFor(moment.events));
    if (moment.writing != nullptr) {
      // It may be there for too short a time to be seen; any other moment will do as well.
      Eventually([&] { return HasUnfinished(folder() + moment.writing); }, std::chrono::seconds(3));
    }
    std::this_thread::sleep_for(moment.later);  // the moment, not a wait for something
    killed = true;
    Kill();
    if (moment.writing != nullptr && HasUnfinished(folder() + moment.writing)) ++torn_;
    for (std::thread& thread : threads) thread.join();
  }

  void SettleAll() {
    std::vector<std::thread> threads;
    threads.reserve(clients_.size());
    for (LoadClient& load : clients_) {
      threads.emplace_back([&] { load.Settle(*daemon_->Connect()); });
    }
    for (std::thread& thread : threads) thread.join();
    ExpectNoStrangers();
  }

  // Sessions that nobody was told of are those that were being made; they are given up.
  void ExpectNoStrangers() {
    std::map<std::string, v1::Session> listed;
    v1::ListSessionsRequest request;
    request.set_page_size(1000);
    const auto page = client_->ListSessions(request);
    ASSERT_TRUE(page.ok()) << client::ToString(page.error());
    for (const v1::Session& session : page.value().sessions()) {
      listed[session.session_id()] = session;
    }
    for (const LoadClient& load : clients_) {
      for (const Ledger& ledger : load.sessions()) EXPECT_EQ(listed.erase(ledger.id), 1U);
    }
    std::vector<v1::Session> strangers;
    for (const auto& [id, session] : listed) {
      strangers.push_back(session);
      EXPECT_FALSE(client_->DeleteSession(id).has_value());
    }
    for (LoadClient& load : clients_) strangers = load.Claim(strangers);
    for (const v1::Session& session : strangers) {
      ADD_FAILURE() << "nobody asked for " << session.ShortDebugString();
    }
  }

  // That the crashes met what they were to meet.
  void ExpectMuchSeen() {
    LoadClient::Seen seen;
    for (const LoadClient& load : clients_) {
      seen.cut += load.seen().cut;
      seen.cut_committed += load.seen().cut_committed;
      seen.left += load.seen().left;
      seen.left_partly += load.seen().left_partly;
      seen.from_disk += load.seen().from_disk;
      seen.replayed += load.seen().replayed;
    }
    const std::map<std::string, int> counts = {{"torn_files", torn_},
                                               {"cut", seen.cut},
                                               {"cut_committed", seen.cut_committed},
                                               {"left", seen.left},
                                               {"left_partly", seen.left_partly},
                                               {"from_disk", seen.from_disk},
                                               {"replayed", seen.replayed}};
    for (const auto& [name, count] : counts) {
      RecordProperty(name, count);
      std::cout << name << " " << count << "\n";
    }
    EXPECT_GT(seen.cut, 0);
    EXPECT_GT(seen.left, 0);
    EXPECT_GT(seen.from_disk, 0);
    EXPECT_GT(seen.replayed, 0);
  }

  std::mt19937_64 random_;
  std::vector<LoadClient> clients_;
  int torn_ = 0;  // kills that left a file half written
};

TEST_F(KillTest, EverySessionGoesOnFromItsLastAcknowledgedCommit) {
  const uint64_t kills = FromEnvironment("SSMD_KILLS", 20);
  const uint64_t seed = FromEnvironment("SSMD_SEED", 1);
  random_.seed(seed);
  ASSERT_NO_FATAL_FAILURE(StartOracle());
  for (size_t i = 0; i < kClients; ++i) clients_.emplace_back(random_(), oracle_.get());
  ASSERT_NO_FATAL_FAILURE(Start(small_));
  for (uint64_t kill = 0; kill < kills && !HasFailure(); ++kill) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", kill " + std::to_string(kill));
    ASSERT_NO_FATAL_FAILURE(LoadAndKill(PickMoment(kill)));
    for (uint64_t starts = random_() % 3; starts > 0; --starts) {
      StartAndKill(small_, std::chrono::microseconds(random_() % 20000));
    }
    ASSERT_NO_FATAL_FAILURE(Start(small_));
    SettleAll();
  }
  for (const LoadClient& load : clients_) {
    for (const Ledger& ledger : load.sessions()) ExpectHistoryIsGreedy(*oracle_, ledger.history);
  }
  ExpectMuchSeen();
}

}  // namespace
}  // namespace ssmd::test
