// Memories through the engine: to sessions, forks, rewinds, snapshots and the log they are models
// like any other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/errors.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/schedule/harness.h"

namespace ssmd::testing {
namespace {

using ::testing::HasSubstr;

std::vector<float> Wave(int from, int to) {
  std::vector<float> samples;
  for (int i = from; i < to; ++i) {
    samples.push_back(std::sin(0.01f * static_cast<float>(i)) + 0.001f * static_cast<float>(i % 7));
  }
  return samples;
}

class EngineMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.Write("config.json", R"({"model_type": "hippo_memory", "basis": "legs",
                                     "d_state": 24, "channels": 1})");
    Start();
  }
  void WriteConfig(const std::string& json) {
    folder_.Write("config.json", json);
    Start();
  }
  void Start() {
    engine_.reset();
    EngineOptions options;
    options.models.push_back({"legs", folder_.path(), {}, kChatAuto});
    options.models.push_back({"tales", SSMD_TALES_MODEL, {}, kChatAuto});
    options.limits = limits_;
    options.limits.state_slots = 4;
    options.limits.token_budget = 50;
    options.state_dir.path = state_dir_;
    auto engine =
        Engine::Create(kernels::MakeCpuDevice({std::nullopt, 1, false}), std::move(options));
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  std::string NewSession(const std::string& model = "legs") {
    std::string id;
    CreateSessionRequest request;
    request.tenant = "tenant";
    request.model = model;
    engine_->CreateSession(request, "create", [&](absl::StatusOr<SessionInfo> session) {
      ASSERT_TRUE(session.ok()) << session.status();
      id = session->session_id;
    });
    return id;
  }
  absl::StatusOr<Answer> TryAppend(const std::string& session, std::vector<float> samples,
                                   const std::string& request_id = "",
                                   std::optional<uint64_t> expected_revision = std::nullopt) {
    AppendRequest request;
    request.tenant = "tenant";
    request.session_id = session;
    request.samples = std::move(samples);
    request.key.request_id = request_id;
    request.expected_revision = expected_revision;
    auto stream = engine_->Append(request, "append");
    if (!stream.ok()) return stream.status();
    Answer answer = ReadAll(stream->get());
    if (!answer.status.ok()) return answer.status;
    return answer;
  }
  Answer Append(const std::string& session, std::vector<float> samples,
                const std::string& request_id = "") {
    auto answer = TryAppend(session, std::move(samples), request_id);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *std::move(answer) : Answer();
  }
  absl::StatusOr<MemoryReading> TryRead(const std::string& session, MemoryQuery query) {
    std::promise<absl::StatusOr<MemoryReading>> done;
    engine_->ReadMemory("tenant", session, std::move(query),
                        [&](absl::StatusOr<MemoryReading> r) { done.set_value(std::move(r)); });
    return done.get_future().get();
  }
  MemoryReading Read(const std::string& session, std::vector<double> times = {}) {
    MemoryQuery query;
    query.times = std::move(times);
    query.coefficients = query.error = true;
    auto reading = TryRead(session, query);
    EXPECT_TRUE(reading.ok()) << reading.status();
    return reading.ok() ? *std::move(reading) : MemoryReading();
  }
  std::vector<double> Coefficients(const std::string& session) {
    return Read(session).channels.at(0).coefficients;
  }
  SessionInfo Info(const std::string& session) {
    auto info = engine_->GetSession("tenant", session);
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? *std::move(info) : SessionInfo();
  }
  absl::StatusOr<SessionInfo> Rewind(const std::string& session, int64_t position) {
    RewindTarget target;
    target.position = position;
    target.allow_recompute = true;
    return engine_->RewindSession("tenant", session, target);
  }
  const TempFolder folder_;
  const TempFolder states_;
  std::string state_dir_;
  EngineLimits limits_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineMemoryTest, AnAppendIsACommittedTurnThatLeavesNothingPending) {
  const std::string session = NewSession();
  const Answer answer = Append(session, Wave(0, 120));
  EXPECT_EQ(answer.choices.at(0).finish.revision, 1u);
  EXPECT_EQ(answer.choices.at(0).finish.usage.prompt_tokens, 120);
  EXPECT_EQ(answer.choices.at(0).finish.usage.generated_tokens, 0);
  const SessionInfo info = Info(session);
  EXPECT_EQ(info.position, 120);
  EXPECT_EQ(info.pending_tokens, 0);
  EXPECT_EQ(info.state_position, 120);
  const MemoryReading reading = Read(session, {0, 60.5, 119});
  EXPECT_EQ(reading.revision, 1u);
  EXPECT_EQ(reading.samples, 120);
  ASSERT_EQ(reading.channels.size(), 1u);
  EXPECT_EQ(reading.channels[0].coefficients.size(), 24u);
  EXPECT_NEAR(reading.channels[0].values.at(1), std::sin(0.61), 0.01);
  EXPECT_LT(reading.channels[0].rms_error.value(), 0.005);
}

