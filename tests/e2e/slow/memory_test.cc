// Memory does not grow with the number of requests that were served.
#include <gtest/gtest.h>

#include <atomic>
#include <sstream>
#include <thread>

#include "tests/support/daemon.h"
#include "tests/support/turn.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SSMD_SANITIZED 1
#endif

namespace ssmd::test {
namespace {

// Resident bytes of a process, as the kernel counts them.
int64_t ResidentBytes(pid_t pid) {
  std::istringstream lines(ReadFile("/proc/" + std::to_string(pid) + "/smaps_rollup"));
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, 4, "Rss:") == 0) return std::stoll(line.substr(4)) * 1024;
  }
  return 0;
}

// Small requests of every kind: turns with text and stops, sessions, scores, vectors, refusals,
// cancels.
void RunMixed(client::Client& client, int number) {
  v1::GenerateRequest request =
      SeededRequest("Once upon a time", 1 + number % 3, static_cast<uint64_t>(number));
  switch (number % 8) {
    case 0: {
      const auto session = client.CreateSession("");
      ASSERT_TRUE(session.ok());
      request.set_session_id(session.value().session_id());
      ASSERT_FALSE(RunTurn(client, request).error);
      ASSERT_FALSE(client.DeleteSession(request.session_id()).has_value());
      return;
    }
    case 1: {
      v1::ScoreRequest score;
      score.set_text("a little dog");
      ASSERT_TRUE(client.Score(score).ok());
      v1::EncodeRequest encode;
      encode.set_text("a little dog");
      ASSERT_TRUE(client.Encode(encode).ok());
      return;
    }
    case 2:
      request.set_model("nobody");
      ASSERT_TRUE(RunTurn(client, request).error);
      return;
    case 3: {
      client::Generation dropped = client.Generate(GreedyRequest("Lily", 1000), {});
      ASSERT_TRUE(dropped.Next().has_value());
      return;
    }
    case 4:
      request.mutable_stop()->add_strings(" the");
      request.set_logprobs(2);
      break;
    default:
      break;
  }
  ASSERT_FALSE(RunTurn(client, request).error);
}

void RunRequests(client::Client& client, int count) {
  constexpr int kClients = 8;
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  threads.reserve(kClients);
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&] {
      for (int number; (number = next.fetch_add(1)) < count;) RunMixed(client, number);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Memory, GrowsByLessThanAHundredBytesARequest) {
#ifdef SSMD_SANITIZED
  GTEST_SKIP() << "a sanitizer keeps freed memory: resident bytes mean nothing";
#endif
  constexpr int kWarmUp = 2000;
  constexpr int kMeasured = 10000;
  const auto daemon = Daemon::Start({"--log-level", "error"});
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  RunRequests(*client, kWarmUp);
  const int64_t before = ResidentBytes(daemon->pid());
  RunRequests(*client, kMeasured);
  const int64_t after = ResidentBytes(daemon->pid());
  ASSERT_GT(before, 0);
  const double growth = static_cast<double>(after - before) / kMeasured;
  RecordProperty("bytes_per_request", std::to_string(growth));
  EXPECT_LT(growth, 100) << "from " << before << " to " << after << " bytes";
}

}  // namespace
}  // namespace ssmd::test
