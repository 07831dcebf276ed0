// Histories of the bundled model and of tiny ones of every mixer on the real kernels, with an
// engine's own threads: a seed decides what callers do, between restarts with other numbers of
// threads, slots and tokens a step. Every answer and the bytes of every state are those of the
// session's tokens read alone by one thread.
//
// Much dearer than the world of world.h, hence few seeds: SSMD_SIM_REAL_SEEDS=500 runs more of
// each.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "engine/engine.h"
#include "kernels/device.h"
#include "tests/sim/dice.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/schedule/harness.h"

namespace ssmd::sim {
namespace {

using testing::Answer;

constexpr char kTenant[] = "tenant";
constexpr int kRealModelEvents = 40;

std::unique_ptr<Engine> MakeEngine(const std::string& model, int threads,
                                   const EngineLimits& limits, const std::string& state_dir) {
  EngineOptions options;
  options.models.push_back({"model", model, {}});
  options.limits = limits;
  options.state_dir.path = state_dir;
  auto engine = Engine::Create(kernels::MakeCpuDevice({std::nullopt, threads}), std::move(options));
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

struct TokenIds {
  std::vector<int32_t> ids;
  bool operator==(const TokenIds& other) const { return ids == other.ids; }
};

// One thread, no sessions but the one at hand, nothing kept from before.
class Alone {
 public:
  explicit Alone(const std::string& model) {
    EngineLimits limits;
    limits.state_slots = 2;
    limits.prefix_cache_bytes = 0;
    engine_ = MakeEngine(model, 1, limits, "");
  }
  Engine* engine() { return engine_.get(); }
  int32_t vocabulary() { return engine_->Models()[0].info.vocabulary; }
  Answer Run(GenerateRequest request, const TokenIds& before) {
    std::vector<int32_t> prompt = before.ids;
    const auto& more = std::get<std::vector<int32_t>>(request.prompt);
    prompt.insert(prompt.end(), more.begin(), more.end());
    request.prompt = std::move(prompt);
    request.session_id.clear();
    request.echo = false;
    return testing::RunTurn(engine_.get(), std::move(request));
  }
  // Of all tokens but the last.
  std::vector<char> StateBytesAfter(const TokenIds& history);

 private:
  std::unique_ptr<Engine> engine_;
};

std::vector<char> BytesOf(const StateBytes& state) {
  const auto* data = state->as<const char>();
  return std::vector<char>(data, data + state->bytes());
}

absl::StatusOr<EncodedSnapshot> Export(Engine* engine, const std::string& session) {
  std::promise<absl::StatusOr<EncodedSnapshot>> done;
  engine->ExportSession(kTenant, session, "",
                        [&](auto snapshot) { done.set_value(std::move(snapshot)); });
  return done.get_future().get();
}

std::vector<char> Alone::StateBytesAfter(const TokenIds& history) {
  GenerateRequest request = testing::Request(history.ids, 0);
  request.session_id = testing::CreateSession(engine_.get(), kTenant)->session_id;
  EXPECT_TRUE(testing::RunTurn(engine_.get(), request).status.ok());
  const auto exported = Export(engine_.get(), request.session_id);
  EXPECT_TRUE(exported.ok()) << exported.status();
  std::vector<char> bytes = BytesOf(exported->state);
  EXPECT_TRUE(engine_->DeleteSession(kTenant, request.session_id, std::nullopt).ok());
  return bytes;
}

// A session as its tokens. All but the last are consumed: no stop is asked for here.
struct Expected {
  TokenIds present;
  std::map<std::string, TokenIds> checkpoints;
};

class RealWorld {
 public:
  RealWorld(const std::string& model, uint64_t seed) : model_(model), alone_(model), dice_(seed) {}
  void Run();

 private:
  struct Turn {
    std::string session;  // empty: anonymous
    GenerateRequest request;
    std::shared_ptr<OutputStream> stream;
  };

  void Start();
  std::string AnySession();
  GenerateRequest RandomRequest();
  void Turns();
  void Finish(Turn* turn);
  void CreateSession();
  void Fork();
  void Rewind();
  void Checkpoint();
  void ExportAndImport();
  void Delete();
  void KeepHouse() { EXPECT_TRUE(engine_->Maintain().ok()); }
  void Restart();
  void Look();

  const std::string model_;
  Alone alone_;
  Dice dice_;
  testing::TempFolder folder_;
  std::unique_ptr<Engine> engine_;
  std::map<std::string, Expected> sessions_;
};

void RealWorld::Start() {
  EngineLimits limits;
  limits.state_slots = dice_.Pick(2, 6);
  limits.host_state_bytes = 0;
  limits.token_budget = dice_.Pick(1, 40);
  limits.prompt_budget = dice_.Pick(1, 40);
  limits.prefix_cache_bytes = dice_.Chance(50) ? 0 : 64 << 20;
  limits.prefix_grid_tokens = dice_.Pick(1, 16);
  engine_ = MakeEngine(model_, dice_.Pick(1, 4), limits, folder_.path());
}

void RealWorld::Run() {
  struct Event {
    int weight;
    void (RealWorld::*happens)();
  };
  static constexpr Event kAll[] = {
      {12, &RealWorld::Turns}, {6, &RealWorld::CreateSession}, {4, &RealWorld::Fork},
      {3, &RealWorld::Rewind}, {3, &RealWorld::Checkpoint},    {2, &RealWorld::ExportAndImport},
      {1, &RealWorld::Delete}, {3, &RealWorld::KeepHouse},     {2, &RealWorld::Restart},
  };
  Start();
  for (int event = 0; event < kRealModelEvents && !::testing::Test::HasFailure(); ++event) {
    SCOPED_TRACE("event " + std::to_string(event));
    int drawn = dice_.Pick(1, 36);
    const Event* next = kAll;
    for (; drawn > next->weight; ++next) drawn -= next->weight;
    (this->*next->happens)();
  }
  Look();
}

std::string RealWorld::AnySession() {
  if (sessions_.empty()) CreateSession();
  const int place = dice_.Pick(0, static_cast<int>(sessions_.size()) - 1);
  return std::next(sessions_.begin(), place)->first;
}

GenerateRequest RealWorld::RandomRequest() {
  std::vector<int32_t> prompt(static_cast<size_t>(dice_.Pick(1, dice_.Chance(20) ? 60 : 10)));
  for (int32_t& id : prompt) id = dice_.Pick(1, alone_.vocabulary() - 1);
  GenerateRequest request = testing::Request(std::move(prompt), dice_.Pick(1, 12));
  request.sampling.temperature = dice_.Chance(50) ? 0 : 1;
  request.sampling.seed = dice_.Next();
  request.top_logprobs = 0;
  return request;
}

// Of several sessions at once, and of none.
void RealWorld::Turns() {
  std::vector<Turn> turns;
  for (int count = dice_.Pick(1, 5); count > 0; --count) {
    Turn turn;
    turn.session = dice_.Chance(80) ? AnySession() : "";
    const bool busy = std::any_of(turns.begin(), turns.end(), [&](const Turn& other) {
      return !turn.session.empty() && other.session == turn.session;
    });
    if (busy) continue;
    turn.request = RandomRequest();
    turn.request.session_id = turn.session;
    auto stream = engine_->Generate(turn.request, "turn");
    ASSERT_TRUE(stream.ok()) << stream.status();
    turn.stream = *std::move(stream);
    if (dice_.Chance(15)) turn.stream->Cancel();
    turns.push_back(std::move(turn));
  }
  for (Turn& turn : turns) Finish(&turn);
}

void RealWorld::Finish(Turn* turn) {
  const Answer answer = testing::ReadAll(turn->stream.get());
  if (absl::IsCancelled(answer.status)) return;
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  static const TokenIds nothing;
  const TokenIds& before = turn->session.empty() ? nothing : sessions_.at(turn->session).present;
  const Answer expected = alone_.Run(turn->request, before);
  ASSERT_TRUE(expected.status.ok()) << expected.status;
  const Answer::Choice& got = answer.choices.at(0);
  const Answer::Choice& want = expected.choices.at(0);
  EXPECT_EQ(got.token_ids, want.token_ids);
  ASSERT_EQ(got.logprobs.size(), want.logprobs.size());
  for (size_t i = 0; i < got.logprobs.size(); ++i) {
    EXPECT_EQ(got.logprobs[i].logprob, want.logprobs[i].logprob) << "token " << i;
  }
  if (turn->session.empty()) return;
  Expected& session = sessions_.at(turn->session);
  std::vector<int32_t>& ids = session.present.ids;
  const auto& prompt = std::get<std::vector<int32_t>>(turn->request.prompt);
  ids.insert(ids.end(), prompt.begin(), prompt.end());
  ids.insert(ids.end(), want.token_ids.begin(), want.token_ids.end());
}

void RealWorld::CreateSession() {
  if (sessions_.size() >= 20) return;
  const auto session = testing::CreateSession(engine_.get(), kTenant);
  ASSERT_TRUE(session.ok()) << session.status();
  sessions_[session->session_id];
}

void RealWorld::Fork() {
  const Expected& parent = sessions_.at(AnySession());
  ForkOptions options;
  options.count = dice_.Pick(1, 3);
  const auto of = std::find_if(sessions_.begin(), sessions_.end(),
                               [&](const auto& entry) { return &entry.second == &parent; });
  const auto children = engine_->ForkSession(kTenant, of->first, options);
  ASSERT_TRUE(children.ok()) << children.status();
  const TokenIds present = parent.present;
  for (const SessionInfo& child : *children) sessions_[child.session_id].present = present;
}

void RealWorld::Rewind() {
  const std::string id = AnySession();
  Expected& session = sessions_.at(id);
  RewindTarget target;
  target.allow_recompute = true;
  TokenIds to;
  if (!session.checkpoints.empty() && dice_.Chance(50)) {
    target.checkpoint = session.checkpoints.begin()->first;
    to = session.checkpoints.begin()->second;
  } else {
    target.position = dice_.Pick(0, static_cast<int>(session.present.ids.size()));
    to.ids.assign(session.present.ids.begin(), session.present.ids.begin() + *target.position);
  }
  const auto rewound = engine_->RewindSession(kTenant, id, target);
  ASSERT_TRUE(rewound.ok()) << rewound.status();
  session.present = to;
}

void RealWorld::Checkpoint() {
  const std::string id = AnySession();
  CheckpointOptions options;
  options.name = dice_.Chance(50) ? "a" : "b";
  ASSERT_TRUE(engine_->CheckpointSession(kTenant, id, options).ok());
  sessions_.at(id).checkpoints[options.name] = sessions_.at(id).present;
}

void RealWorld::ExportAndImport() {
  const std::string id = AnySession();
  const auto exported = Export(engine_.get(), id);
  ASSERT_TRUE(exported.ok()) << exported.status();
  std::string bytes = exported->front;
  if (exported->state != nullptr) {
    bytes.append(exported->state->as<const char>(), exported->state->bytes());
  }
  const auto imported = engine_->ImportSession(kTenant, {}, bytes);
  ASSERT_TRUE(imported.ok()) << imported.status();
  sessions_[imported->session_id].present = TokenIds(sessions_.at(id).present);
}

void RealWorld::Delete() {
  const std::string id = AnySession();
  ASSERT_TRUE(engine_->DeleteSession(kTenant, id, std::nullopt).ok());
  sessions_.erase(id);
}

void RealWorld::Restart() {
  if (dice_.Chance(50)) {
    EXPECT_TRUE(engine_->StoreAll(std::chrono::steady_clock::now() + std::chrono::minutes(1)).ok());
  }
  engine_ = nullptr;
  Start();
  ASSERT_NE(engine_, nullptr);
}

void RealWorld::Look() {
  for (const auto& [id, session] : sessions_) {
    if (::testing::Test::HasFailure()) return;
    SCOPED_TRACE("session " + id);
    const auto exported = Export(engine_.get(), id);
    ASSERT_TRUE(exported.ok()) << exported.status();
    std::string whole = exported->front;
    SnapshotLimits limits;
    limits.history_tokens = 100000;
    limits.vocabulary = alone_.vocabulary();
    if (exported->state != nullptr) {
      limits.state_bytes = exported->state->bytes();
      whole.append(exported->state->as<const char>(), exported->state->bytes());
    }
    const auto snapshot = DecodeSnapshot(whole, limits);
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    TokenIds history;
    for (const LoggedToken token : snapshot->session->history) {
      history.ids.push_back(token.token_id());
    }
    EXPECT_EQ(history, session.present);
    if (snapshot->state == nullptr) continue;
    // One more than it has consumed; which it is, does not matter.
    TokenIds consumed;
    consumed.ids.assign(history.ids.begin(), history.ids.begin() + snapshot->state_position);
    consumed.ids.push_back(0);
    EXPECT_EQ(BytesOf(snapshot->state), alone_.StateBytesAfter(consumed));
  }
}

struct Model {
  const char* name;
  int seeds;

  std::string path() const {
    const bool bundled = std::string(name) == "tales-2m";
    return (bundled ? SSMD_DEPLOY "/models/" : SSMD_GOLDEN "/data/family_") + std::string(name);
  }
};

const Model kModels[] = {{"tales-2m", 8},  {"mamba2", 8}, {"s4", 8},        {"s4d", 8},
                         {"s5", 8},        {"lru", 8},    {"rtf", 8},       {"legs", 8},
                         {"legt", 8},      {"retnet", 8}, {"rwkv4", 8},     {"rwkv5", 8},
                         {"rwkv6_f16", 8}, {"rwkv7", 8},  {"hybrid_f16", 8}};

class RealModelSimulationTest : public ::testing::TestWithParam<Model> {};

TEST_P(RealModelSimulationTest, EveryBitIsThatOfTheSessionAlone) {
  const char* given = std::getenv("SSMD_SIM_REAL_SEEDS");
  int seeds = GetParam().seeds;
  if (given != nullptr && !absl::SimpleAtoi(given, &seeds)) seeds = GetParam().seeds;
  for (int seed = 1; seed <= seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrFormat("seed %d", seed));
    RealWorld(GetParam().path(), static_cast<uint64_t>(seed)).Run();
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RealModelSimulationTest, ::testing::ValuesIn(kModels),
                         [](const auto& test) {
                           return absl::StrReplaceAll(test.param.name, {{"-", "_"}});
                         });

}  // namespace
}  // namespace ssmd::sim
