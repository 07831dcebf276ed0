// Turns that wait for their slots: higher priority first, then in the order of submission.
//
// Step thread. Its length is limited by Admission.
#ifndef SSMD_ENGINE_SCHEDULE_TURN_QUEUE_H_
#define SSMD_ENGINE_SCHEDULE_TURN_QUEUE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/schedule/turn.h"

namespace ssmd {

class TurnQueue {
 public:
  void Add(std::unique_ptr<Turn> turn) {
    const Key key{-static_cast<int64_t>(turn->head().priority), turn->head().sequence};
    turns_.emplace(key, std::move(turn));
  }

  bool empty() const { return turns_.empty(); }
  // The working slots that each needs, in order.
  std::vector<int> SlotsNeeded() const {
    std::vector<int> slots;
    slots.reserve(turns_.size());
    for (const auto& [key, turn] : turns_) slots.push_back(turn->head().working_slots);
    return slots;
  }
  std::unique_ptr<Turn> TakeFirst() { return std::move(turns_.extract(turns_.begin()).mapped()); }

  // Takes out the turns for which `is_over` gives a status, with that status.
  template <typename IsOver>
  std::vector<std::pair<std::unique_ptr<Turn>, absl::Status>> TakeIf(IsOver is_over) {
    std::vector<std::pair<std::unique_ptr<Turn>, absl::Status>> taken;
    for (auto it = turns_.begin(); it != turns_.end();) {
      if (absl::Status status = is_over(*it->second); !status.ok()) {
        taken.emplace_back(std::move(it->second), std::move(status));
        it = turns_.erase(it);
      } else {
        ++it;
      }
    }
    return taken;
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [key, turn] : turns_) visit(*turn);
  }

 private:
  using Key = std::pair<int64_t, uint64_t>;
  std::map<Key, std::unique_ptr<Turn>> turns_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_TURN_QUEUE_H_
