// Figures of one model's runner, for operators and tests: plain values, copied out under a lock.
#ifndef SSMD_ENGINE_SCHEDULE_MODEL_STATS_H_
#define SSMD_ENGINE_SCHEDULE_MODEL_STATS_H_

#include <cstdint>
#include <string>
#include <vector>

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
  int paused = 0;
  int slots_used = 0;
  int slots_free = 0;
  int64_t sessions = 0;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t reused_tokens = 0;
  int64_t recomputed_tokens = 0;
  std::vector<EarlyEnd> early_ends;  // oldest first, at most 32
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_MODEL_STATS_H_
