// What tells a proxy, which sees an answer's headers alone, that this server has done nothing of a
// request and that another one may be asked at once: by gRPC and by HTTP.
#ifndef SSMD_SERVER_REFUSAL_H_
#define SSMD_SERVER_REFUSAL_H_

#include "absl/status/status.h"
#include "engine/base/errors.h"

namespace ssmd::server {

inline constexpr char kRefusedKey[] = "x-ssmd-refused";
inline constexpr char kRefusedElsewhere[] = "ask-another";

// Whether an answer whose first words are `status` is such a one: what a server that drains
// refuses, or gives up before it has sent anything of it, leaves nothing behind.
inline bool IsRefusal(const absl::Status& status) { return ReasonOf(status) == reason::kDraining; }

}  // namespace ssmd::server

#endif  // SSMD_SERVER_REFUSAL_H_
