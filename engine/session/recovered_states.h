// What a start makes of the states that the log has named: references that know where the bytes
// are. And what it makes of those that the store has and nobody names: they were being written, or
// deleted, when the last process ended.
#ifndef SSMD_ENGINE_SESSION_RECOVERED_STATES_H_
#define SSMD_ENGINE_SESSION_RECOVERED_STATES_H_

#include <functional>
#include <string>
#include <vector>

#include "engine/session/session_change.h"
#include "engine/session/session_table.h"
#include "engine/state/state_store.h"
#include "engine/state/tiers.h"

namespace ssmd {

// For SessionLog::Open: which model's a state is, is known when all of the log was read; until then
// it is a mere name. `stored`: what the store has (StateStore::List). A name that is not among
// that is of a state that was let go later than the record was written, and stands for none: a
// session must not take it for better than those that there are.
ResolveState NameStates(const std::vector<std::string>& stored);

// After that: gives every state to the tiers of its session's model (which find it lost when they
// read it, should it be of another layout or profile), and deletes those of `stored` that no
// session names; returns how many. `tiers_of` gives null for a model that is not served
// now: its states wait for it.
int64_t BindStates(SessionTable* sessions, StateStore* store,
                   const std::vector<std::string>& stored,
                   const std::function<StateTiers*(const std::string& model)>& tiers_of);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_RECOVERED_STATES_H_
