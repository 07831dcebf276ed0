// World: what is written to the log is held against the truth, and becomes the truth when the log
// has it.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "tests/sim/world.h"

namespace ssmd::sim {
namespace {

TokenLog After(const TokenLog& whole, const TokenLog& beginning) {
  return TokenLog(whole.begin() + static_cast<std::ptrdiff_t>(beginning.size()), whole.end());
}

bool Contains(const std::vector<int64_t>& values, int64_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

WatchedLog::Record World::OnWrite(const std::vector<SessionChange>& changes) {
  WatchedLog::Record record;
  std::vector<std::function<void()>> effects;
  writing_ = nullptr;
  next_child_ = 0;
  for (const SessionChange& change : changes) {
    if (const auto* kept = std::get_if<ResultKept>(&change)) {
      writing_ = CallOf(kept->key.id, kept->result.key.request_id, /*children=*/true);
    }
  }
  for (const SessionChange& change : changes) {
    effects.push_back(std::visit([this](const auto& each) { return Effect(each); }, change));
    const auto* fork = std::get_if<SessionForked>(&change);
    record.sessions.push_back(
        fork != nullptr ? fork->parent_id
                        : std::visit([](const auto& each) { return each.key.id; }, change));
    Note(change.index());
  }
  forking_ = false;
  record.apply = [effects = std::move(effects)] {
    for (const auto& effect : effects) {
      if (effect) effect();
    }
  };
  return record;
}

// The one that is to be committed: it was accepted last of those that it may be.
std::shared_ptr<Call> World::CallOf(const std::string& session, const std::string& request_id,
                                    bool children) {
  const auto found = std::find_if(calls_.rbegin(), calls_.rend(), [&](const auto& call) {
    return call->request.session_id == session && call->request.key.request_id == request_id &&
           (call->request.choices > 1) == children && !call->proposed;
  });
  if (found == calls_.rend()) {
    ADD_FAILURE() << "a turn of session " << session << " commits that nobody asked for";
    return nullptr;
  }
  Call& call = **found;
  call.proposed = true;
  call.before = truth_.at(session).present;
  for (int i = 0; i < call.request.choices; ++i) {
    call.expected.push_back(oracle_.Run(call.request, call.before, call.prompt(), i));
  }
  return *found;
}

std::function<void()> World::Add(const SessionKey& key, uint64_t revision, OracleSession content) {
  return [this, key, revision, content = std::move(content)] {
    TrueSession& session = truth_[key.id];
    session.tenant = key.tenant;
    session.id = key.id;
    session.Become(revision, content);
  };
}

std::function<void()> World::Effect(const SessionCreated& change) { return Add(change.key, 0, {}); }

std::function<void()> World::Effect(const SessionImage& change) {
  EXPECT_TRUE(SameTokens(change.history, imported_.history));
  EXPECT_EQ(change.pending_tokens, imported_.pending);
  return Add(change.key, change.revision, imported_);
}

// What a turn makes of its session: the oracle's, or as much of it as its caller has got.
OracleSession World::CommittedBy(Call* call, const SessionCommitted& change) {
  OracleChoice& expected = call->expected.front();
  const TokenLog& before = call->before.history;
  const TokenLog& appended = change.commit.appended;
  if (SameTokens(appended, After(expected.after.history, before)) &&
      change.commit.pending_tokens == expected.after.pending) {
    return expected.after;
  }
  EXPECT_EQ(call->request.commit, CommitMode::kPartial) << "a turn commits what is not the truth";
  call->partial = true;
  expected.after = call->before;
  expected.after.pending = 1;
  for (const int32_t id : call->prompt()) expected.after.history.emplace_back(id, false);
  // A turn that was cut, and whose commit waited, may have been taken over since.
  const auto sampled = std::count_if(appended.begin(), appended.end(),
                                     [](const LoggedToken token) { return token.sampled(); });
  const int64_t taken =
      sampled == call->accepted_by_earlier ? call->accepted_by_earlier : call->accepted;
  const size_t accepted = std::min(static_cast<size_t>(taken), expected.token_ids.size());
  EXPECT_GT(accepted, 0u);
  expected.history_token_ids.assign(
      expected.token_ids.begin(),
      expected.token_ids.begin() + static_cast<std::ptrdiff_t>(accepted));
  for (const int32_t id : expected.history_token_ids) expected.after.history.emplace_back(id, true);
  EXPECT_TRUE(SameTokens(appended, After(expected.after.history, before)))
      << "a turn that was cut short commits something else than what was accepted";
  EXPECT_EQ(change.commit.pending_tokens, 1);
  return expected.after;
}

std::function<void()> World::Effect(const SessionCommitted& change) {
  const std::string request_id = change.result.has_value() ? change.result->key.request_id : "";
  const auto call = CallOf(change.key.id, request_id, /*children=*/false);
  if (call == nullptr) return nullptr;
  EXPECT_EQ(change.revision, truth_.at(change.key.id).revision + 1);
  OracleSession content = CommittedBy(call.get(), change);
  return [this, call, id = change.key.id, content = std::move(content)] {
    TrueSession& session = truth_.at(id);
    session.Commit(limits_, content);
    session.Keep(limits_, {call->request.key, call->expected, call->partial});
    call->committed = true;
  };
}

std::function<void()> World::Effect(const SessionForked& change) {
  const TrueSession& parent = truth_.at(change.parent_id);
  if (forking_) {
    const bool named = !change.checkpoint.empty();
    const OracleSession& line =
        named ? parent.checkpoints.at(change.checkpoint).content : parent.present;
    if (change.position == Size(line) && (named || change.commit.pending_tokens == line.pending)) {
      EXPECT_EQ(change.commit.pending_tokens, line.pending);
    } else {
      EXPECT_TRUE(Contains(parent.PendingAt(change.position), change.commit.pending_tokens));
    }
    return Add(change.key, 1, Beginning(line, change.position, change.commit.pending_tokens));
  }
  if (writing_ == nullptr) writing_ = CallOf(change.parent_id, "", /*children=*/true);
  if (writing_ == nullptr || next_child_ >= writing_->expected.size()) {
    ADD_FAILURE() << "a child that nobody asked for";
    return nullptr;
  }
  const auto call = writing_;
  OracleSession content = call->expected[next_child_++].after;
  EXPECT_EQ(change.position, Size(call->before));
  EXPECT_TRUE(SameTokens(change.commit.appended, After(content.history, call->before.history)));
  EXPECT_EQ(change.commit.pending_tokens, content.pending);
  return [add = Add(change.key, 1, std::move(content)), call] {
    add();
    call->committed = true;
  };
}

std::function<void()> World::Effect(const ResultKept& change) {
  if (writing_ == nullptr) return nullptr;
  return [this, id = change.key.id, call = writing_] {
    truth_.at(id).Keep(limits_, {call->request.key, call->expected, false});
    call->committed = true;
  };
}

std::function<void()> World::Effect(const SessionRewound& change) {
  const TrueSession& session = truth_.at(change.key.id);
  EXPECT_EQ(change.revision, session.revision + 1);
  OracleSession target;
  if (change.checkpoint.empty()) {
    EXPECT_TRUE(Contains(session.PendingAt(change.position), change.pending_tokens));
    target = Beginning(session.present, change.position, change.pending_tokens);
  } else {
    target = session.checkpoints.at(change.checkpoint).content;
    EXPECT_EQ(change.position, Size(target));
    EXPECT_EQ(change.pending_tokens, target.pending);
  }
  return [this, id = change.key.id, target = std::move(target)] {
    truth_.at(id).Rewind(limits_, target);
  };
}

std::function<void()> World::Effect(const SessionCheckpointed& change) {
  return [this, id = change.key.id, name = change.name, remove = change.remove] {
    TrueSession& session = truth_.at(id);
    session.checkpoints.erase(name);
    if (!remove) session.checkpoints[name] = {session.revision, session.present};
  };
}

std::function<void()> World::Effect(const SessionDeleted& change) {
  return [this, key = change.key] {
    past_[key.id] = std::move(truth_.at(key.id).past);
    truth_.erase(key.id);
    for (const auto& call : calls_) {
      if (call->request.session_id == key.id) call->session_deleted = true;
    }
    deleted_.push_back(key);
  };
}

std::function<void()> World::Effect(const StateStored& change) {
  EXPECT_FALSE(change.state->stored_id().empty());
  return nullptr;
}

}  // namespace ssmd::sim
