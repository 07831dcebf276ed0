// Enums of the engine that several messages of the wire carry. Pure functions.
#ifndef SSMD_SERVER_CONVERT_ENUMS_H_
#define SSMD_SERVER_CONVERT_ENUMS_H_

#include "engine/session/turn_result.h"
#include "engine/state/held_state.h"
#include "ssmd/v1/common.pb.h"
#include "ssmd/v1/session.pb.h"

namespace ssmd::server {

v1::StateSource ToWire(StateSource source);
v1::StateTier ToWire(StateTier tier);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_CONVERT_ENUMS_H_
