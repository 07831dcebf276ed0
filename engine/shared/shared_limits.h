// What a session takes of its tenant's bytes in a shared store, and how much there may be of what:
// the same in every store.
#ifndef SSMD_ENGINE_SHARED_SHARED_LIMITS_H_
#define SSMD_ENGINE_SHARED_SHARED_LIMITS_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "engine/base/secure_random.h"
#include "engine/shared/shared_store.h"

namespace ssmd {

// A session counts as the bytes of its image, changes, summary and states (and of their names), and
// these for what a store keeps beside. No encoding of a session is longer than that.
inline constexpr int64_t kSharedSessionBytes = 512;
inline constexpr int64_t kSharedPartBytes = 64;  // an image, a change, a state

inline constexpr uint64_t kSharedChangesMax = 1024;  // of a session, after its image
inline constexpr int64_t kSharedStatesMax = 256;     // of a session
inline constexpr int64_t kSharedWantedMax = 256;     // asked of a replica and not told yet
// A state that takes more, position included, is kept beside its session rather than in it, where a
// store has a reason to.
inline constexpr int64_t kSharedInlineBytesMax = 256 * 1024;
inline constexpr int64_t kSharedSummaryBytes = 1024;  // what lists say of a session
inline constexpr int kSharedListedMax = 256;          // looked at by one call of List

// Of fences and numbers: so many integers are exact everywhere.
inline constexpr uint64_t kSharedNumberMax = (uint64_t{1} << 53) - 1;

inline bool IsReplicaId(std::string_view id) { return IsRandomId(id); }

// FAILED_PRECONDITION, with what to do about it.
absl::Status PresentElsewhere();

// INVALID_ARGUMENT where it cannot be; "number" is one of a change, an image or a position.
absl::Status CheckReplica(const Replica& replica);
absl::Status CheckFence(uint64_t fence);
absl::Status CheckNumber(uint64_t number);
absl::Status CheckSummary(std::string_view summary);
absl::Status CheckListed(int most);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_SHARED_LIMITS_H_
