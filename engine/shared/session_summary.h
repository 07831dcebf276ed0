// What a list says of a session that is elsewhere, as bytes that the SharedStore keeps beside it.
//
// Where a session is and what it is doing is not in it (running and waiting turns, its state's
// place and bytes), nor are checkpoints and turn ends: of those the session itself tells.
#ifndef SSMD_ENGINE_SHARED_SESSION_SUMMARY_H_
#define SSMD_ENGINE_SHARED_SESSION_SUMMARY_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/session/session.h"

namespace ssmd {

// No more than a summary may be (kSharedSummaryBytes).
std::string EncodeSessionSummary(const SessionInfo& session);

// Trusts nothing: DATA_LOSS when `id` is no session's, or the bytes are not what was written.
absl::StatusOr<SessionInfo> DecodeSessionSummary(const std::string& id, std::string_view bytes);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_SESSION_SUMMARY_H_
