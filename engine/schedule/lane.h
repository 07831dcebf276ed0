// One sequence of tokens on its way through the model in one working slot: a prompt, an answer that
// is being sampled, or tokens that are fed again. A lane with tokens to feed gets a segment of the
// next step or of a later one; which, is the scheduler's affair.
//
// Step thread. Part of a turn.
#ifndef SSMD_ENGINE_SCHEDULE_LANE_H_
#define SSMD_ENGINE_SCHEDULE_LANE_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "engine/state/state_pool.h"
#include "engine/state/tiers.h"

namespace ssmd {

// Lanes in the order in which their turns were submitted.
inline uint64_t LaneOrder(uint64_t turn_sequence, int choice) {
  return turn_sequence << 16 | static_cast<uint64_t>(choice);
}

struct Lane {
  Slot slot;             // receives the state; never one that is held elsewhere
  int32_t source = -1;   // slot that the next segment reads: a held state's at first, then `slot`
  StatePin source_pin;   // while that is a held state's
  int64_t position = 0;  // tokens that the state in `source` has consumed
  absl::Span<const int32_t> feed;  // what to feed; owned by the turn
  size_t fed = 0;                  // of those, how many were
  size_t feed_limit = 0;           // not past this one in one step, if > fed
  bool decoding = false;           // `feed` is the token that was sampled last
  uint64_t last_step = 0;          // the step that last served it
  uint64_t order = 0;              // see LaneView

  // While its reader is slow the state is held instead, so that it can leave the device.
  StateRef parked;

  // A mark is the state before some token was fed, kept in case the answer has to go back there. It
  // costs no copy: the token is fed from the old slot into a fresh one, and the old one stays. It
  // is a convenience: without a free slot, or when a waiting turn needs it, the state is
  // recomputed.
  bool mark_next = false;  // keep the state before the next token
  Slot mark;
  int64_t mark_position = 0;

  size_t ready() const { return feed.size() - fed; }
  void Feed(absl::Span<const int32_t> tokens, bool is_decoding) {
    feed = tokens;
    fed = 0;
    feed_limit = 0;
    decoding = is_decoding;
  }
  // From here on it goes on from its own slot.
  void OwnSource() {
    source = slot.index();
    source_pin.Release();
  }
  // It goes on from `state`, which is in memory: in place, or from a copy.
  void StartFrom(const StateRef& state, StateTiers* tiers) {
    if (tiers->SlotOf(state) >= 0) {
      source = tiers->SlotOf(state);
      source_pin = tiers->Pin(state, StatePin::Strength::kSlot);
    } else {
      tiers->CopyInto(state, slot);
      OwnSource();
    }
    position = state->position;
  }
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_LANE_H_
