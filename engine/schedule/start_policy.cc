#include "engine/schedule/start_policy.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <queue>
#include <set>
#include <tuple>
#include <utility>

namespace ssmd {
namespace {

int AskedClass(const WaitingTurn& turn) {
  return std::clamp(turn.priority, kPriorityLow, kPriorityHigh);
}

// One call's order in the making.
class Ordering {
 public:
  using Counters = std::map<absl::string_view, int64_t>;

  Ordering(absl::Span<const WaitingTurn> waiting, Counters counters)
      : waiting_(waiting), counters_(std::move(counters)), left_(waiting.size()) {
    std::iota(left_.begin(), left_.end(), size_t{0});
    std::sort(left_.begin(), left_.end(), [&](size_t a, size_t b) {
      return std::tie(waiting[a].tenant, waiting[a].sequence) <
             std::tie(waiting[b].tenant, waiting[b].sequence);
    });
  }

  // Adds the turns that asked for `level`, which the others of `classes` compete with meanwhile.
  void AddLevel(int level, const std::vector<int>& classes);
  std::vector<size_t> order() && { return std::move(order_); }

 private:
  struct Line {  // [next, end) of some turns: those of one tenant, in the order of submission
    size_t next;
    size_t end;
    int64_t* counter;
  };
  std::vector<Line> LinesOf(const std::vector<size_t>& turns);

  const absl::Span<const WaitingTurn> waiting_;
  Counters counters_;         // with what the turns in the order will cost
  std::vector<size_t> left_;  // by tenant, then by sequence
  std::vector<size_t> order_;
};

std::vector<Ordering::Line> Ordering::LinesOf(const std::vector<size_t>& turns) {
  std::vector<Line> lines;
  for (size_t i = 0; i < turns.size(); ++i) {
    const absl::string_view tenant = waiting_[turns[i]].tenant;
    if (i == 0 || waiting_[turns[i - 1]].tenant != tenant) {
      lines.push_back({i, i, &counters_[tenant]});
    }
    ++lines.back().end;
  }
  return lines;
}

void Ordering::AddLevel(int level, const std::vector<int>& classes) {
  std::vector<size_t> turns;
  for (const size_t turn : left_) {
    if (classes[turn] >= level) turns.push_back(turn);
  }
  auto asking = std::count_if(turns.begin(), turns.end(),
                              [&](size_t turn) { return AskedClass(waiting_[turn]) == level; });
  const auto is_later = [&](const Line& a, const Line& b) {
    return std::pair(*a.counter, waiting_[turns[a.next]].sequence) >
           std::pair(*b.counter, waiting_[turns[b.next]].sequence);
  };
  const std::vector<Line> lines = LinesOf(turns);
  std::priority_queue queue(lines.begin(), lines.end(), is_later);
  std::vector<bool> added(waiting_.size(), false);
  while (asking > 0) {
    Line line = queue.top();
    queue.pop();
    const size_t turn = turns[line.next++];
    *line.counter += std::max<int64_t>(waiting_[turn].tokens, 1);
    if (AskedClass(waiting_[turn]) == level) --asking;
    added[turn] = true;
    order_.push_back(turn);
    if (line.next < line.end) queue.push(line);
  }
  left_.erase(std::remove_if(left_.begin(), left_.end(), [&](size_t turn) { return added[turn]; }),
              left_.end());
}

}  // namespace

void StartPolicy::Charge(absl::string_view tenant, int64_t tokens) {
  const auto account = accounts_.find(tenant);
  if (account != accounts_.end()) account->second.tokens += tokens;
}

int StartPolicy::ClassOf(const WaitingTurn& turn, Duration now) const {
  const int asked = AskedClass(turn);
  const auto intervals = std::max<Duration::rep>((now - turn.submitted) / ageing_, 0);
  return asked + static_cast<int>(std::min<Duration::rep>(intervals, kPriorityHigh - asked));
}

void StartPolicy::NoteActive(absl::Span<const WaitingTurn> waiting,
                             absl::Span<const absl::string_view> running) {
  std::set<absl::string_view> active(running.begin(), running.end());
  for (const WaitingTurn& turn : waiting) active.insert(turn.tenant);

  // The smallest counter of those who stayed. Without any there is nobody to be fair to.
  std::optional<int64_t> floor;
  for (const auto& [tenant, account] : accounts_) {
    if (!account.active || active.count(tenant) == 0) continue;
    floor = std::min(floor.value_or(account.tokens), account.tokens);
  }
  if (!floor.has_value()) accounts_.clear();

  for (auto& [tenant, account] : accounts_) account.active = active.count(tenant) > 0;
  for (const absl::string_view tenant : active) {
    Account& account = accounts_.try_emplace(std::string(tenant)).first->second;
    account.tokens = std::max(account.tokens, floor.value_or(0));
    account.active = true;
  }
  std::erase_if(accounts_, [&](const auto& entry) {
    return !entry.second.active && entry.second.tokens <= floor.value_or(0);
  });
}

std::vector<size_t> StartPolicy::Order(absl::Span<const WaitingTurn> waiting,
                                       absl::Span<const absl::string_view> running, Duration now) {
  NoteActive(waiting, running);

  Ordering::Counters counters;
  for (const auto& [tenant, account] : accounts_) counters.emplace(tenant, account.tokens);
  std::vector<int> classes;
  for (const WaitingTurn& turn : waiting) classes.push_back(ClassOf(turn, now));
  Ordering ordering(waiting, std::move(counters));
  for (int level = kPriorityHigh; level >= kPriorityLow; --level) {
    ordering.AddLevel(level, classes);
  }
  return std::move(ordering).order();
}

}  // namespace ssmd
