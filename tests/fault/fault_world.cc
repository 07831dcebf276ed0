#include "tests/fault/fault_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <set>
#include <utility>

#include "engine/base/errors.h"
#include "kernels/device.h"
#include "tests/support/eventually.h"
#include "tests/support/models.h"

namespace ssmd::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTenant[] = "tenant";
constexpr char kModel[] = "tiny";
constexpr int32_t kTurnTokens = 2;  // that a turn samples
// Far more than anything takes; what hangs ends with DEADLINE_EXCEEDED, which nothing may say.
constexpr auto kPatience = std::chrono::seconds(30);

EngineOptions TinyOptions(const std::string& model, const std::string& state_folder) {
  EngineOptions options;
  options.models.push_back({kModel, model, {}});
  options.limits.state_slots = 3;
  options.limits.token_budget = 16;
  options.limits.prefix_cache_bytes = 0;
  options.limits.sessions.turn_end_states = 1;
  options.state_dir.path = state_folder;
  return options;
}

std::string WriteModel(const TempFolder& folder) {
  test::MambaShape shape;
  shape.d_model = 32;
  shape.falcon = true;  // a tied head of random weights says the same token for ever
  test::WriteRandomMamba(folder.File(kModel), shape, 1);
  return folder.File(kModel);
}

GenerateRequest TurnRequest(TokenIds prompt) {
  GenerateRequest request = Request(std::move(prompt), kTurnTokens);
  request.tenant = kTenant;
  // All logits are looked at, and something is drawn from them.
  request.sampling.temperature = 1.5F;
  request.sampling.top_p = 0.95F;
  request.sampling.penalties.repetition = 1.1F;
  request.deadline = std::chrono::steady_clock::now() + kPatience;
  return request;
}

TokenIds operator+(const TokenIds& a, const TokenIds& b) {
  TokenIds both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

// Its newest tokens, as many as are told of a session.
TokenIds EndOf(const TokenIds& history, size_t count) {
  return TokenIds(history.end() - static_cast<std::ptrdiff_t>(std::min(count, history.size())),
                  history.end());
}

}  // namespace

// --- What nothing happens to ---

Undisturbed::Undisturbed(DeviceMaker make_device)
    : make_device_(std::move(make_device)),
      model_(WriteModel(folder_)),
      state_(folder_.File("state")) {
  auto engine = Make(TinyOptions(model_, ""));
  EXPECT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);

  FaultWorld world(this, state_);
  EXPECT_TRUE(world.Start().ok());
  EXPECT_TRUE(world.Create().ok());
  victim_ = world.victim();
  EXPECT_TRUE(world.Turn(victim_).ok());
  EXPECT_TRUE(world.Checkpoint().ok());
  EXPECT_TRUE(world.Create().ok());
  EXPECT_TRUE(world.TurnOfEach(Durability::kProcess).ok());
  EXPECT_TRUE(world.Fork().ok());
  EXPECT_TRUE(world.engine()->StoreAll(TimePoint::max()).ok());
  world.Settle();
  sessions_ = world.sessions();
  const TokenIds& history = sessions_.at(victim_).history;
  EXPECT_GT(std::set<int32_t>(history.begin(), history.end()).size(), 4U)
      << "the model says always the same, which no mistake would change";
}

absl::StatusOr<std::unique_ptr<Engine>> Undisturbed::Make(EngineOptions options) const {
  MadeDevice device = make_device_();
  if (!device.ok()) return device.status();
  return Engine::Create(*std::move(device), std::move(options));
}

const TokenIds& Undisturbed::Sampled(const TokenIds& history, const TokenIds& prompt) {
  TokenIds& sampled = known_[{history, prompt}];
  if (sampled.empty()) {
    const Answer answer = RunTurn(engine_.get(), TurnRequest(history + prompt));
    EXPECT_TRUE(answer.status.ok()) << answer.status;
    sampled = answer.choices.at(0).token_ids;
  }
  return sampled;
}

// --- The server ---

FaultWorld::FaultWorld(Undisturbed* undisturbed, Adjust adjust, Adjust share)
    : undisturbed_(undisturbed),
      adjust_(std::move(adjust)),
      share_(std::move(share)),
      sessions_(undisturbed->sessions()),
      victim_(undisturbed->victim()) {
  std::filesystem::copy(undisturbed->state_folder(), folder_.File("state"),
                        std::filesystem::copy_options::recursive);
}

FaultWorld::FaultWorld(Undisturbed* undisturbed, const std::string& state_folder)
    : undisturbed_(undisturbed),
      adjust_([=](EngineOptions* options) { options->state_dir.path = state_folder; }) {}

EngineOptions FaultWorld::Options() const {
  EngineOptions options = TinyOptions(undisturbed_->model(), folder_.File("state"));
  if (share_) share_(&options);
  return options;
}

absl::Status FaultWorld::Start() {
  EngineOptions options = Options();
  if (adjust_) adjust_(&options);
  auto engine = undisturbed_->Make(std::move(options));
  if (!engine.ok()) return engine.status();
  engine_ = *std::move(engine);
  return absl::OkStatus();
}

