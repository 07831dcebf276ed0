// Enums of the engine that several messages of the wire carry. Pure functions.
#ifndef SSMD_SERVER_CONVERT_ENUMS_H_
#define SSMD_SERVER_CONVERT_ENUMS_H_

#include "absl/status/statusor.h"
#include "engine/log/commit_log.h"
#include "engine/session/session_table.h"
#include "engine/session/turn_result.h"
#include "engine/state/held_state.h"
#include "ssmd/v1/common.pb.h"
#include "ssmd/v1/generation.pb.h"
#include "ssmd/v1/session.pb.h"

namespace ssmd::server {

v1::StateSource ToWire(StateSource source);
v1::StateTier ToWire(StateTier tier);
// INVALID_ARGUMENT for a number that has no name.
absl::StatusOr<WhenBusy> FromWire(v1::WhenBusy when_busy);
absl::StatusOr<Durability> FromWire(v1::Durability durability, Durability unspecified);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_CONVERT_ENUMS_H_
