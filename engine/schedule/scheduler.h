// The scheduling policy: which waiting turns start, and how a step's token budget is shared. Pure:
// no threads, no clock, no device; the same calls give the same plans.
//
// Promises, each of them a test:
//  - A plan holds at most `token_budget` tokens, and exactly that many when so many may be fed.
//  - While a lane decodes, prompts get at most `prompt_budget` tokens of a step, so that the time
//    between two tokens of a stream is bounded by that, however many prompts come in.
//  - No lane is fed past its limit in one step.
//  - Waiting turns start strictly in the order of the queue, each with all of its slots or none, so
//    that a turn which needs many is not overtaken for ever by turns which need few.
//  - Decoding lanes come first, one token each; where there are more of them than tokens, those
//    served longest ago go first. Prompts that are ready keep a quarter of the budget meanwhile
//    (in steps of whole tokens, so that with a budget of 1 they get every fourth step).
//  - What prompts get is shared equally by the tenants that have some, except that nobody gets more
//    than they can use; tokens that do not divide go round.
//  - Of what a tenant gets, half goes to its oldest prompt, so that everyone's end is bounded by
//  the
//    work before it, and half to the one with the least left, so that a short prompt never waits
//    for the end of a long one.
#ifndef SSMD_ENGINE_SCHEDULE_SCHEDULER_H_
#define SSMD_ENGINE_SCHEDULE_SCHEDULER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "absl/types/span.h"

namespace ssmd {

// What the policy sees of a lane (lane.h) that has tokens to feed.
struct LaneView {
  int64_t ready = 0;       // tokens that are there to be fed, >= 1
  bool decoding = false;   // its one token was just sampled
  uint64_t last_step = 0;  // the step that last served it; 0: none did
  uint64_t order = 0;      // unique; smaller came earlier
  int32_t tenant = 0;      // any number; the same for lanes of one tenant
  int64_t limit = 0;       // tokens up to where its state is wanted next; 0: nowhere

  // What one step can feed.
  int64_t feedable() const { return limit > 0 && limit < ready ? limit : ready; }
};

struct LaneShare {
  size_t lane = 0;  // index into the views
  int64_t tokens = 0;
};

class Scheduler {
 public:
  // Both >= 1.
  Scheduler(int token_budget, int prompt_budget)
      : budget_(token_budget), prompt_budget_(std::min(token_budget, prompt_budget)) {}

  // The next step's shares, ascending by lane; empty only when `lanes` is.
  std::vector<LaneShare> Plan(absl::Span<const LaneView> lanes);

 private:
  struct TenantPrompts {
    std::vector<size_t> lanes;
    int64_t feedable = 0;
    int64_t share = 0;
  };
  using Tenants = std::map<int32_t, TenantPrompts>;

  int64_t ReserveForPrompts(int64_t decoding, int64_t prompt_tokens);
  void ShareAmongTenants(int64_t tokens, Tenants* tenants);
  void ShareAmongPrompts(absl::Span<const LaneView> lanes, int32_t tenant, TenantPrompts prompts,
                         std::vector<int64_t>* shares);

  const int64_t budget_;
  const int64_t prompt_budget_;   // beside decoding lanes
  int64_t prompt_credit_ = 0;     // quarters of a token that prompts are owed
  int32_t last_odd_tenant_ = -1;  // that got a token which did not divide
  // Tenants with prompts whose oldest got the odd token last time: now the shortest gets it.
  std::set<int32_t> odd_to_shortest_;
};

// What is fed of a share of `tokens` of a lane at `position` that could feed `feedable`, where a
// model's chunks begin at multiples of `chunk` (0: it has none): a share that does not end a prompt
// ends where a chunk does, if it gets so far. So whole chunks stay whole, and the bits of a prompt
// that always gets so far do not depend on what it gets.
int64_t CutAtChunk(int64_t position, int64_t tokens, int64_t feedable, int64_t chunk);

// How many turns at the head of the queue start now; `slots_needed` in queue order.
size_t CountToStart(absl::Span<const int> slots_needed, int free_slots, int running,
                    int max_running);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_SCHEDULER_H_
