// kill -9 at random moments under load: what was acknowledged is there after the restart, and goes
// on exactly. SSMD_KILLS=200 is the long mode; SSMD_SEED repeats a run as far as threads allow.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "engine/base/mutex.h"
#include "tests/fault/load_client.h"
#include "tests/fault/state_dir_fixture.h"

namespace ssmd::test {
namespace {

constexpr size_t kClients = 3;

uint64_t FromEnvironment(const char* name, uint64_t preset) {
  const char* const text = std::getenv(name);
  return text == nullptr ? preset : std::strtoull(text, nullptr, 10);
}

// Counts signs of life, and lets one thread wait for a number of them.
class Tally {
 public:
  void Add() {
    MutexLock lock(&mutex_);
    ++count_;
    changed_.NotifyAll();
  }
  // False when that takes more than a minute.
  bool WaitFor(size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
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
  // Few slots and no host memory to speak of: states are on their way to the disk all the time.
  void StartSmall() {
    Start({"--state-slots", "5", "--host-state-bytes", "0", "--dirty-state-bytes", "0",
           "--max-replay-tokens", "32", "--store-after", "0", "--prefix-cache-bytes", "0",
           "--max-queue-time", "60", "--log-level", "error"});
  }

  // Runs the load and kills the daemon when it has answered so often, and a little later.
  void LoadAndKill(size_t events, std::chrono::microseconds later) {
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
    EXPECT_TRUE(tally.WaitFor(events));
    std::this_thread::sleep_for(later);  // the moment, not a wait for something
    killed = true;
    Kill();
    for (std::thread& thread : threads) thread.join();
  }

  void SettleAll() {
    std::vector<std::thread> threads;
    threads.reserve(clients_.size());
    for (LoadClient& load : clients_) {
      threads.emplace_back([&] { load.Settle(*daemon_->Connect(), *oracle_); });
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
    for (const auto& [id, session] : listed) {
      EXPECT_TRUE(std::any_of(clients_.begin(), clients_.end(),
                              [&s = session](LoadClient& load) { return load.Claims(s); }))
          << "nobody asked for " << session.ShortDebugString();
      EXPECT_FALSE(client_->DeleteSession(id).has_value());
    }
  }

  std::vector<LoadClient> clients_;
};

TEST_F(KillTest, EverySessionGoesOnFromItsLastAcknowledgedCommit) {
  const uint64_t kills = FromEnvironment("SSMD_KILLS", 20);
  const uint64_t seed = FromEnvironment("SSMD_SEED", 1);
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < kClients; ++i) clients_.emplace_back(random());
  ASSERT_NO_FATAL_FAILURE(StartOracle());
  ASSERT_NO_FATAL_FAILURE(StartSmall());
  for (uint64_t kill = 0; kill < kills && !HasFailure(); ++kill) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", kill " + std::to_string(kill));
    const size_t events = random() % (kill % 5 == 4 ? 1000 : 200);
    ASSERT_NO_FATAL_FAILURE(LoadAndKill(events, std::chrono::microseconds(random() % 5000)));
    ASSERT_NO_FATAL_FAILURE(StartSmall());
    SettleAll();
  }
  LoadClient::Seen seen;
  for (const LoadClient& load : clients_) {
    for (const Ledger& ledger : load.sessions()) ExpectHistoryIsGreedy(*oracle_, ledger.history);
    seen.cut += load.seen().cut;
    seen.cut_committed += load.seen().cut_committed;
    seen.from_disk += load.seen().from_disk;
    seen.replayed += load.seen().replayed;
  }
  RecordProperty("cut", seen.cut);
  RecordProperty("cut_committed", seen.cut_committed);
  RecordProperty("from_disk", seen.from_disk);
  RecordProperty("replayed", seen.replayed);
  EXPECT_GT(seen.cut, 0);
  EXPECT_GT(seen.from_disk, 0);
  EXPECT_GT(seen.replayed, 0);
}

}  // namespace
}  // namespace ssmd::test
