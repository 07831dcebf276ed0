#include "engine/engine_limits.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr int kSlotsMin = 2;  // what a turn reads, and what it writes
constexpr int kAutomaticSlotsMax = 1024;
constexpr int64_t kAutomaticStateBytes = int64_t{1} << 30;

absl::Status AtLeast(const char* name, int64_t value, int64_t minimum) {
  if (value >= minimum) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s must be at least %d, got %d", name, minimum, value));
}

}  // namespace

absl::Status CheckEngineLimits(const EngineLimits& limits) {
  if (limits.state_slots != 0) {
    SSMD_RETURN_IF_ERROR(AtLeast("state_slots", limits.state_slots, kSlotsMin));
  }
  SSMD_RETURN_IF_ERROR(AtLeast("state_bytes", limits.state_bytes, 0));
  SSMD_RETURN_IF_ERROR(AtLeast("host_state_bytes", limits.host_state_bytes, 0));
  SSMD_RETURN_IF_ERROR(AtLeast("prefix_cache_bytes", limits.prefix_cache_bytes, 0));
  SSMD_RETURN_IF_ERROR(AtLeast("prefix_grid_tokens", limits.prefix_grid_tokens, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("token_budget", limits.token_budget, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("prompt_budget", limits.prompt_budget, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_running", limits.max_running, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_waiting", limits.max_waiting, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_sessions", limits.sessions.sessions_per_tenant, 0));
  SSMD_RETURN_IF_ERROR(AtLeast("max_history_tokens", limits.max_history_tokens, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_choices", limits.max_choices, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("output_events", limits.output_events, 1));
  return absl::OkStatus();
}

int SlotCount(const EngineLimits& limits, size_t bytes_per_slot, std::optional<size_t> free_bytes) {
  if (limits.state_slots != 0) return limits.state_slots;
  int64_t bytes = limits.state_bytes;
  if (bytes == 0) {
    bytes = free_bytes ? static_cast<int64_t>(*free_bytes) / 10 * 9 : kAutomaticStateBytes;
  }
  const int64_t fit = bytes / std::max<int64_t>(static_cast<int64_t>(bytes_per_slot), 1);
  return static_cast<int>(std::clamp<int64_t>(fit, kSlotsMin, kAutomaticSlotsMax));
}

int64_t StatesMax(const EngineLimits& limits, const StateDirOptions& state_dir, int slots,
                  size_t bytes_per_slot) {
  const auto bytes = std::max<int64_t>(static_cast<int64_t>(bytes_per_slot), 1);
  const int64_t on_disk = state_dir.path.empty() ? 0 : state_dir.disk_bytes / bytes;
  return slots - 1 + limits.host_state_bytes / bytes + on_disk;
}

}  // namespace ssmd
