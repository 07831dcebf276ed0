// Random traffic from several threads: turns with and without sessions, several choices, stops of
// every kind, cancellations, deletions, readers that stall, scores. Whatever completes is what the
// oracle says, whatever does not leaves its session as it was, and in the end every slot is free.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <random>
#include <thread>

#include "engine/base/errors.h"
#include "tests/unit/schedule/check_answer.h"

namespace ssmd::testing {
namespace {

struct Traffic {
  const char* name;
  int clients;
  int operations;  // per client
  int slots;
  int token_budget;
  int output_events;
};

struct HeldSession {
  std::string id;
  OracleSession content;
  uint64_t revision = 0;
};

class Client {
 public:
  Client(Engine* engine, int number, uint32_t seed)
      : engine_(engine), tenant_("tenant" + std::to_string(number)), random_(seed) {}

  void Run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) Operate();
    while (!sessions_.empty()) Delete(0);
  }
  int completed() const { return completed_; }
  int cut_short() const { return cut_short_; }

 private:
  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool Chance(int percent) { return Pick(1, 100) <= percent; }

  std::vector<int32_t> Tokens(int low, int high) {
    std::vector<int32_t> ids(static_cast<size_t>(Pick(low, high)));
    for (int32_t& id : ids) id = Pick(1, 26);
    return ids;
  }

  GenerateRequest RandomRequest() {
    static const std::vector<std::string> kStops = {
        "ab", "bc", "abc", "ca", "d", "\xC3\xA9", "bb", "z", "dda", "cabc", "\xE2\x82\xACz"};
    GenerateRequest request = Request(Tokens(Chance(20) ? 0 : 1, Chance(20) ? 60 : 9), Pick(0, 24));
    request.tenant = tenant_;
    request.sampling.temperature = Chance(40) ? 0 : 1;
    request.sampling.seed = random_();
    request.sampling.top_k = Chance(30) ? Pick(1, 10) : 0;
    if (Chance(30)) {
      request.sampling.penalties.repetition = 1.3f;
      request.sampling.penalties.frequency = 0.5f;
      request.sampling.penalties.window = Pick(0, 30);
    }
    if (Chance(20)) request.sampling.penalties.logit_bias = {{3, 2.0f}};
    for (int stops = Chance(60) ? Pick(1, 3) : 0; stops > 0; --stops) {
      request.stop.strings.push_back(kStops[static_cast<size_t>(Pick(0, 10))]);
    }
    if (Chance(20)) request.stop.token_ids = {Pick(1, 26)};
    request.stop.ignore_eos = Chance(70);
    request.stop.history = Chance(70) ? StopHistory::kTrim : StopHistory::kKeep;
    request.choices = Chance(20) ? Pick(2, 3) : 1;
    request.echo = Chance(20);
    if (Chance(30)) request.top_logprobs = Pick(0, 4);
    request.priority = static_cast<Priority>(Pick(-1, 1));
    return request;
  }

  void Operate() {
    if (Chance(10)) {
      Score();
    } else if (Chance(10)) {
      Encode();
    } else if (Chance(50)) {
      Turn(nullptr);
    } else if (sessions_.size() < 2 || Chance(5)) {
      auto created = CreateSession(engine_, tenant_);
      ASSERT_TRUE(created.ok()) << created.status();
      sessions_.push_back({created->session_id, {}, 0});
    } else if (Chance(5)) {
      Delete(static_cast<size_t>(Pick(0, static_cast<int>(sessions_.size()) - 1)));
    } else {
      Turn(&sessions_[static_cast<size_t>(Pick(0, static_cast<int>(sessions_.size()) - 1))]);
    }
  }

