// What the tenants' prefixes have in common: the budget, and whose states and memories go when it
// is spent. Between tenants that is max-min fair: who holds the least loses nothing to those who
// hold more. Memories (tenant_prefixes.h) go as soon as the budget is full and all token paths
// together take more than a part of it, or no state is left to evict.
#include "engine/state/prefix_tree.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/state/tenant_prefixes.h"

namespace ssmd {
namespace {

constexpr int64_t kPathsPart = 8;  // paths may crowd out states up to one part in eight

// The tokens of which a lookup can make use.
absl::Span<const int32_t> AllButLast(absl::Span<const int32_t> tokens) {
  return tokens.first(std::max<size_t>(tokens.size(), 1) - 1);
}

void CheckConsumed(const StateRef& state, absl::Span<const int32_t> tokens) {
  Check(
      state != nullptr && !tokens.empty() && state->position == static_cast<int64_t>(tokens.size()),
      "PrefixTree: a state that has not consumed exactly its tokens");
}

}  // namespace

class PrefixTree::Impl {
 public:
  explicit Impl(const PrefixTreeOptions& options) : options_(options) {}

  PrefixHit Lookup(const std::string& tenant, absl::Span<const int32_t> tokens);
  std::vector<int64_t> WantedPositions(const std::string& tenant, absl::Span<const int32_t> tokens,
                                       int64_t from) const;
  void Insert(const std::string& tenant, absl::Span<const int32_t> tokens, StateRef state);
  bool EvictOne() { return Evict(FirstToLose(Share())) || Evict(FirstToLose(0)); }
  PrefixFigures figures() const;

 private:
  struct Tenant {
    explicit Tenant(PrefixClock* clock) : prefixes(clock) {}
    TenantPrefixes prefixes;
    TimePoint last_use;
  };
  struct Totals {
    int64_t states = 0;
    int64_t path_bytes = 0;
    int64_t bytes = 0;
  };

  bool disabled() const { return options_.bytes_limit <= 0; }
  bool InUse(const Tenant& tenant) const { return tenant.last_use + kPrefixProtection > now_; }

  // --- Each looks at every tenant, of whom there are few ---
  Totals Sum() const;
  // What a tenant in use may hold and lose nothing: the average of such tenants.
  int64_t Share() const;
  // Whose state goes first of those that hold `bytes_least`, or are not in use. Null: none of them
  // has one that has a rank.
  Tenant* FirstToLose(int64_t bytes_least);
  bool ForgetOne();

  bool Evict(Tenant* loser);  // false where there is none
  void MakeRoom();

