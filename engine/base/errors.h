// Machine-readable reasons on an absl::Status, carried as payloads so that the server can put them
// on the wire (google.rpc.ErrorInfo and RetryInfo) without parsing messages.
#ifndef SSMD_ENGINE_BASE_ERRORS_H_
#define SSMD_ENGINE_BASE_ERRORS_H_

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace ssmd {

namespace reason {  // upper snake case, stable: part of the wire contract
inline constexpr std::string_view kQueueFull = "QUEUE_FULL";
inline constexpr std::string_view kSlotsHeld = "SLOTS_HELD_BY_SESSIONS";
inline constexpr std::string_view kTooManySessions = "TOO_MANY_SESSIONS";
inline constexpr std::string_view kDraining = "DRAINING";
inline constexpr std::string_view kDeviceFailed = "DEVICE_FAILED";
inline constexpr std::string_view kSessionBusy = "SESSION_BUSY";
inline constexpr std::string_view kRevisionMismatch = "REVISION_MISMATCH";
inline constexpr std::string_view kTakenOver = "TAKEN_OVER";
inline constexpr std::string_view kModelNotFound = "MODEL_NOT_FOUND";
inline constexpr std::string_view kModelChanged = "MODEL_CHANGED";
inline constexpr std::string_view kModelKind = "MODEL_KIND";
inline constexpr std::string_view kPartOfFrame = "PART_OF_FRAME";
inline constexpr std::string_view kSessionNotFound = "SESSION_NOT_FOUND";
inline constexpr std::string_view kSessionElsewhere = "SESSION_ELSEWHERE";
inline constexpr std::string_view kSessionMoved = "SESSION_MOVED";
inline constexpr std::string_view kSharedStore = "SHARED_STORE";
inline constexpr std::string_view kNoSharedStore = "NO_SHARED_STORE";
inline constexpr std::string_view kNotReplicated = "NOT_REPLICATED";
inline constexpr std::string_view kPointNotHeld = "POINT_NOT_HELD";
inline constexpr std::string_view kAnswerNotKept = "ANSWER_NOT_KEPT";
inline constexpr std::string_view kTooManyWaiting = "TOO_MANY_WAITING";
inline constexpr std::string_view kTooManyCheckpoints = "TOO_MANY_CHECKPOINTS";
inline constexpr std::string_view kCommitLog = "COMMIT_LOG";
inline constexpr std::string_view kStateQuota = "STATE_QUOTA";
inline constexpr std::string_view kCallRate = "CALL_RATE";
inline constexpr std::string_view kTokenRate = "TOKEN_RATE";
inline constexpr std::string_view kRequestIdReused = "REQUEST_ID_REUSED";
inline constexpr std::string_view kRequestKnown = "REQUEST_KNOWN";
inline constexpr std::string_view kNumerical = "NUMERICAL";
inline constexpr std::string_view kSlowReader = "SLOW_READER";
inline constexpr std::string_view kHistoryTooLong = "HISTORY_TOO_LONG";
inline constexpr std::string_view kInvalidField = "INVALID_FIELD";
inline constexpr std::string_view kUnauthenticated = "UNAUTHENTICATED";
inline constexpr std::string_view kPermissionDenied = "PERMISSION_DENIED";
}  // namespace reason

// INVALID_ARGUMENT with reason INVALID_FIELD.
absl::Status InvalidField(std::string_view message);
absl::Status WithReason(absl::Status status, std::string_view reason);
absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay);
// Empty when there is none.
std::string ReasonOf(const absl::Status& status);
std::optional<std::chrono::milliseconds> RetryAfterOf(const absl::Status& status);

// The same status with nothing shared. Copies of a Status share a counted block whose counting is
// in Debian's uninstrumented Abseil, where ThreadSanitizer does not see it and takes the last one's
// deletion for a race: a status that goes to another thread goes as such a copy.
absl::Status UnsharedCopy(const absl::Status& status);

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_ERRORS_H_
