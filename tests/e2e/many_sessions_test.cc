// Far more sessions than slots: they wait in host memory and on disk within a stated budget, and a
// turn on any of them is the same as if it had been the only one. SSMD_SESSIONS=10000 for as many.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

constexpr size_t kSlots = 32;
constexpr size_t kInHost = 64;
constexpr size_t kClients = 4;
constexpr int kAnswerTokens = 3;  // of an answer

size_t SessionCount() {
  const char* const text = std::getenv("SSMD_SESSIONS");
  return text == nullptr ? 1000 : std::strtoull(text, nullptr, 10);
}

// The value of a line of /metrics.
int64_t Metric(const std::string& metrics, const std::string& series) {
  for (const auto line : absl::StrSplit(metrics, '\n')) {
    if (line.size() > series.size() && line.substr(0, series.size()) == series) {
      return std::atoll(std::string(line.substr(series.size())).c_str());
    }
  }
  ADD_FAILURE() << "no metric " << series;
  return 0;
}

class ManySessionsTest : public SessionFixture {
 protected:
  struct Held {
    std::string id;
    std::vector<int32_t> history;
  };

  // Runs `work` for each of 0 to count − 1, in that order as far as a few clients at once allow.
  template <typename Work>
  void ForEach(const char* what, size_t count, const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    std::atomic<size_t> next = 0;
    std::vector<std::thread> threads;
    threads.reserve(kClients);
    for (size_t i = 0; i < kClients; ++i) {
      threads.emplace_back([&] {
        const auto client = daemon_->Connect();
        for (size_t j = next++; j < count && !HasFailure(); j = next++) work(*client, j);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    RecordProperty(absl::StrCat(what, "_seconds"), absl::StrFormat("%.2f", took.count()));
  }
  static v1::GenerateRequest Ask(const std::string& id, const std::vector<int32_t>& prompt) {
    v1::GenerateRequest request = GreedyRequest("", kAnswerTokens);
    request.set_session_id(id);
    SetTokens(prompt, &request);
    return request;
  }
  // No two sessions have the same history.
  static std::vector<int32_t> PromptOf(size_t session) {
    return {static_cast<int32_t>(1 + session % 2000), static_cast<int32_t>(1 + session / 2000), 300,
            400};
  }
  static void Say(client::Client& client, Held* session, const std::vector<int32_t>& prompt) {
    std::vector<int32_t> whole = session->history;
    Append(prompt, &whole);
    const Turn truth = RunTurn(client, Ask("", whole));
    ASSERT_FALSE(truth.error) << truth.Describe();
    ASSERT_EQ(truth.final.usage().reused_tokens(), 0);
    const Turn turn = RunTurn(client, Ask(session->id, prompt));
    ASSERT_FALSE(turn.error) << turn.Describe();
    ASSERT_EQ(turn.only().ids, truth.only().ids)
        << "from " << v1::StateSource_Name(turn.final.state_source());
    ASSERT_EQ(turn.final.usage().recomputed_tokens(), 0);
    Append(prompt, &session->history);
    Append(turn.only().ids, &session->history);
  }
  int64_t Loads(const char* source) {
    return Metric(HttpGet(daemon_->http(), "/metrics").body,
                  absl::StrCat("ssmd_state_loads_total{model=\"tales\",source=\"", source, "\"}"));
  }

  const TempDir dir_;
};

TEST_F(ManySessionsTest, RandomTurnsOverAllOfThemAreExactAndTheMetricsSayWhereTheyWere) {
  const size_t count = SessionCount();
  const std::vector<v1::Model> models = [&] {
    const auto daemon = Daemon::Start();
    return daemon == nullptr ? std::vector<v1::Model>() : daemon->Connect()->ListModels().value();
  }();
  ASSERT_EQ(models.size(), 1U);
  const auto state_bytes = static_cast<size_t>(models[0].state_bytes_per_session());
  // The state that the log knows and its successor, until the log has a record of that one, with
  // what a snapshot has around it; and those that are in memory.
  const size_t disk_bytes = (2 * count + kInHost + kSlots) * (state_bytes + 4096);
  ASSERT_NO_FATAL_FAILURE(Start(
      {"--state-dir", dir_.File("state"), "--state-slots", std::to_string(kSlots),
       "--host-state-bytes", std::to_string(kInHost * state_bytes), "--disk-state-bytes",
       std::to_string(disk_bytes), "--turn-end-bytes", "0", "--prefix-cache-bytes", "0",
       "--max-sessions", std::to_string(count), "--max-queue-time", "60", "--log-level", "error"}));

  std::vector<Held> sessions(count);
  ForEach("create", count, [&](client::Client& client, size_t i) {
    const auto session = client.CreateSession("");
    ASSERT_TRUE(session.ok()) << client::ToString(session.error());
    sessions[i].id = session.value().session_id();
    const Turn turn = RunTurn(client, Ask(sessions[i].id, PromptOf(i)));
    ASSERT_FALSE(turn.error) << turn.Describe();
    sessions[i].history = PromptOf(i);
    Append(turn.only().ids, &sessions[i].history);
  });
  ASSERT_FALSE(HasFailure());

  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  ForEach("turns", count, [&](client::Client& client, size_t i) {
    Say(client, &sessions[order[i]], {static_cast<int32_t>(500 + i % 1000), 7});
  });
  ASSERT_FALSE(HasFailure());
  // Those that were used last are still in slots, and those before them in host memory.
  ForEach("recent", std::min(count, kSlots + kInHost / 2), [&](client::Client& client, size_t i) {
    Say(client, &sessions[order[count - 1 - i]], {9, 10});
  });

  for (const char* source : {"fresh", "resident", "host", "disk"}) {
    RecordProperty(source, std::to_string(Loads(source)));
    EXPECT_GT(Loads(source), 0) << source;
  }
  EXPECT_EQ(Loads("replayed"), 0);
  EXPECT_GE(Loads("disk"), static_cast<int64_t>(count / 2));
  const auto stats = client_->GetStats();
  ASSERT_TRUE(stats.ok());
  EXPECT_LE(stats.value().state_dir().stored_bytes(), static_cast<int64_t>(disk_bytes));
  EXPECT_EQ(stats.value().state_dir().store_failures(), 0);
  const v1::ModelStats& model = stats.value().models(0);
  EXPECT_EQ(model.sessions(), static_cast<int64_t>(count));
  EXPECT_LE(model.device_states(), static_cast<int64_t>(kSlots));
  EXPECT_LE(model.host_bytes(), model.host_bytes_limit());
}

}  // namespace
}  // namespace ssmd::test
