// Turns that wait to start, in the order of their submission. Which of them starts next is the
// StartPolicy's affair.
//
// Step thread. Its length is limited by Admission.
#ifndef SSMD_ENGINE_SCHEDULE_TURN_QUEUE_H_
#define SSMD_ENGINE_SCHEDULE_TURN_QUEUE_H_

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/schedule/turn.h"

namespace ssmd {

// A turn that is over, and how.
using EndedTurn = std::pair<std::unique_ptr<Turn>, absl::Status>;

class TurnQueue {
 public:
  void Add(std::unique_ptr<Turn> turn) { turns_.push_back(std::move(turn)); }

  bool empty() const { return turns_.empty(); }
  const std::vector<std::unique_ptr<Turn>>& turns() const { return turns_; }
  // By its place in turns(), which keep their places until Compact().
  std::unique_ptr<Turn> Take(size_t place) { return std::move(turns_[place]); }
  void Compact() { turns_.erase(std::remove(turns_.begin(), turns_.end(), nullptr), turns_.end()); }

  // Takes out the turns for which `is_over` gives a status, with that status.
  template <typename IsOver>
  std::vector<EndedTurn> TakeIf(IsOver is_over) {
    std::vector<EndedTurn> taken;
    for (auto& turn : turns_) {
      if (absl::Status status = is_over(*turn); !status.ok()) {
        taken.emplace_back(std::move(turn), std::move(status));
      }
    }
    Compact();
    return taken;
  }

 private:
  std::vector<std::unique_ptr<Turn>> turns_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_TURN_QUEUE_H_
