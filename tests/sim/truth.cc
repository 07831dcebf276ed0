#include "tests/sim/truth.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace ssmd::sim {
namespace {

bool ShareTokens(const TokenLog& a, const TokenLog& b, int64_t count) {
  const auto size = static_cast<std::ptrdiff_t>(count);
  const auto same_id = [](LoggedToken x, LoggedToken y) { return x.token_id() == y.token_id(); };
  return static_cast<int64_t>(a.size()) >= count && static_cast<int64_t>(b.size()) >= count &&
         std::equal(a.begin(), a.begin() + size, b.begin(), same_id);
}

template <typename T>
void KeepNewest(std::deque<T>* items, int limit) {
  while (items->size() > static_cast<size_t>(limit)) items->pop_front();
}

}  // namespace

int64_t Size(const OracleSession& session) { return static_cast<int64_t>(session.history.size()); }

int64_t Consumed(const OracleSession& session) { return Size(session) - session.pending; }

OracleSession Beginning(const OracleSession& session, int64_t position, int64_t pending) {
  OracleSession beginning = session;
  beginning.history.erase(beginning.history.begin() + static_cast<std::ptrdiff_t>(position),
                          beginning.history.end());
  beginning.pending = pending;
  return beginning;
}

bool SameTokens(const TokenLog& a, const TokenLog& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](LoggedToken x, LoggedToken y) {
    return x.token_id() == y.token_id() && x.sampled() == y.sampled();
  });
}

uint64_t HashOf(const TokenLog& history) {
  History whole;
  whole.Append(history);
  return whole.Hash(whole.size());
}

testing::FakeState StateAfter(const TokenLog& history, int64_t count) {
  testing::FakeState state;
  for (int64_t i = 0; i < count; ++i) {
    state.Consume(history.at(static_cast<size_t>(i)).token_id());
  }
  return state;
}

void TrueSession::Become(uint64_t new_revision, OracleSession content) {
  revision = new_revision;
  present = std::move(content);
  past[revision] = present;
}

void TrueSession::Commit(const SessionLimits& limits, OracleSession content) {
  ends.push_back({revision, Size(present), present.pending});
  KeepNewest(&ends, limits.turn_ends);
  Become(revision + 1, std::move(content));
}

void TrueSession::Rewind(const SessionLimits& limits, OracleSession target) {
  ends.push_back({revision, Size(present), present.pending});
  const auto is_later = [&](const End& end) {
    const int64_t consumed = end.position - end.pending;
    return std::tuple(end.position, consumed) >= std::tuple(Size(target), Consumed(target)) ||
           !ShareTokens(present.history, target.history, end.position);
  };
  ends.erase(std::remove_if(ends.begin(), ends.end(), is_later), ends.end());
  KeepNewest(&ends, limits.turn_ends);
  Become(revision + 1, std::move(target));
}

void TrueSession::Keep(const SessionLimits& limits, TrueResult result) {
  if (result.key.request_id.empty()) return;
  results.push_back(std::move(result));
  KeepNewest(&results, limits.results);
}

std::vector<int64_t> TrueSession::PendingAt(int64_t position) const {
  std::vector<int64_t> pending;
  if (Size(present) == position) pending.push_back(present.pending);
  for (const End& end : ends) {
    if (end.position == position) pending.push_back(end.pending);
  }
  for (const auto& [name, checkpoint] : checkpoints) {
    if (Size(checkpoint.content) == position &&
        ShareTokens(checkpoint.content.history, present.history, position)) {
      pending.push_back(checkpoint.content.pending);
    }
  }
  if (pending.empty()) pending.push_back(position == 0 ? 0 : 1);
  return pending;
}

}  // namespace ssmd::sim
