// World: everything that is there is held against the truth.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/sim/world.h"

namespace ssmd::sim {

void World::Look() {
  EXPECT_EQ(machine_->sessions->CountOf("fake"), static_cast<int64_t>(truth_.size()));
  for (const auto& [id, session] : truth_) {
    SCOPED_TRACE("session " + id);
    LookAt(session);
    LookAtState(session, "", session.present);
    for (const auto& [name, checkpoint] : session.checkpoints) {
      LookAtState(session, name, checkpoint.content);
    }
  }
  EXPECT_EQ(probe_.violations, 0);
}

void World::LookAt(const TrueSession& session) {
  const auto info = machine_->sessions->Get(session.tenant, session.id);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->revision, session.revision);
  EXPECT_EQ(info->position, Size(session.present));
  EXPECT_EQ(info->pending_tokens, session.present.pending);
  EXPECT_EQ(info->history_hash, HashOf(session.present.history));
  EXPECT_LE(info->state_position, Consumed(session.present));
  ASSERT_EQ(info->turn_ends.size(), session.ends.size() + 1);
  for (size_t i = 0; i < session.ends.size(); ++i) {
    EXPECT_EQ(info->turn_ends[i].revision, session.ends[i].revision);
    EXPECT_EQ(info->turn_ends[i].position, session.ends[i].position);
  }
  ASSERT_EQ(info->checkpoints.size(), session.checkpoints.size());
  for (const PointInfo& point : info->checkpoints) {
    const auto named = session.checkpoints.find(point.name);
    ASSERT_NE(named, session.checkpoints.end()) << point.name;
    EXPECT_EQ(point.revision, named->second.revision);
    EXPECT_EQ(point.position, Size(named->second.content));
  }
  Note(info->history_hash);
  Note(static_cast<uint64_t>(info->state_position));
}

void World::LookAtState(const TrueSession& session, const std::string& checkpoint,
                        const OracleSession& content) {
  const auto image = machine_->sessions->Image(session.tenant, session.id, checkpoint);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_TRUE(SameTokens(image->history, content.history));
  EXPECT_EQ(image->pending_tokens, content.pending);
  if (image->state == nullptr || image->state->lost()) return;
  ASSERT_LE(image->state->position, Consumed(content));
  const testing::FakeState expected = StateAfter(content.history, image->state->position);
  machine_->service.tiers->Fetch(
      image->state, [this, expected, id = session.id](const absl::StatusOr<StateBytes>& bytes) {
        if (!bytes.ok()) {
          EXPECT_TRUE(off_ || states_get_lost_) << bytes.status();
          return;
        }
        const auto* state = (*bytes)->as<const testing::FakeState>();
        EXPECT_EQ(state->hash, expected.hash) << "session " << id << " has another state";
        EXPECT_EQ(state->consumed, expected.consumed);
      });
}

// After a start the store has what sessions name, and nothing else.
void World::LookAtStore() {
  if (!lasting_) return;
  machine_->store->Run();
  std::set<std::string> named;
  const auto name = [&named](const StateRef& state) {
    if (state != nullptr) named.insert(state->stored_id());
  };
  for (const FrozenSession& frozen : machine_->sessions->Freeze()) {
    const SessionImage image = frozen.Image();
    name(image.state);
    name(machine_->sessions->Image(image.key.tenant, image.key.id, "")->state);
    for (const SessionPoint& end : image.turn_ends) name(end.state);
    for (const auto& checkpoint : image.checkpoints) name(checkpoint.point.state);
  }
  for (const auto& [id, state] : machine_->store->states) {
    EXPECT_EQ(named.count(id), 1u) << "nobody names the stored state " << id;
  }
  for (const std::string& id : named) {
    EXPECT_EQ(machine_->store->states.count(id), 1u) << "a session names the state " << id;
  }
}

void World::CheckNothingIsLeft() {
  Machine& machine = *machine_;
  EXPECT_TRUE(machine.runner->idle());
  EXPECT_EQ(machine.service.admission->waiting(), 0);
  machine.service.admission->Drain();
  EXPECT_TRUE(machine.service.admission->drained()) << "a ticket is out";
  EXPECT_EQ(machine.sessions->CountOf("fake"), 0);
  EXPECT_EQ(machine.sessions->StatesOf("fake"), 0);
  EXPECT_TRUE(machine.log->waiting().empty());
  while (machine.service.prefixes != nullptr && machine.service.prefixes->EvictOne()) {
  }
  constexpr int kLateRounds = 100;  // in which what is late arrives
  for (int round = 0; round < (late_copies_ ? kLateRounds : 2); ++round) {
    machine.service.tiers->Tend();
    if (lasting_) machine.store->Run();
  }
  const TierFigures tiers = machine.service.tiers->figures();
  EXPECT_EQ(tiers.held, 0);
  EXPECT_EQ(tiers.in_slots, 0);
  EXPECT_EQ(tiers.in_host, 0);
  EXPECT_EQ(tiers.loading, 0);
  EXPECT_EQ(tiers.storing, 0);
  EXPECT_EQ(machine.service.pool->free_slots(), machine.options.slots);
  EXPECT_EQ(machine.host.used(), 0);
  if (lasting_) {
    EXPECT_TRUE(machine.store->states.empty()) << "the store has what nobody names";
  }
  EXPECT_EQ(probe_.violations, 0);
}

}  // namespace ssmd::sim
