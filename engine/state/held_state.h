// A state that will never change again: what a model has made of the first `position` tokens of
// some history. Sessions, their checkpoints and turn ends, and nodes of the prefix tree hold it by
// reference, so that a fork costs no bytes; a turn reads it and writes a slot of its own.
//
// Where its bytes are (a slot of the device, host memory, the store) is StateTiers' affair
// (tiers.h) and may change while it is held. When the last reference goes, so do the bytes.
#ifndef SSMD_ENGINE_STATE_HELD_STATE_H_
#define SSMD_ENGINE_STATE_HELD_STATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/mutex.h"

namespace ssmd {

// The fastest place that holds a copy. Ordered: smaller is faster.
enum class StateTier : uint8_t { kDevice, kHost, kDisk, kLost };

class HeldState {
 public:
  // `position` > 0. `stored_id`: the name of its copy in the store, or empty.
  HeldState(int64_t position_in, size_t bytes_in, std::string stored_id = {})
      : position(position_in), bytes(bytes_in), stored_id_(std::move(stored_id)) {}
  virtual ~HeldState() = default;
  HeldState(const HeldState&) = delete;
  HeldState& operator=(const HeldState&) = delete;

  const int64_t position;  // tokens consumed
  const size_t bytes;

  // Any thread.
  StateTier tier() const { return tier_.load(std::memory_order_relaxed); }
  // The name of its complete copy in the store; empty when there is none.
  std::string stored_id() const {
    MutexLock lock(&mutex_);
    return stored_id_;
  }
  // Every copy of it is gone: its tokens have to be read again.
  bool lost() const { return lost_.load(std::memory_order_relaxed); }
  // History::Hash of the tokens that it has consumed, by whoever knows them; 0 until then. Only a
  // state whose tokens are known is stored.
  void NoteHistory(uint64_t hash) { history_hash_.store(hash, std::memory_order_relaxed); }
  uint64_t history_hash() const { return history_hash_.load(std::memory_order_relaxed); }
  // It came from another replica. The first turn that goes on from it says so.
  void NoteRemote() { remote_.store(true, std::memory_order_relaxed); }
  bool TakeRemote() { return remote_.exchange(false, std::memory_order_relaxed); }

 protected:
  void set_lost() { lost_.store(true, std::memory_order_relaxed); }
  void set_tier(StateTier tier) { tier_.store(tier, std::memory_order_relaxed); }
  void set_stored_id(std::string id) {
    MutexLock lock(&mutex_);
    stored_id_ = std::move(id);
  }

 private:
  std::atomic<StateTier> tier_{StateTier::kLost};
  std::atomic<bool> lost_{false};
  std::atomic<bool> remote_{false};
  std::atomic<uint64_t> history_hash_{0};
  mutable Mutex mutex_;
  std::string stored_id_ ABSL_GUARDED_BY(mutex_);
};

using StateRef = std::shared_ptr<HeldState>;

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_HELD_STATE_H_