TEST_F(EngineMemoryTest, HowSamplesCameDoesNotShow) {
  const std::string whole = NewSession();
  Append(whole, Wave(0, 333));
  const std::string parts = NewSession();
  for (int from = 0; from < 333; from += 37) Append(parts, Wave(from, from + 37));
  EXPECT_EQ(Coefficients(whole), Coefficients(parts));
  EXPECT_EQ(Info(whole).history_hash, Info(parts).history_hash);
}

TEST_F(EngineMemoryTest, AnEmptySessionHasNothingToSay) {
  const std::string session = NewSession();
  const MemoryReading reading = Read(session);
  EXPECT_EQ(reading.samples, 0);
  EXPECT_EQ(reading.channels.at(0).coefficients, std::vector<double>(24, 0.0));
  EXPECT_FALSE(reading.channels[0].rms_error.has_value());
  MemoryQuery query;
  query.times = {0};
  EXPECT_TRUE(absl::IsInvalidArgument(TryRead(session, query).status()));
}

TEST_F(EngineMemoryTest, ForksGoTheirOwnWays) {
  const std::string session = NewSession();
  Append(session, Wave(0, 100));
  const auto children = engine_->ForkSession("tenant", session, {});
  ASSERT_TRUE(children.ok()) << children.status();
  const std::string child = children->front().session_id;
  EXPECT_EQ(Coefficients(child), Coefficients(session));
  const std::vector<double> before = Coefficients(session);
  Append(child, Wave(100, 180));
  EXPECT_EQ(Coefficients(session), before);
  Append(session, Wave(100, 180));
  EXPECT_EQ(Coefficients(child), Coefficients(session));
}

TEST_F(EngineMemoryTest, ARewindIsAsIfTheRestHadNotCome) {
  const std::string straight = NewSession();
  Append(straight, Wave(0, 90));
  const std::string session = NewSession();
  Append(session, Wave(0, 60));
  Append(session, Wave(60, 200));
  ASSERT_TRUE(Rewind(session, 90).ok());  // within a turn: what lies between is fed again
  EXPECT_EQ(Info(session).state_position, 60);
  EXPECT_EQ(Coefficients(session), Coefficients(straight));
  EXPECT_EQ(Read(session).samples, 90);
  const Answer answer = Append(session, Wave(90, 130));
  // 30, of which the last counts as pending: sessions know nothing of kinds of models.
  EXPECT_EQ(answer.choices.at(0).finish.usage.recomputed_tokens, 29);
  Append(straight, Wave(90, 130));
  EXPECT_EQ(Coefficients(session), Coefficients(straight));
}

TEST_F(EngineMemoryTest, CheckpointsHoldStates) {
  const std::string session = NewSession();
  Append(session, Wave(0, 50));
  const std::vector<double> there = Coefficients(session);
  ASSERT_TRUE(engine_->CheckpointSession("tenant", session, {"here", false, {}}).ok());
  Append(session, Wave(50, 90));
  RewindTarget target;
  target.checkpoint = "here";
  ASSERT_TRUE(engine_->RewindSession("tenant", session, target).ok());
  EXPECT_EQ(Coefficients(session), there);
  EXPECT_EQ(Info(session).state_position, 50);
}

