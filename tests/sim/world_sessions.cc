// World: what callers do to sessions between turns, and the house is kept.
#include <gtest/gtest.h>

#include <iterator>
#include <limits>
#include <utility>

#include "engine/base/errors.h"
#include "tests/sim/world.h"

namespace ssmd::sim {

TrueSession* World::AnySession() {
  if (truth_.empty()) return nullptr;
  return &std::next(truth_.begin(), dice_.Pick(0, static_cast<int>(truth_.size()) - 1))->second;
}

bool World::IsFree(const TrueSession& session) const { return !machine_->log->Holds(session.id); }

void World::Write(absl::StatusOr<Proposal> proposal) {
  if (!proposal.ok()) {
    const std::string reason = ReasonOf(proposal.status());
    EXPECT_TRUE(reason == reason::kSessionBusy || reason == reason::kPointNotHeld ||
                reason == reason::kTooManyCheckpoints)
        << proposal.status();
    return;
  }
  machine_->log->Write(*std::move(proposal), Durability::kProcess, [this](const auto& result) {
    EXPECT_TRUE(result.ok() || log_fails_ || off_) << result.status();
  });
  Tidy();
}

std::optional<uint64_t> World::SomeRevision(const TrueSession& session, int percent) {
  if (!dice_.Chance(percent)) return std::nullopt;
  return dice_.Chance(70) ? session.revision : session.revision + 1;
}

void World::WriteIf(const TrueSession& session, std::optional<uint64_t> expected,
                    absl::StatusOr<Proposal> proposal) {
  const bool differs = expected.has_value() && *expected != session.revision;
  EXPECT_EQ(ReasonOf(proposal.status()) == reason::kRevisionMismatch, differs) << proposal.status();
  if (!differs) Write(std::move(proposal));
}

void World::CreateSession() {
  if (truth_.size() >= sessions_wanted_) return;
  SessionLifetime lifetime;
  if (dice_.Chance(ages_)) lifetime.ttl_ms = dice_.Pick(1, 200000);
  if (dice_.Chance(ages_)) lifetime.idle_ms = dice_.Pick(1, 200000);
  Write(machine_->sessions->ProposeCreate(dice_.One({"ann", "bob"}), "fake", lifetime));
}

void World::Fork() {
  TrueSession* session = AnySession();
  if (session == nullptr || !IsFree(*session) || truth_.size() >= sessions_wanted_) return;
  ForkOptions options;
  options.count = dice_.Chance(80) ? 1 : dice_.Pick(2, 4);
  if (!session->checkpoints.empty() && dice_.Chance(40)) {
    options.checkpoint = session->checkpoints.begin()->first;
  } else if (dice_.Chance(50)) {
    options.position = !session->ends.empty() && dice_.Chance(70)
                           ? session->ends.back().position
                           : dice_.Pick(0, static_cast<int>(Size(session->present)));
  }
  options.expected_revision = SomeRevision(*session, 20);
  if (!machine_->service.admission->CheckRoom(options.count).ok()) return;
  forking_ = true;
  WriteIf(*session, options.expected_revision,
          machine_->sessions->ProposeFork(session->tenant, session->id, options));
  forking_ = false;
}

void World::Rewind() {
  TrueSession* session = AnySession();
  if (session == nullptr || !IsFree(*session)) return;
  RewindTarget target;
  target.allow_recompute = dice_.Chance(50);
  target.expected_revision = SomeRevision(*session, 20);
  if (!session->checkpoints.empty() && dice_.Chance(40)) {
    target.checkpoint = session->checkpoints.rbegin()->first;
  } else if (!session->ends.empty() && dice_.Chance(60)) {
    target.turns = dice_.Pick(1, static_cast<int>(session->ends.size()));
  } else {
    target.position = dice_.Pick(0, static_cast<int>(Size(session->present)));
  }
  auto proposal = machine_->sessions->ProposeRewind(session->tenant, session->id, target);
  if (!proposal.ok() && target.allow_recompute) {
    const std::string reason = ReasonOf(proposal.status());
    EXPECT_TRUE(reason == reason::kSessionBusy || reason == reason::kRevisionMismatch)
        << proposal.status();
  }
  if (proposal.ok() && target.turns.has_value()) {
    const auto& end = session->ends[session->ends.size() - static_cast<size_t>(*target.turns)];
    const auto& change = std::get<SessionRewound>(proposal->changes().front());
    EXPECT_EQ(change.position, end.position);
    EXPECT_EQ(change.pending_tokens, end.pending);
  }
  WriteIf(*session, target.expected_revision, std::move(proposal));
}

void World::Checkpoint() {
  TrueSession* session = AnySession();
  if (session == nullptr || !IsFree(*session)) return;
  CheckpointOptions options;
  options.name = dice_.One({"a", "b", "c", "d"});
  options.remove = session->checkpoints.count(options.name) > 0 && dice_.Chance(50);
  options.expected_revision = SomeRevision(*session, 20);
  if (!options.remove && !machine_->service.admission->CheckRoom(1).ok()) return;
  WriteIf(*session, options.expected_revision,
          machine_->sessions->ProposeCheckpoint(session->tenant, session->id, options));
}

void World::Delete() {
  const TrueSession* session = AnySession();
  if (session != nullptr) DeleteOne(*session);
}

void World::DeleteOne(const TrueSession& session) {
  if (!IsFree(session)) return;
  bool busy = false;
  Write(machine_->sessions->ProposeDelete(session.tenant, session.id, std::nullopt, &busy));
}

// A session leaves as a snapshot and comes in again as another one: ServingEngine's ExportSession
// and ImportSession.
void World::ExportAndImport() {
  const TrueSession* session = AnySession();
  if (session == nullptr || truth_.size() >= sessions_wanted_) return;
  auto image = machine_->sessions->Image(session->tenant, session->id, "");
  ASSERT_TRUE(image.ok()) << image.status();
  if (!machine_->service.admission->CheckRoom(1).ok()) return;
  StateTiers& tiers = *machine_->service.tiers;
  Snapshot exported;
  exported.identity = machine_->service.identity;
  exported.session = {image->model, image->revision, std::move(image->history),
                      image->pending_tokens, std::move(image->text_remainder)};
  // Without a state, or one that is not at hand, its history is read again.
  const StateRef state = std::exchange(image->state, nullptr);
  if (state != nullptr && state->tier() <= StateTier::kHost && dice_.Chance(80)) {
    bool fetched = false;
    tiers.Fetch(state, [&](absl::StatusOr<StateBytes> bytes) {
      fetched = true;
      if (bytes.ok()) exported.state = *std::move(bytes);
    });
    while (!fetched) tiers.Tend();
    ASSERT_NE(exported.state, nullptr);
    exported.state_position = state->position;
    exported.history_hash = state->history_hash();
  }
  const EncodedSnapshot encoded = EncodeSnapshot(exported);
  std::string bytes = encoded.front;
  if (encoded.state != nullptr) {
    bytes.append(encoded.state->as<const char>(), encoded.state->bytes());
  }
  auto read = DecodeSnapshot(
      bytes, {tiers.bytes_per_state(), 100000, testing::FakeModel::kVocabulary, false});
  ASSERT_TRUE(read.ok()) << read.status();
  image->history = std::move(read->session->history);
  image->revision = read->session->revision;
  image->pending_tokens = read->session->pending_tokens;
  image->text_remainder = std::move(read->session->text_remainder);
  if (read->state != nullptr) {
    image->state = tiers.AdoptBytes(std::move(read->state), read->state_position);
  }
  imported_ = session->present;
  Write(machine_->sessions->ProposeImport(session->tenant, *std::move(image)));
}

// As ServingEngine::Maintain, in pieces.
void World::KeepHouse() {
  for (const SessionKey& key : machine_->sessions->Expired()) {
    const auto session = truth_.find(key.id);
    if (session != truth_.end()) DeleteOne(session->second);  // or it went just now
  }
  if (!lasting_) return;
  machine_->service.tiers->RetryStores();
  for (const SessionTable::Unstored& due : std::exchange(storing_, {})) {
    const auto session = truth_.find(due.key.id);
    if (due.state->stored_id().empty() || session == truth_.end() || !IsFree(session->second)) {
      continue;
    }
    auto proposal = machine_->sessions->ProposeStored(due.key, due.checkpoint, due.state);
    if (proposal.ok()) Write(std::move(proposal));
  }
  for (auto& due : machine_->sessions->FindUnstored(std::numeric_limits<size_t>::max())) {
    if (!dice_.Chance(40)) continue;
    EXPECT_EQ(due.state->history_hash(), due.history_hash);
    machine_->service.tiers->Store(due.state, [this](const absl::Status& status) {
      EXPECT_TRUE(status.ok() || puts_fail_ || states_get_lost_ || off_) << status;
    });
    storing_.push_back(std::move(due));
  }
}

void World::LoseState() {
  if (!states_get_lost_ || machine_->store->states.empty()) return;
  auto& states = machine_->store->states;
  states.erase(std::next(states.begin(), dice_.Pick(0, static_cast<int>(states.size()) - 1)));
}

}  // namespace ssmd::sim
