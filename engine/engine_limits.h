// What the engine requires of the limits that it is given.
#ifndef SSMD_ENGINE_ENGINE_LIMITS_H_
#define SSMD_ENGINE_ENGINE_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "engine/engine.h"

namespace ssmd {

// INVALID_ARGUMENT names the limit that is out of range.
absl::Status CheckEngineLimits(const EngineLimits& limits);

// How many slots a model gets. `free_bytes`: of the device's memory, for this model; absent where
// that is not known.
int SlotCount(const EngineLimits& limits, size_t bytes_per_slot, std::optional<size_t> free_bytes);

// How many states of sessions have room in all tiers, one slot left for work.
int64_t StatesMax(const EngineLimits& limits, const StateDirOptions& state_dir, int slots,
                  size_t bytes_per_slot);

}  // namespace ssmd

#endif  // SSMD_ENGINE_ENGINE_LIMITS_H_