  const PrefixTreeOptions options_;
  TimePoint now_;  // of the latest call that came with tokens
  PrefixClock clock_;
  std::map<std::string, Tenant> tenants_;  // each with a path
  PrefixFigures counts_;
};

PrefixHit PrefixTree::Impl::Lookup(const std::string& tenant, absl::Span<const int32_t> tokens) {
  PrefixHit hit;
  if (disabled()) {
    hit.miss = PrefixMiss::kDisabled;
    return hit;
  }
  now_ = options_.clock->Now();
  const absl::Span<const int32_t> usable = AllButLast(tokens);
  if (const auto known = tenants_.find(tenant); known != tenants_.end()) {
    known->second.last_use = now_;
    TenantPrefixes::Found found = known->second.prefixes.Find(usable);
    hit.state = std::move(found.state);
    hit.position = found.position;
    hit.common_tokens = found.common_tokens;
    if (hit.position < hit.common_tokens) {
      hit.miss = found.was_evicted ? PrefixMiss::kEvicted : PrefixMiss::kNoState;
    }
  }
  ++counts_.queries;
  counts_.hits += hit.state != nullptr ? 1 : 0;
  counts_.queried_tokens += static_cast<int64_t>(usable.size());
  counts_.hit_tokens += hit.position;
  return hit;
}

std::vector<int64_t> PrefixTree::Impl::WantedPositions(const std::string& tenant,
                                                       absl::Span<const int32_t> tokens,
                                                       int64_t from) const {
  std::vector<int64_t> wanted;
  if (disabled()) return wanted;
  std::vector<int64_t> held;
  int64_t common = 0;
  if (const auto known = tenants_.find(tenant); known != tenants_.end()) {
    held = known->second.prefixes.HeldAlong(AllButLast(tokens), &common);
  }
  std::vector<int64_t> places;
  const int64_t grid = options_.grid_tokens;
  const auto end = static_cast<int64_t>(tokens.size());
  for (int64_t place = (from / grid + 1) * grid; place < end; place += grid) {
    places.push_back(place);
  }
  const auto parting = std::lower_bound(places.begin(), places.end(), common);
  if (common > from && (parting == places.end() || *parting != common)) {
    places.insert(parting, common);
  }
  std::set_difference(places.begin(), places.end(), held.begin(), held.end(),
                      std::back_inserter(wanted));
  return wanted;
}

void PrefixTree::Impl::Insert(const std::string& tenant, absl::Span<const int32_t> tokens,
                              StateRef state) {
  CheckConsumed(state, tokens);
  if (disabled()) return;
  const size_t bytes_least =
      state->bytes + tokens.size() * sizeof(int32_t) + size_t{PrefixShape::kNodeBytes};
  if (bytes_least > static_cast<size_t>(options_.bytes_limit)) return;
  now_ = options_.clock->Now();
  Tenant& known = tenants_.try_emplace(tenant, &clock_).first->second;
  known.last_use = now_;
  PrefixNode* inserted = known.prefixes.Insert(tokens, std::move(state));
  MakeRoom();
  if (inserted != nullptr) known.prefixes.GiveRank(inserted);
  MakeRoom();
}

PrefixTree::Impl::Totals PrefixTree::Impl::Sum() const {
  Totals totals;
  for (const auto& [name, tenant] : tenants_) {
    totals.states += tenant.prefixes.states();
    totals.path_bytes += tenant.prefixes.path_bytes();
    totals.bytes += tenant.prefixes.bytes() + static_cast<int64_t>(name.size());
  }
  return totals;
}

int64_t PrefixTree::Impl::Share() const {
  int64_t bytes = 0;
  int64_t tenants = 0;
  for (const auto& [name, tenant] : tenants_) {
    if (!InUse(tenant)) continue;
    bytes += tenant.prefixes.bytes();
    ++tenants;
  }
  return bytes / std::max<int64_t>(tenants, 1);
}

PrefixTree::Impl::Tenant* PrefixTree::Impl::FirstToLose(int64_t bytes_least) {
  Tenant* first = nullptr;
  TenantPrefixes::Rank lowest;
  for (auto& [name, tenant] : tenants_) {
    if (InUse(tenant) && tenant.prefixes.bytes() < bytes_least) continue;
    const std::optional<TenantPrefixes::Rank> rank = tenant.prefixes.Lowest();
    if (!rank || (first != nullptr && *rank > lowest)) continue;
    first = &tenant;
    lowest = *rank;
  }
  return first;
}

bool PrefixTree::Impl::Evict(Tenant* loser) {
  if (loser == nullptr) return false;
  loser->prefixes.EvictLowest();
  ++counts_.evictions;
  return true;
}

bool PrefixTree::Impl::ForgetOne() {
  auto most = tenants_.end();
  for (auto it = tenants_.begin(); it != tenants_.end(); ++it) {
    const TenantPrefixes& prefixes = it->second.prefixes;
    if (!prefixes.has_memories()) continue;
    if (most == tenants_.end() || prefixes.path_bytes() > most->second.prefixes.path_bytes()) {
      most = it;
    }
  }
  if (most == tenants_.end()) return false;
  most->second.prefixes.Forget();
  if (most->second.prefixes.empty()) tenants_.erase(most);
  return true;
}

void PrefixTree::Impl::MakeRoom() {
  // Every path ends in a state or in a memory. What is left over the limit holds a state that has
  // no rank yet.
  for (Totals now = Sum(); now.bytes > options_.bytes_limit; now = Sum()) {
    const bool crowded = now.path_bytes > options_.bytes_limit / kPathsPart;
    if (crowded && ForgetOne()) continue;
    if (!Evict(FirstToLose(Share())) && !ForgetOne()) return;
  }
}

PrefixFigures PrefixTree::Impl::figures() const {
  const Totals totals = Sum();
  PrefixFigures figures = counts_;
  figures.states = totals.states;
  figures.bytes = totals.bytes;
  figures.bytes_limit = options_.bytes_limit;
  return figures;
}

PrefixTree::PrefixTree(const PrefixTreeOptions& options) : impl_(std::make_unique<Impl>(options)) {}
PrefixTree::~PrefixTree() = default;

PrefixHit PrefixTree::Lookup(const std::string& tenant, absl::Span<const int32_t> tokens) {
  return impl_->Lookup(tenant, tokens);
}
std::vector<int64_t> PrefixTree::WantedPositions(const std::string& tenant,
                                                 absl::Span<const int32_t> tokens,
                                                 int64_t from) const {
  return impl_->WantedPositions(tenant, tokens, from);
}
void PrefixTree::Insert(const std::string& tenant, absl::Span<const int32_t> tokens,
                        StateRef state) {
  impl_->Insert(tenant, tokens, std::move(state));
}
bool PrefixTree::EvictOne() { return impl_->EvictOne(); }
PrefixFigures PrefixTree::figures() const { return impl_->figures(); }

}  // namespace ssmd