TEST_F(EngineMemoryTest, AnExportGoesOnWhereItLeftOff) {
  const std::string session = NewSession();
  Append(session, Wave(0, 130));
  const std::string bytes = ExportSession(engine_.get(), session);
  Engine::ImportOptions options;
  options.model = "legs";
  const auto imported = engine_->ImportSession("tenant", options, bytes);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(Coefficients(imported->session_id), Coefficients(session));
  Append(session, Wave(130, 140));
  Append(imported->session_id, Wave(130, 140));
  EXPECT_EQ(Coefficients(imported->session_id), Coefficients(session));
  // Samples are no tokens, and frames of two channels none of three.
  const auto refusal = [&](const std::string& model, const std::string& snapshot) {
    options.model = model;
    const absl::Status status = engine_->ImportSession("tenant", options, snapshot).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    return std::string(status.message());
  };
  options.model = "tales";
  EXPECT_FALSE(engine_->ImportSession("tenant", options, bytes).ok());
  const std::string text = ExportSession(engine_.get(), NewSession("tales"));
  for (const bool rebuild : {false, true}) {
    options.rebuild = rebuild;
    EXPECT_THAT(refusal("legs", text), HasSubstr("of a language model, and the model is a memory"));
  }
  WriteConfig(R"({"model_type": "hippo_memory", "basis": "legs", "d_state": 24, "channels": 2})");
  EXPECT_THAT(refusal("legs", bytes), HasSubstr("of 1 channels, and the model is a memory of 2"));
  // Another size of the state is read anew.
  WriteConfig(R"({"model_type": "hippo_memory", "basis": "legs", "d_state": 32, "channels": 1})");
  const auto rebuilt = engine_->ImportSession("tenant", options, bytes);
  ASSERT_TRUE(rebuilt.ok()) << rebuilt.status();
  const std::string fresh = NewSession();
  Append(fresh, Wave(0, 130));
  for (const std::string& id : {fresh, rebuilt->session_id}) Append(id, Wave(130, 140));
  EXPECT_EQ(Coefficients(rebuilt->session_id), Coefficients(fresh));
  options.rebuild = false;
  options.model = "legs";
  EXPECT_THAT(std::string(engine_->ImportSession("tenant", options, bytes).status().message()),
              HasSubstr("rebuild reads its history again"));
}

TEST_F(EngineMemoryTest, IsNotReadAsAnotherModels) {
  state_dir_ = states_.path();
  Start();
  const std::string session = NewSession();
  Append(session, Wave(0, 130));
  WriteConfig(R"({"model_type": "hippo_memory", "basis": "legs", "d_state": 16, "channels": 1})");
  EXPECT_EQ(ReasonOf(TryRead(session, {}).status()), reason::kModelChanged);
  WriteConfig(R"({"model_type": "hippo_memory", "basis": "legs", "d_state": 24, "channels": 1})");
  EXPECT_EQ(Read(session).samples, 130);
}

TEST_F(EngineMemoryTest, StatesThatLeaveTheirSlotsComeBack) {
  std::vector<std::string> sessions;
  for (int i = 0; i < 12; ++i) {  // of which 4 have room
    sessions.push_back(NewSession());
    Append(sessions.back(), Wave(i, i + 40));
  }
  for (int i = 0; i < 12; ++i) {
    const std::string again = NewSession();
    Append(again, Wave(i, i + 40));
    EXPECT_EQ(Coefficients(sessions[static_cast<size_t>(i)]), Coefficients(again)) << i;
  }
}

TEST_F(EngineMemoryTest, ARestartReadsTheLogAgain) {
  state_dir_ = states_.path();
  Start();
  const std::string session = NewSession();
  Append(session, Wave(0, 70));
  Append(session, Wave(70, 75), "named");
  const std::vector<double> before = Coefficients(session);
  Start();  // nothing was stored: all of it is computed again
  EXPECT_EQ(Info(session).position, 75);
  EXPECT_EQ(Info(session).state_position, 0);
  EXPECT_EQ(Coefficients(session), before);
  const Answer again = Append(session, Wave(70, 75), "named");
  EXPECT_TRUE(again.started.at(0).replayed);
  EXPECT_EQ(again.choices.at(0).finish.revision, 2u);
  EXPECT_EQ(again.choices.at(0).finish.usage.prompt_tokens, 75);
  EXPECT_EQ(Info(session).position, 75);
  const Answer more = Append(session, Wave(75, 80));
  EXPECT_EQ(more.started.at(0).state_source, StateSource::kReplayed);
  ASSERT_TRUE(engine_->StoreAll(std::chrono::steady_clock::now() + std::chrono::minutes(1)).ok());
  const std::vector<double> stored = Coefficients(session);
  Start();
  EXPECT_EQ(Info(session).state_position, 80);
  EXPECT_EQ(Coefficients(session), stored);
  EXPECT_EQ(Append(session, Wave(80, 81)).started.at(0).state_source, StateSource::kDisk);
}