void FaultWorld::Restart() {
  Stop();
  auto engine = undisturbed_->Make(Options());
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
}

void FaultWorld::LoseFolder() { std::filesystem::remove_all(folder_.File("state")); }

void FaultWorld::Settle() {
  EXPECT_TRUE(test::Eventually([this] {
    const ModelStats stats = engine_->Stats().front();
    return stats.running == 0 && stats.waiting == 0 && stats.loading == 0 && stats.storing == 0 &&
           engine_->Figures().store.queued == 0;
  })) << "something goes on and on";
}

// --- Operations ---

void FaultWorld::CheckMessage(const absl::Status& status) const {
  EXPECT_GT(status.message().size(), 8U) << "says nothing: " << status;
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder_.path())))
      << "a caller is told a path";
}

absl::Status FaultWorld::Refused(const absl::Status& status, const std::string& id,
                                 ExpectedSession::Doubt doubt) {
  CheckMessage(status);
  ExpectedSession& session = sessions_.at(id);
  if (!session.doubt.has_value()) session.doubt = std::move(doubt);
  return status;
}

absl::Status FaultWorld::Create() {
  const auto created = CreateSession(engine_.get(), kTenant);
  if (created.ok()) {
    sessions_[created->session_id] = {created->revision, {}, std::nullopt};
    if (victim_.empty()) victim_ = created->session_id;
    return absl::OkStatus();
  }
  CheckMessage(created.status());
  ++unknown_;
  return created.status();
}

TokenIds FaultWorld::PromptOf(const ExpectedSession& session) const {
  return {static_cast<int32_t>(1 + session.revision % 50), 7};
}

absl::Status FaultWorld::Turn(const std::string& id, Durability durability) {
  ExpectedSession& session = sessions_.at(id);
  const TokenIds prompt = PromptOf(session);
  GenerateRequest request = TurnRequest(prompt);
  request.session_id = id;
  request.durability = durability;
  const Answer answer = RunTurn(engine_.get(), std::move(request));
  const TokenIds& sampled = undisturbed_->Sampled(session.history, prompt);
  const TokenIds after = session.history + prompt + sampled;
  if (ReasonOf(answer.status) == reason::kNotReplicated) {  // and committed here, it says
    session = {session.revision + 1, after, std::nullopt};
    return answer.status;
  }
  if (!answer.status.ok()) {
    return Refused(answer.status, id, {false, session.revision + 1, after});
  }
  EXPECT_EQ(answer.choices.at(0).token_ids, sampled) << "session " << id;
  EXPECT_EQ(answer.choices.at(0).finish.revision, session.revision + 1);
  session = {session.revision + 1, after, std::nullopt};
  return absl::OkStatus();
}

absl::Status FaultWorld::TurnOfEach(Durability durability) {
  absl::Status first;
  std::vector<std::string> ids;
  for (const auto& [id, session] : sessions_) ids.push_back(id);
  for (const std::string& id : ids) first.Update(Turn(id, durability));
  return first;
}

absl::Status FaultWorld::Anonymous() {
  const TokenIds prompt = {3, 1, 4, 1, 5, 9, 2, 6};
  const Answer answer = RunTurn(engine_.get(), TurnRequest(prompt));
  if (answer.status.ok()) {
    EXPECT_EQ(answer.choices.at(0).token_ids, undisturbed_->Sampled({}, prompt));
  } else {
    CheckMessage(answer.status);
  }
  return answer.status;
}

absl::Status FaultWorld::Fork() {
  const auto children = engine_->ForkSession(kTenant, victim_, {});
  if (children.ok()) {
    sessions_[children->front().session_id] = {children->front().revision,
                                               sessions_.at(victim_).history, std::nullopt};
    return absl::OkStatus();
  }
  CheckMessage(children.status());
  ++unknown_;
  return children.status();
}

absl::Status FaultWorld::Rewind() {
  ExpectedSession& session = sessions_.at(victim_);
  RewindTarget target;
  target.checkpoint = "mark";
  const TokenIds before(session.history.begin(), session.history.begin() + 2 + kTurnTokens);
  const auto rewound = engine_->RewindSession(kTenant, victim_, target);
  if (!rewound.ok()) {
    return Refused(rewound.status(), victim_, {false, session.revision + 1, before});
  }
  EXPECT_EQ(rewound->revision, session.revision + 1);
  session = {rewound->revision, before, std::nullopt};
  return absl::OkStatus();
}

absl::Status FaultWorld::Checkpoint() {
  ExpectedSession& session = sessions_.at(victim_);
  CheckpointOptions options;
  options.name = "mark";
  const auto marked = engine_->CheckpointSession(kTenant, victim_, options);
  if (!marked.ok()) {
    return Refused(marked.status(), victim_, {false, session.revision, session.history});
  }
  EXPECT_EQ(marked->revision, session.revision);
  return absl::OkStatus();
}

