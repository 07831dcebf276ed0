#include "engine/session/session_errors.h"

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/text_view.h"

namespace ssmd {

// The id is repeated only when it is one: an arbitrary string has no place in messages and logs.
absl::Status SessionNotFound(const std::string& session_id) {
  return WithReason(
      absl::NotFoundError(IsSessionId(session_id)
                              ? absl::StrFormat("there is no session %s", session_id)
                              : "there is no such session: ids are 32 digits of 0-9 a-f"),
      reason::kSessionNotFound);
}

absl::Status SessionBusy(const std::string& session_id) {
  return WithReason(
      absl::AbortedError(absl::StrFormat(
          "session %s has a turn in progress: wait for its end, or cancel it", session_id)),
      reason::kSessionBusy);
}

absl::Status SessionDeletedMeanwhile(const std::string& session_id) {
  return WithReason(absl::CancelledError(absl::StrFormat(
                        "session %s was deleted while its turn was in progress", session_id)),
                    reason::kSessionNotFound);
}

absl::Status SessionMoved(const std::string& session_id) {
  return WithReason(absl::UnavailableError(absl::StrFormat(
                        "another replica has session %s now: try again", session_id)),
                    reason::kSessionMoved);
}

absl::Status CheckRevision(const std::string& session_id, uint64_t revision,
                           std::optional<uint64_t> expected) {
  if (!expected.has_value() || *expected == revision) return absl::OkStatus();
  return WithReason(
      absl::AbortedError(absl::StrFormat("session %s is at revision %d, not at the expected %d",
                                         session_id, revision, *expected)),
      reason::kRevisionMismatch);
}

absl::Status AnswerNotKept(const std::string& request_id, uint64_t base_revision) {
  return WithReason(absl::FailedPreconditionError(absl::StrFormat(
                        "request \"%s\" was committed, on revision %d, and its answer is no longer "
                        "kept: read the "
                        "session; the server keeps more with --max-session-result-bytes",
                        request_id, base_revision)),
                    reason::kAnswerNotKept);
}

absl::Status PointNotHeld(std::string_view message) {
  return WithReason(absl::NotFoundError(View(message)), reason::kPointNotHeld);
}

}  // namespace ssmd