TEST_F(EngineMemoryTest, FramesAreKeptWhole) {
  WriteConfig(
      R"({"model_type": "hippo_memory", "basis": "legt", "window": 20, "d_state": 8, "channels": 3})");
  const std::string session = NewSession();
  const auto part = TryAppend(session, Wave(0, 4));
  EXPECT_TRUE(absl::IsInvalidArgument(part.status()));
  EXPECT_THAT(std::string(part.status().message()), HasSubstr("3 channels, got 4"));
  Append(session, Wave(0, 300));
  EXPECT_EQ(Read(session).samples, 100);
  EXPECT_EQ(Read(session).first_covered, 80);
  EXPECT_EQ(Read(session).channels.size(), 3u);
  MemoryQuery query;
  query.channels = {2, 0};
  query.times = {99};
  const auto reading = TryRead(session, query);
  ASSERT_TRUE(reading.ok());
  EXPECT_EQ(reading->channels[0].channel, 2);
  EXPECT_EQ(reading->channels[1].channel, 0);
  EXPECT_EQ(ReasonOf(Rewind(session, 100).status()), reason::kPartOfFrame);
  EXPECT_EQ(Read(session).samples, 100);
  ASSERT_TRUE(Rewind(session, 99).ok());
  Append(session, Wave(99, 102));
  EXPECT_EQ(Read(session).samples, 34);
}

