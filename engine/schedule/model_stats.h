// Figures of one model's runner, for operators and tests: plain values, copied out under a lock.
#ifndef SSMD_ENGINE_SCHEDULE_MODEL_STATS_H_
#define SSMD_ENGINE_SCHEDULE_MODEL_STATS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/schedule/request.h"
#include "engine/session/turn_result.h"
#include "engine/state/held_state.h"
#include "engine/state/prefix_tree.h"

namespace ssmd {

// A turn that ended before its time.
struct EarlyEnd {
  std::string request_id;
  std::string reason;         // "CANCELLED", "DEADLINE_EXCEEDED", "SLOW_READER", …
  uint64_t noticed_step = 0;  // steps completed when the cancel or the deadline was noticed
  uint64_t freed_step = 0;    // steps completed when its slots were free
};

struct ModelStats {
  std::string model;
  uint64_t steps = 0;
  int running = 0;
  int waiting = 0;
  int waiting_limit = 0;  // further ones are refused
  int paused = 0;
  int slots_used = 0;
  int slots_free = 0;
  int64_t sessions = 0;
  std::vector<std::pair<StateTier, int64_t>> session_tiers;  // sessions by where their state is
  int64_t held_states = 0;    // of sessions, checkpoints, turn ends and prefixes
  int64_t device_states = 0;  // of those, in a slot
  int64_t host_states = 0;    // in host memory (perhaps in a slot, too)
  int64_t host_bytes = 0;
  int64_t host_bytes_limit = 0;                          // of all models together
  int64_t loading = 0;                                   // states on their way from the store
  int64_t storing = 0;                                   // on their way to it
  std::vector<std::pair<StateSource, int64_t>> loads;    // turns by where their state came from
  std::vector<std::pair<StateTier, int64_t>> evictions;  // by the tier that was left
  PrefixFigures prefixes;
  std::vector<std::pair<Priority, int>> waiting_by_priority;
  int64_t fed_tokens = 0;        // to the model, by steps so far
  int64_t read_tokens = 0;       // of them, those of prompts and those read again
  int64_t generated_tokens = 0;  // sampled by steps so far
  int64_t prompt_tokens = 0;     // of ended turns, as are the next two
  int64_t reused_tokens = 0;
  int64_t recomputed_tokens = 0;
  std::vector<EarlyEnd> early_ends;  // oldest first, at most 32
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_MODEL_STATS_H_
