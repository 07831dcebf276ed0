// What callers are told about their sessions: one wording each, so that a session of somebody else
// and one that does not exist cannot be told apart.
#ifndef SSMD_ENGINE_SESSION_SESSION_ERRORS_H_
#define SSMD_ENGINE_SESSION_SESSION_ERRORS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/base/errors.h"
#include "engine/base/secure_random.h"

namespace ssmd {

inline bool IsSessionId(const std::string& text) { return IsRandomId(text); }

absl::Status SessionNotFound(const std::string& session_id);
absl::Status SessionBusy(const std::string& session_id);
// CANCELLED: the session of a turn that wants to commit is gone.
absl::Status SessionDeletedMeanwhile(const std::string& session_id);
// UNAVAILABLE: another replica has it now.
absl::Status SessionMoved(const std::string& session_id);
// OK where none is expected.
absl::Status CheckRevision(const std::string& session_id, uint64_t revision,
                           std::optional<uint64_t> expected);
// FAILED_PRECONDITION: the request was applied, and its answer took more bytes than are kept.
absl::Status AnswerNotKept(const std::string& request_id, uint64_t base_revision);
// NOT_FOUND: a checkpoint, a turn end or a position that the session cannot go to.
absl::Status PointNotHeld(std::string_view message);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_ERRORS_H_
