// A session as others get it: its image and changes as bytes for the SharedStore, and back.
//
// States are not in it: the names of their copies mean nothing elsewhere. They travel beside it, as
// snapshots (SharedState), and a session without them is read again from its tokens.
#ifndef SSMD_ENGINE_SHARED_SESSION_COPY_H_
#define SSMD_ENGINE_SHARED_SESSION_COPY_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/session/session_table.h"
#include "engine/shared/shared_store.h"

namespace ssmd {

std::string EncodeSessionImage(const FrozenSession& session);
std::string EncodeSessionChange(const SessionChange& change);

// The whole session under `key`, as its image and changes make it. DATA_LOSS when they do not fit
// together. `limits` and `models` as of the table that it is for.
absl::StatusOr<SessionImage> DecodeSession(const SharedSession& shared, const SessionKey& key,
                                           const SessionLimits& limits,
                                           const std::vector<ModelOfSessions>& models);

// Puts states into an image: `adopt` makes one of a snapshot, given the hash of the tokens that it
// has to have consumed. Those that do not fit the session, or cannot be made, are left out.
using AdoptState =
    std::function<absl::StatusOr<StateRef>(const SharedState& state, uint64_t history_hash)>;
void AdoptStates(const std::vector<SharedState>& states, const AdoptState& adopt,
                 SessionImage* image);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_SESSION_COPY_H_