TEST_F(EngineMemoryTest, SamplesThatAreNoNumbersAreRefusedByNumber) {
  const std::string session = NewSession();
  const auto refused = TryAppend(session, {1, 2, NAN});
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("number 2"));
  EXPECT_TRUE(absl::IsInvalidArgument(TryAppend(session, {INFINITY}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(TryAppend(session, {}).status()));
  EXPECT_EQ(Info(session).revision, 0u);
}

TEST_F(EngineMemoryTest, RevisionsAndLimitsHold) {
  limits_.max_history_tokens = 100;
  Start();
  const std::string session = NewSession();
  Append(session, Wave(0, 60));
  EXPECT_TRUE(absl::IsAborted(TryAppend(session, {1}, "", 0).status()));
  EXPECT_TRUE(TryAppend(session, {1}, "", 1).ok());
  EXPECT_EQ(ReasonOf(TryAppend(session, Wave(0, 40)).status()), reason::kHistoryTooLong);
  EXPECT_TRUE(TryAppend(session, Wave(0, 39)).ok());
}

TEST_F(EngineMemoryTest, EachKindOfModelRefusesTheOthersCalls) {
  const std::string memory = NewSession("legs");
  const std::string talk = NewSession("tales");
  EXPECT_EQ(ReasonOf(TryAppend(talk, {1}).status()), reason::kModelKind);
  EXPECT_EQ(ReasonOf(TryRead(talk, {}).status()), reason::kModelKind);
  EXPECT_EQ(ReasonOf(engine_->MemoryOf("tales").status()), reason::kModelKind);
  EXPECT_TRUE(engine_->MemoryOf("legs").ok());
  GenerateRequest generate = Request({1, 2}, 3);
  generate.model = "legs";
  EXPECT_EQ(ReasonOf(engine_->Generate(generate, "r").status()), reason::kModelKind);
  generate.session_id = memory;
  EXPECT_EQ(ReasonOf(engine_->Generate(generate, "r").status()), reason::kModelKind);
  EXPECT_EQ(ReasonOf(engine_->Tokenize("legs", "a", false).status()), reason::kModelKind);
  EXPECT_EQ(ReasonOf(engine_->Detokenize("legs", {1}).status()), reason::kModelKind);
  ScoreRequest score;
  score.model = "legs";
  score.prompt = std::vector<int32_t>{1, 2};
  absl::Status status;
  engine_->Score(score, "s", [&](absl::StatusOr<ScoreResult> result) { status = result.status(); });
  EXPECT_EQ(ReasonOf(status), reason::kModelKind);
  CreateSessionRequest create;
  create.tenant = "tenant";
  create.model = "legs";
  create.prompt = std::vector<int32_t>{1, 2};
  engine_->CreateSession(create, "c",
                         [&](absl::StatusOr<SessionInfo> session) { status = session.status(); });
  EXPECT_EQ(ReasonOf(status), reason::kModelKind);
}

TEST_F(EngineMemoryTest, OfOthersNothingIsKnown) {
  const std::string session = NewSession();
  AppendRequest request;
  request.tenant = "stranger";
  request.session_id = session;
  request.samples = {1};
  EXPECT_TRUE(absl::IsNotFound(engine_->Append(request, "r").status()));
  absl::Status status;
  engine_->ReadMemory("stranger", session, {},
                      [&](absl::StatusOr<MemoryReading> reading) { status = reading.status(); });
  EXPECT_TRUE(absl::IsNotFound(status));
}

// --- The folder ---

TEST(MemoryFolder, SaysWhatIsWrongWithIt) {
  const struct {
    const char* config;
    const char* words;
  } cases[] = {
      {R"("d_state": 8)", "basis must be legs, legt or fourier"},
      {R"("basis": "legz", "d_state": 8)", "basis must be legs, legt or fourier"},
      {R"("basis": "legs")", "d_state"},
      {R"("basis": "legs", "d_state": 257)", "d_state must be a whole number in [1, 256]"},
      {R"("basis": "legs", "d_state": 8, "channels": 65)", "channels must be a whole number"},
      {R"("basis": "fourier", "d_state": 8, "window": 9)", "d_state must be odd for fourier"},
      {R"("basis": "legs", "d_state": 8, "window": 9)", "window must not be given"},
      {R"("basis": "legt", "d_state": 8)", "window"},
      {R"("basis": "legt", "d_state": 8, "window": 1)", "window must be a whole number in [2,"},
      {R"("basis": "legt", "d_state": 8, "window": 9, "discretization": "bilinear")", "zoh"},
      {R"("basis": "legs", "d_state": 8, "discretization": "euler")", "zoh or bilinear"},
      {R"("basis": "legs", "d_state": 8, "hidden_size": 3)", "hidden_size"},
  };
  for (const auto& wrong : cases) {
    const TempFolder folder;
    folder.Write("config.json",
                 std::string(R"({"model_type": "hippo_memory", )") + wrong.config + "}");
    EngineOptions options;
    options.models.push_back({"memory", folder.path(), {}, kChatAuto});
    const auto engine = Engine::Create(kernels::MakeCpuDevice({}), std::move(options));
    EXPECT_TRUE(absl::IsInvalidArgument(engine.status())) << wrong.config;
    EXPECT_THAT(std::string(engine.status().message()), HasSubstr(wrong.words));
  }
}

TEST(MemoryFolder, TakesNoOptionsOfLanguageModels) {
  const TempFolder folder;
  folder.Write("config.json", R"({"model_type": "hippo_memory", "basis": "legs", "d_state": 8})");
  for (int option = 0; option < 3; ++option) {
    EngineOptions options;
    options.models.push_back({"memory", folder.path(), {}, kChatAuto});
    ModelLoadOptions& load = options.models[0].load;
    if (option == 0) load.weights = kernels::WeightFormat::kBf16;
    if (option == 1) load.prefill = Prefill::kChunked;
    if (option == 2) load.state = kernels::StateFormat::kBf16;
    const auto engine = Engine::Create(kernels::MakeCpuDevice({}), std::move(options));
    EXPECT_TRUE(absl::IsInvalidArgument(engine.status())) << option;
  }
  EngineOptions options;
  options.models.push_back({"memory", folder.path(), {}, kChatAuto});
  options.models[0].load.prefill = Prefill::kFast;  // which is as fast as it gets
  const auto engine = Engine::Create(kernels::MakeCpuDevice({}), std::move(options));
  EXPECT_TRUE(engine.ok()) << engine.status();
}

}  // namespace
}  // namespace ssmd::testing