  void Delete(size_t index) {
    const absl::Status deleted = engine_->DeleteSession(tenant_, sessions_[index].id, std::nullopt);
    EXPECT_TRUE(deleted.ok()) << deleted;
    sessions_.erase(sessions_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  void Turn(HeldSession* session) {
    GenerateRequest request = RandomRequest();
    const OracleSession before = session == nullptr ? OracleSession() : session->content;
    if (session != nullptr) {
      request.session_id = session->id;
      if (Chance(50)) request.expected_revision = session->revision;
    }
    auto stream = engine_->Generate(request, "r");
    if (!stream.ok()) {
      Refused(stream.status(), request, before);
      return;
    }
    const Answer answer = Read(stream->get(), session);
    if (deleted_while_running_) {
      deleted_while_running_ = false;
      sessions_.erase(sessions_.begin() + (session - sessions_.data()));
      session = nullptr;
    }
    if (!answer.status.ok()) {
      // A waiting turn may find that sessions have come to hold the slots it needs.
      EXPECT_TRUE(absl::IsCancelled(answer.status) || ReasonOf(answer.status) == reason::kSlotsHeld)
          << answer.status;
      ++cut_short_;
      if (session != nullptr) CheckUnchanged(*session);
      return;
    }
    ++completed_;
    const auto expected = CheckAnswer(&oracle_, answer, request, before);
    if (request.session_id.empty()) return;
    if (request.choices == 1) {
      if (session != nullptr) TakeOn(session, answer.choices.at(0), expected[0]);
    } else {
      if (session != nullptr) CheckUnchanged(*session);
      for (const auto& [index, choice] : answer.choices) {
        sessions_.push_back({choice.finish.session_id, {}, 0});
        TakeOn(&sessions_.back(), choice, expected[static_cast<size_t>(index)]);
      }
    }
  }

  void Refused(const absl::Status& status, const GenerateRequest& request,
               const OracleSession& before) {
    const std::string reason = ReasonOf(status);
    if (reason == reason::kSlotsHeld) {
      if (!sessions_.empty()) Delete(0);
    } else if (reason == reason::kQueueFull) {
      EXPECT_TRUE(RetryAfterOf(status).has_value());
      std::this_thread::yield();
    } else {
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
      EXPECT_TRUE(std::get<1>(request.prompt).empty() && before.pending == 0) << status;
    }
  }

  // Reads to the end, perhaps stalling, giving up or deleting the session on the way.
  Answer Read(OutputStream* stream, const HeldSession* session) {
    const int give_up_after = Chance(15) ? Pick(0, 12) : -1;
    const int delete_after = session != nullptr && Chance(5) ? Pick(0, 12) : -1;
    const bool stalls = Chance(10);
    Answer answer;
    for (int events = 0;;) {
      if (events == give_up_after) stream->Cancel();
      if (events == delete_after) {
        EXPECT_TRUE(engine_->DeleteSession(tenant_, session->id, std::nullopt).ok());
        deleted_while_running_ = true;
      }
      AwaitReady(stream);
      if (stalls) Stall();
      if (auto event = stream->Pop()) {
        answer.Add(*std::move(event));
        ++events;
      } else if (const auto status = stream->status(); status.has_value()) {
        answer.status = *status;
        return answer;
      }
    }
  }
  void Stall() {
    const uint64_t until = engine_->Stats()[0].steps + 2;
    for (int i = 0; i < 50 && engine_->Stats()[0].steps < until; ++i) std::this_thread::yield();
  }

  void TakeOn(HeldSession* session, const Answer::Choice& choice, const OracleChoice& expected) {
    session->content = expected.after;
    session->revision = choice.finish.revision;
    CheckUnchanged(*session);
  }

  void CheckUnchanged(const HeldSession& session) {
    const auto info = engine_->GetSession(tenant_, session.id);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_FALSE(info->running);
    EXPECT_EQ(info->revision, session.revision);
    EXPECT_EQ(info->position, static_cast<int64_t>(session.content.history.size()));
    EXPECT_EQ(info->pending_tokens, session.content.pending);
    const size_t shown = info->last_token_ids.size();
    EXPECT_EQ(shown, std::min<size_t>(16, session.content.history.size()));
    for (size_t i = 0; i < shown; ++i) {
      EXPECT_EQ(info->last_token_ids[i],
                session.content.history[session.content.history.size() - shown + i].token_id());
    }
  }

  void Score() {
    ScoreRequest request;
    request.tenant = tenant_;
    const std::vector<int32_t> ids = Tokens(2, 40);
    request.prompt = ids;
    std::promise<absl::StatusOr<ScoreResult>> done;
    auto cancel = engine_->Score(request, "s", [&](absl::StatusOr<ScoreResult> result) {
      done.set_value(std::move(result));
    });
    if (Chance(20)) cancel();
    const auto result = done.get_future().get();
    if (!result.ok()) {
      EXPECT_TRUE(absl::IsCancelled(result.status()) ||
                  ReasonOf(result.status()) == reason::kQueueFull)
          << result.status();
      return;
    }
    TokenLog history;
    ASSERT_EQ(result->logprobs.size(), ids.size() - 1);
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      history.emplace_back(ids[i], false);
      EXPECT_EQ(result->logprobs[i].logprob, oracle_.Logprob(history, ids[i + 1]));
    }
  }

  void Encode() {
    EncodeRequest request;
    request.tenant = tenant_;
    const std::vector<int32_t> ids = Tokens(1, 40);
    request.prompt = ids;
    request.pooling = static_cast<Pooling>(ids.size() % 3);
    std::promise<absl::StatusOr<EncodeResult>> done;
    auto cancel = engine_->Encode(request, "e", [&](absl::StatusOr<EncodeResult> result) {
      done.set_value(std::move(result));
    });
    if (Chance(20)) cancel();
    const auto result = done.get_future().get();
    if (!result.ok()) {
      EXPECT_TRUE(absl::IsCancelled(result.status()) ||
                  ReasonOf(result.status()) == reason::kQueueFull)
          << result.status();
      return;
    }
    EXPECT_EQ(result->values, oracle_.Encoded(ids, request.pooling));
  }

  Engine* const engine_;
  const std::string tenant_;
  std::mt19937 random_;
  Oracle oracle_;
  std::vector<HeldSession> sessions_;
  bool deleted_while_running_ = false;
  int completed_ = 0;
  int cut_short_ = 0;
};

class StressTest : public ::testing::TestWithParam<Traffic> {};

TEST_P(StressTest, EverythingThatCompletesIsExactAndEverySlotComesBack) {
  const Traffic traffic = GetParam();
  FakeProbe probe;
  FakeEngineOptions options;
  options.limits.state_slots = traffic.slots;
  options.limits.token_budget = traffic.token_budget;
  options.limits.output_events = traffic.output_events;
  auto engine = MakeFakeEngine(&probe, options);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::thread> threads;
  clients.reserve(static_cast<size_t>(traffic.clients));
  threads.reserve(static_cast<size_t>(traffic.clients));
  for (int i = 0; i < traffic.clients; ++i) {
    clients.push_back(std::make_unique<Client>(engine.get(), i, static_cast<uint32_t>(i + 1)));
  }
  for (const auto& client : clients) {
    threads.emplace_back([&traffic, &client] { client->Run(traffic.operations); });
  }
  for (std::thread& thread : threads) thread.join();
  int completed = 0;
  int cut_short = 0;
  for (const auto& client : clients) {
    completed += client->completed();
    cut_short += client->cut_short();
  }
  EXPECT_GT(completed, traffic.clients * traffic.operations / 4);
  EXPECT_GT(cut_short, 0);
  engine->Drain();
  while (!engine->Drained()) std::this_thread::yield();
  AwaitStats(*engine, [](const ModelStats& stats) { return stats.slots_used == 0; });
  const ModelStats stats = engine->Stats()[0];
  EXPECT_EQ(stats.slots_free, traffic.slots);
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
  EXPECT_EQ(stats.sessions, 0);
  EXPECT_LE(probe.most_rows, traffic.token_budget);
  engine.reset();
  EXPECT_EQ(probe.violations, 0);
}

INSTANTIATE_TEST_SUITE_P(, StressTest,
                         ::testing::Values(Traffic{"FewSlots", 4, 400, 4, 5, 4},
                                           Traffic{"OneTokenAStep", 3, 150, 6, 1, 2},
                                           Traffic{"ManySlots", 6, 400, 40, 64, 64},
                                           Traffic{"MoreClientsThanSlots", 12, 100, 5, 16, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace ssmd::testing
