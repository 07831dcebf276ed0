// The order in which waiting turns start. Pure: no threads, no clock of its own; the same calls
// give the same orders.
//
// Promises, each of them a test:
//  - A turn of a higher class starts before one of a lower. A turn rises by a class for every
//    `ageing` that it has waited and competes there with those who asked for that class, so that
//    nobody waits for ever; where nobody asks for it there is nothing to gain, and a tenant's
//    backlog, however old, does not pass by others' turns.
//  - Within a class tenants take turns by a virtual token counter (Sheng et al., "Fairness in
//    Serving Large Language Models", OSDI 2024): next is the tenant that was served the fewest
//    tokens. So one with a hundred turns gets no more than one with a turn at a time can use.
//  - Nobody saves up: a tenant that comes back is lifted to the smallest counter of those who
//    stayed. Nor does going away clear a debt: it is kept until the others have caught up.
//  - Within a class a tenant's turns start in the order in which they came.
#ifndef SSMD_ENGINE_SCHEDULE_START_POLICY_H_
#define SSMD_ENGINE_SCHEDULE_START_POLICY_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/clock.h"

namespace ssmd {

inline constexpr int kPriorityLow = -1;
inline constexpr int kPriorityNormal = 0;
inline constexpr int kPriorityHigh = 1;

// What the policy sees of a turn that waits.
struct WaitingTurn {
  int priority = kPriorityNormal;  // what is outside counts as the nearest class
  absl::string_view tenant;
  Duration submitted{};   // since the origin that Order's `now` has, too
  uint64_t sequence = 0;  // unique; smaller came earlier
  int64_t tokens = 0;     // that it will cost its tenant at least: those of its prompt
};

class StartPolicy {
 public:
  // ageing > 0.
  explicit StartPolicy(Duration ageing = std::chrono::seconds(5)) : ageing_(ageing) {}

  // After a step that fed `tokens` of the tenant's, which runs as Order knows; the caller weights
  // them, if it likes.
  void Charge(absl::string_view tenant, int64_t tokens);

  // Indices into `waiting`, first to start first. `running`: the tenants of the turns that run, in
  // any order, as often as they like. Counters of tenants that neither wait nor run are dropped
  // once they mean nothing, all of them at the latest when nobody is left of those who did.
  std::vector<size_t> Order(absl::Span<const WaitingTurn> waiting,
                            absl::Span<const absl::string_view> running, Duration now);

  size_t counters() const { return accounts_.size(); }

 private:
  struct Account {
    int64_t tokens = 0;   // the virtual counter
    bool active = false;  // waited or ran when Order was last called
  };
  void NoteActive(absl::Span<const WaitingTurn> waiting,
                  absl::Span<const absl::string_view> running);
  int ClassOf(const WaitingTurn& turn, Duration now) const;

  const Duration ageing_;
  std::map<std::string, Account, std::less<>> accounts_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_START_POLICY_H_