absl::StatusOr<std::string> FaultWorld::Export() {
  std::promise<absl::StatusOr<EncodedSnapshot>> done;
  engine_->ExportSession(kTenant, victim_, "",
                         [&](auto snapshot) { done.set_value(std::move(snapshot)); });
  const auto exported = done.get_future().get();
  if (exported.ok()) return SnapshotPart(*exported, 0, exported->size());
  CheckMessage(exported.status());
  return exported.status();
}

absl::Status FaultWorld::Import(const std::string& snapshot) {
  const auto imported = engine_->ImportSession(kTenant, {}, snapshot);
  if (imported.ok()) {
    sessions_[imported->session_id] = {imported->revision, sessions_.at(victim_).history,
                                       std::nullopt};
    return absl::OkStatus();
  }
  CheckMessage(imported.status());
  ++unknown_;
  return imported.status();
}

absl::Status FaultWorld::Delete(const std::string& id) {
  const absl::Status status = engine_->DeleteSession(kTenant, id, std::nullopt);
  if (!status.ok()) return Refused(status, id, {true, 0, {}});
  sessions_.erase(id);
  return status;
}

// --- Looking ---

// Sessions come when they are asked for, and the store heals by itself.
void FaultWorld::AwaitShared() {
  for (const auto& [id, session] : sessions_) {
    absl::Status status;
    EXPECT_TRUE(test::Eventually([&] {
      status = engine_->GetSession(kTenant, id).status();
      return !absl::IsUnavailable(status);
    })) << status;
  }
}

void FaultWorld::LookAtSessions(bool restarted) {
  if (share_) AwaitShared();
  const auto page = engine_->ListSessions(kTenant, {}, 1000, "");
  ASSERT_TRUE(page.ok()) << page.status();
  std::map<std::string, SessionInfo> found;
  int unknown = 0;
  for (const SessionInfo& info : page->sessions) {
    if (!sessions_.contains(info.session_id)) ++unknown;
    found[info.session_id] = info;
  }
  EXPECT_LE(unknown, restarted ? unknown_ : 0) << "there are sessions that nobody was told of";
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    auto& [id, expected] = *session;
    const auto doubt = std::exchange(expected.doubt, restarted ? std::nullopt : expected.doubt);
    if (!found.contains(id)) {
      EXPECT_TRUE(restarted && doubt.has_value() && doubt->deleted) << "lost: " << id;
      session = sessions_.erase(session);
      continue;
    }
    const SessionInfo& info = found.at(id);
    if (restarted && doubt.has_value() && !doubt->deleted && info.revision == doubt->revision) {
      expected = {doubt->revision, doubt->history, std::nullopt};
    }
    EXPECT_EQ(info.revision, expected.revision) << id;
    EXPECT_EQ(info.position, static_cast<int64_t>(expected.history.size())) << id;
    EXPECT_EQ(info.last_token_ids, EndOf(expected.history, info.last_token_ids.size())) << id;
    EXPECT_FALSE(info.running) << id;
    ++session;
  }
}

bool FaultWorld::Look(bool restarted, bool may_be_broken) {
  engine_->Maintain().IgnoreError();  // as whoever keeps house does, now and then
  LookAtSessions(restarted);
  bool broken = false;
  std::vector<std::string> ids;
  for (const auto& [id, session] : sessions_) ids.push_back(id);
  for (const std::string& id : ids) {
    const absl::Status status = Turn(id);
    if (status.ok()) continue;
    EXPECT_TRUE(may_be_broken) << "a later turn of " << id << ": " << status;
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("until a restart"));
    broken = true;
  }
  Settle();
  LookAtFigures();
  return broken;
}

void FaultWorld::LookAtFigures() {
  const auto whole = [this] {
    const ModelStats stats = engine_->Stats().front();
    return stats.slots_used == stats.device_states &&
           stats.host_bytes ==
               stats.host_states * engine_->Models().front().state_bytes_per_session;
  };
  EXPECT_TRUE(test::Eventually(whole))
      << "slots or host memory that no state is in: " << engine_->Stats().front().slots_used
      << " slots of " << engine_->Stats().front().device_states << " states, "
      << engine_->Stats().front().host_bytes << " bytes of "
      << engine_->Stats().front().host_states;
}

void FaultWorld::LookAtEmpty() {
  const auto page = engine_->ListSessions(kTenant, {}, 1000, "");
  ASSERT_TRUE(page.ok()) << page.status();
  for (const SessionInfo& info : page->sessions) {
    EXPECT_TRUE(engine_->DeleteSession(kTenant, info.session_id, std::nullopt).ok());
  }
  const auto empty = [this] {
    const ModelStats stats = engine_->Stats().front();
    return stats.slots_used == 0 && stats.held_states == 0 && stats.host_bytes == 0 &&
           engine_->Figures().store.states == 0;
  };
  EXPECT_TRUE(test::Eventually(empty))
      << "left of deleted sessions: " << engine_->Stats().front().slots_used << " slots, "
      << engine_->Stats().front().host_bytes << " bytes, " << engine_->Figures().store.states
      << " stored states";
}

std::vector<std::string> FaultWorld::Unfinished() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    if (entry.path().extension() == ".tmp") names.push_back(entry.path().filename());
  }
  return names;
}

}  // namespace ssmd::testing
