// The engine's enums as labels and log values: lower case, stable.
#ifndef SSMD_SERVER_TELEMETRY_NAMES_H_
#define SSMD_SERVER_TELEMETRY_NAMES_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "engine/base/errors.h"
#include "engine/session/turn_result.h"
#include "engine/state/held_state.h"
#include "engine/state/prefix_tree.h"

namespace ssmd::server {

// By the enums' numbers.
inline constexpr std::array<const char*, 7> kStateSourceNames = {
    "fresh", "resident", "host", "disk", "remote", "prefix", "replayed"};
inline constexpr std::array<const char*, 4> kStateTierNames = {"device", "host", "disk", "lost"};
inline constexpr std::array<const char*, 4> kPrefixMissNames = {"none", "no_state", "evicted",
                                                                "disabled"};

inline constexpr std::array<const char*, 3> kStepPhaseNames = {"prefill", "decode", "mixed"};

// What an error's ErrorInfo may say. Series of each exist, so that the first one is seen as a rise.
inline constexpr std::array kReasons = {
    reason::kQueueFull,
    reason::kSlotsHeld,
    reason::kTooManySessions,
    reason::kDraining,
    reason::kDeviceFailed,
    reason::kSessionBusy,
    reason::kRevisionMismatch,
    reason::kTakenOver,
    reason::kModelNotFound,
    reason::kModelChanged,
    reason::kSessionNotFound,
    reason::kPointNotHeld,
    reason::kAnswerNotKept,
    reason::kTooManyWaiting,
    reason::kTooManyCheckpoints,
    reason::kStateQuota,
    reason::kCallRate,
    reason::kTokenRate,
    reason::kRequestIdReused,
    reason::kRequestKnown,
    reason::kNumerical,
    reason::kSlowReader,
    reason::kHistoryTooLong,
    reason::kInvalidField,
    reason::kUnauthenticated,
    reason::kPermissionDenied,
    std::string_view("MALFORMED_MESSAGE"),
    std::string_view("TOO_MANY_REQUESTS"),
    std::string_view("TOO_MANY_TENANT_REQUESTS"),
    std::string_view("OTHER"),  // none: a caller's cancel, a deadline, an internal error
};

// "ok", "cancelled", "resource_exhausted", …
inline std::string OutcomeName(absl::StatusCode code) {
  return absl::AsciiStrToLower(absl::StatusCodeToString(code));
}
inline const char* NameOf(StateSource source) {
  return kStateSourceNames[static_cast<size_t>(source)];
}
inline const char* NameOf(StateTier tier) { return kStateTierNames[static_cast<size_t>(tier)]; }
inline const char* NameOf(PrefixMiss miss) { return kPrefixMissNames[static_cast<size_t>(miss)]; }

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_NAMES_H_
