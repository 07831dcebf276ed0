// Every event and answer of the engine as a message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/convert.h"

namespace ssmd::server {
namespace {

using ::testing::ElementsAre;

TEST(Convert, EventsBecomeMessages) {
  const TokenText token_text = [](int32_t id) { return std::string(1, static_cast<char>(id)); };
  const auto converted = [&token_text](const GenerateEvent& event) {
    v1::GenerateResponse response;
    ToProto(event, token_text, &response);
    return response;
  };
  StartedEvent started;
  started.request_id = std::string("r");
  started.session_id = std::string("s");
  started.base_revision = 4;
  started.state_source = StateSource::kResident;
  started.seed = std::numeric_limits<uint64_t>::max();
  started.numerics_profile = std::string("p");
  started.replayed = true;
  const auto started_out = converted(started).started();
  EXPECT_EQ(started_out.request_id(), "r");
  EXPECT_EQ(started_out.session_id(), "s");
  EXPECT_EQ(started_out.base_revision(), 4U);
  EXPECT_EQ(started_out.state_source(), v1::STATE_SOURCE_RESIDENT);
  EXPECT_EQ(started_out.seed(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(started_out.numerics_profile(), "p");
  EXPECT_TRUE(started_out.replayed());

  const auto progress = converted(ProgressEvent{3, 9}).progress();
  EXPECT_EQ(progress.done_tokens(), 3);
  EXPECT_EQ(progress.total_tokens(), 9);

  DeltaEvent delta;
  delta.choice = 2;
  delta.text = std::string("t");
  delta.token_ids = {65, 200};
  delta.logprobs = {TokenDetail{65, -1, {{66, -2}}}};
  delta.echo = true;
  const auto delta_out = converted(delta).delta();
  EXPECT_EQ(delta_out.choice_index(), 2);
  EXPECT_EQ(delta_out.text(), "t");
  EXPECT_THAT(delta_out.token_ids(), ElementsAre(65, 200));
  EXPECT_EQ(delta_out.logprobs(0).token().token(), "A");
  EXPECT_EQ(delta_out.logprobs(0).top(0).token_id(), 66);
  EXPECT_EQ(delta_out.logprobs(0).top(0).logprob(), -2);
  EXPECT_TRUE(delta_out.echo());

  ChoiceFinishedEvent finished;
  finished.choice = 1;
  finished.reason = FinishReason::kStop;
  finished.stop_reason = std::string("end");
  finished.history_token_ids = {1, 2};
  finished.session_id = std::string("child");
  finished.revision = 6;
  finished.usage = Usage{10, 4, 6, 1, 5};
  const auto finished_out = converted(finished).choice_finished();
  EXPECT_EQ(finished_out.choice_index(), 1);
  EXPECT_EQ(finished_out.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(finished_out.stop_reason(), "end");
  EXPECT_THAT(finished_out.history_token_ids(), ElementsAre(1, 2));
  EXPECT_EQ(finished_out.session_id(), "child");
  EXPECT_EQ(finished_out.revision(), 6U);
  EXPECT_EQ(finished_out.usage().prompt_tokens(), 10);
  EXPECT_EQ(finished_out.usage().reused_tokens(), 4);
  EXPECT_EQ(finished_out.usage().computed_tokens(), 6);
  EXPECT_EQ(finished_out.usage().recomputed_tokens(), 1);
  EXPECT_EQ(finished_out.usage().generated_tokens(), 5);

  FinalEvent final_event;
  final_event.timings = {std::chrono::microseconds(1500), std::chrono::microseconds(700),
                         std::chrono::milliseconds(2), std::chrono::seconds(1)};
  final_event.state_source = StateSource::kPrefix;
  final_event.miss = PrefixMiss::kEvicted;
  const auto final_out = converted(final_event).final();
  EXPECT_DOUBLE_EQ(final_out.timings().queue_ms(), 1.5);
  EXPECT_DOUBLE_EQ(final_out.timings().load_ms(), 0.7);
  EXPECT_DOUBLE_EQ(final_out.timings().first_token_ms(), 2);
  EXPECT_EQ(final_out.state_source(), v1::STATE_SOURCE_PREFIX);
  EXPECT_EQ(final_out.reuse_miss(), v1::REUSE_MISS_EVICTED);
  EXPECT_DOUBLE_EQ(final_out.timings().total_ms(), 1000);
}

TEST(Convert, EveryStateSourceAndReasonHasItsWord) {
  const std::pair<StateSource, v1::StateSource> kSources[] = {
      {StateSource::kFresh, v1::STATE_SOURCE_FRESH},
      {StateSource::kResident, v1::STATE_SOURCE_RESIDENT},
      {StateSource::kHost, v1::STATE_SOURCE_HOST},
      {StateSource::kDisk, v1::STATE_SOURCE_DISK},
      {StateSource::kRemote, v1::STATE_SOURCE_REMOTE},
      {StateSource::kPrefix, v1::STATE_SOURCE_PREFIX},
      {StateSource::kReplayed, v1::STATE_SOURCE_REPLAYED}};
  for (const auto& [ours, wire] : kSources) {
    FinalEvent event;
    event.state_source = ours;
    v1::GenerateResponse out;
    ToProto(
        event, [](int32_t) { return std::string(); }, &out);
    EXPECT_EQ(out.final().state_source(), wire);
  }
  const std::pair<PrefixMiss, v1::ReuseMiss> kMisses[] = {
      {PrefixMiss::kNone, v1::REUSE_MISS_UNSPECIFIED},
      {PrefixMiss::kNoState, v1::REUSE_MISS_NO_STATE},
      {PrefixMiss::kEvicted, v1::REUSE_MISS_EVICTED},
      {PrefixMiss::kDisabled, v1::REUSE_MISS_DISABLED}};
  for (const auto& [ours, wire] : kMisses) {
    FinalEvent event;
    event.miss = ours;
    v1::GenerateResponse out;
    ToProto(
        event, [](int32_t) { return std::string(); }, &out);
    EXPECT_EQ(out.final().reuse_miss(), wire);
  }
}

TEST(Convert, SessionsModelsAndStatsBecomeMessages) {
  SessionInfo session;
  session.session_id = std::string("s");
  session.model = std::string("m");
  session.revision = 1;
  session.position = 2;
  session.pending_tokens = 3;
  session.last_token_ids = {4};
  session.running = true;
  session.created_unix_ms = 5;
  session.used_unix_ms = 6;
  session.expires_unix_ms = 7;
  session.history_hash = 8;
  session.waiting_turns = 9;
  session.tier = StateTier::kDisk;
  session.state_position = 10;
  session.state_bytes = 11;
  session.parent_id = std::string("p");
  session.parent_position = 12;
  session.checkpoints = {{"c", 13, 14, true}};
  session.turn_ends = {{"", 15, 16, false}};
  v1::Session session_out;
  ToProto(session, &session_out);
  EXPECT_EQ(session_out.ShortDebugString(),
            "session_id: \"s\" model: \"m\" revision: 1 position: 2 pending_tokens: 3 "
            "last_token_ids: 4 running: true created_unix_ms: 5 used_unix_ms: 6 expires_unix_ms: 7 "
            "history_hash: 8 waiting_turns: 9 tier: STATE_TIER_DISK state_position: 10 "
            "state_bytes: 11 parent_id: \"p\" parent_position: 12 "
            "checkpoints { name: \"c\" revision: 13 position: 14 held: true } "
            "turn_ends { revision: 15 position: 16 }");
  session.tier.reset();
  v1::Session empty_out;
  ToProto(session, &empty_out);
  EXPECT_EQ(empty_out.tier(), v1::STATE_TIER_UNSPECIFIED);

  ServedModel model;
  model.name = std::string("m");
  model.info.architecture = std::string("mamba");
  model.info.weights = std::string("bf16");
  model.info.parameters = 1;
  model.info.weight_bytes = 2;
  model.info.layers = 3;
  model.info.d_model = 4;
  model.info.vocabulary = 5;
  model.info.eos_token_ids = {0};
  model.info.fingerprint = std::string("f");
  model.has_tokenizer = true;
  model.state_bytes_per_session = 6;
  model.state_slots = 7;
  model.token_budget = 8;
  model.max_history_tokens = 9;
  model.numerics_profile = std::string("p");
  model.device = std::string("d");
  v1::Model model_out;
  ToProto(model, &model_out);
  EXPECT_EQ(model_out.ShortDebugString(),
            "name: \"m\" architecture: \"mamba\" weights: \"bf16\" parameters: 1 weight_bytes: 2 "
            "layers: 3 d_model: 4 vocabulary_size: 5 has_tokenizer: true eos_token_ids: 0 "
            "state_bytes_per_session: 6 state_slots: 7 token_budget: 8 max_history_tokens: 9 "
            "fingerprint: \"f\" numerics_profile: \"p\" device: \"d\"");

  ModelStats stats;
  stats.model = std::string("m");
  stats.steps = 1;
  stats.running = 2;
  stats.waiting = 3;
  stats.waiting_limit = 37;
  stats.paused = 4;
  stats.slots_used = 5;
  stats.slots_free = 6;
  stats.sessions = 7;
  stats.prompt_tokens = 8;
  stats.generated_tokens = 9;
  stats.read_tokens = 35;
  stats.fed_tokens = 36;
  stats.reused_tokens = 10;
  stats.recomputed_tokens = 11;
  stats.session_tiers = {{StateTier::kDevice, 14}};
  stats.held_states = 15;
  stats.device_states = 16;
  stats.host_states = 17;
  stats.host_bytes = 18;
  stats.host_bytes_limit = 19;
  stats.loading = 20;
  stats.storing = 21;
  stats.loads = {{StateSource::kHost, 22}};
  stats.evictions = {{StateTier::kHost, 23}};
  stats.prefixes = PrefixFigures{24, 25, 26, 27, 28, 29, 30, 31};
  stats.waiting_by_priority = {
      {Priority::kLow, 32}, {Priority::kNormal, 33}, {Priority::kHigh, 34}};
  EarlyEnd& end = stats.early_ends.emplace_back();
  end.request_id = std::string("r");
  end.reason = std::string("CANCELLED");
  end.noticed_step = 12;
  end.freed_step = 13;
  v1::ModelStats stats_out;
  ToProto(stats, &stats_out);
  EXPECT_EQ(stats_out.ShortDebugString(),
            "model: \"m\" steps: 1 running: 2 waiting: 3 paused: 4 slots_used: 5 slots_free: 6 "
            "sessions: 7 prompt_tokens: 8 generated_tokens: 9 reused_tokens: 10 "
            "recomputed_tokens: 11 early_ends { request_id: \"r\" reason: \"CANCELLED\" "
            "noticed_step: 12 freed_step: 13 } "
            "session_tiers { tier: STATE_TIER_DEVICE count: 14 } held_states: 15 device_states: 16 "
            "host_states: 17 host_bytes: 18 host_bytes_limit: 19 loading: 20 storing: 21 "
            "loads { source: STATE_SOURCE_HOST count: 22 } "
            "evictions { tier: STATE_TIER_HOST count: 23 } "
            "prefixes { queries: 24 hits: 25 queried_tokens: 26 hit_tokens: 27 evictions: 28 "
            "states: 29 bytes: 30 bytes_limit: 31 } "
            "waiting_low: 32 waiting_normal: 33 waiting_high: 34 read_tokens: 35 fed_tokens: 36 "
            "waiting_limit: 37");

  ModelObservations observed;
  observed.queue = {{0.001}, {1, 2}, 0.5};
  observed.steps = {{"mixed", {{0.002}, {3, 4}, 0.25}}};
  observed.outcomes = {{"ok", 5}};
  v1::ModelStats observed_out;
  ToProto(observed, &observed_out);
  EXPECT_EQ(observed_out.ShortDebugString(),
            "time_to_first_token { } inter_token { } outcomes { outcome: \"ok\" count: 5 } "
            "queue { bounds_ms: 1 counts: 1 counts: 2 sum_ms: 500 } "
            "steps_by_phase { phase: \"mixed\" "
            "duration { bounds_ms: 2 counts: 3 counts: 4 sum_ms: 250 } }");

  EngineFigures figures;
  figures.log = CommitLogFigures{1, 99, 98, 2, 3, 4};
  figures.store = StoreFigures{5, 6, 7, 8, 99, 99, 9};
  v1::StateDirStats dir_out;
  ToProto(figures, &dir_out);
  EXPECT_EQ(dir_out.ShortDebugString(),
            "log_bytes: 1 log_records: 2 log_syncs: 3 log_failures: 4 stored_states: 5 "
            "stored_bytes: 6 stored_bytes_limit: 7 store_queued: 8 store_failures: 9");
}

}  // namespace
}  // namespace ssmd::server
