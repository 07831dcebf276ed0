// The engine's enums as labels and log values: lower case, stable.
#ifndef SSMD_SERVER_TELEMETRY_NAMES_H_
#define SSMD_SERVER_TELEMETRY_NAMES_H_

#include <array>
#include <cstddef>

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

inline const char* NameOf(StateSource source) {
  return kStateSourceNames[static_cast<size_t>(source)];
}
inline const char* NameOf(StateTier tier) { return kStateTierNames[static_cast<size_t>(tier)]; }
inline const char* NameOf(PrefixMiss miss) { return kPrefixMissNames[static_cast<size_t>(miss)]; }

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_NAMES_H_
