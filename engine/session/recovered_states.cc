#include "engine/session/recovered_states.h"

#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace ssmd {

ResolveState NameStates(const std::vector<std::string>& stored) {
  const auto known =
      std::make_shared<const absl::flat_hash_set<std::string>>(stored.begin(), stored.end());
  return [known](const std::string& stored_id, int64_t position, size_t bytes) -> StateRef {
    if (!known->contains(stored_id)) return nullptr;
    return std::make_shared<HeldState>(position, bytes, stored_id);
  };
}

int64_t BindStates(SessionTable* sessions, StateStore* store,
                   const std::vector<std::string>& stored,
                   const std::function<StateTiers*(const std::string& model)>& tiers_of) {
  absl::flat_hash_set<std::string> named;
  absl::flat_hash_map<std::string, StateRef> bound;
  sessions->MapStates([&](const std::string& model, const StateRef& state) {
    const std::string id = state->stored_id();
    named.insert(id);
    StateTiers* tiers = tiers_of(model);
    if (tiers == nullptr) return state;
    StateRef& reference = bound[id];
    if (reference == nullptr) reference = tiers->AdoptStored(id, state->position);
    return reference;
  });
  int64_t removed = 0;
  for (const std::string& id : stored) {
    if (named.contains(id)) continue;
    store->Delete(id);
    ++removed;
  }
  return removed;
}

}  // namespace ssmd
