// Copies of slots in host memory, and those that are under way between the two. Where the device
// can, they go on beside the steps: whoever starts one does not wait, and looks later.
//
// The step thread's.
#ifndef SSMD_ENGINE_STATE_HOST_COPIES_H_
#define SSMD_ENGINE_STATE_HOST_COPIES_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "engine/state/host_buffers.h"
#include "engine/state/snapshot.h"
#include "engine/state/state_pool.h"
#include "kernels/device.h"

namespace ssmd {

// A state's bytes in host memory, there or on their way.
class HostCopy {
 public:
  explicit HostCopy(StateBytes bytes) : bytes_(std::move(bytes)) {}

  bool arrived() const { return transfer_ == nullptr; }
  // REQUIRES: arrived(). Null when the device has failed before they were whole.
  const StateBytes& bytes() const { return bytes_; }

 private:
  friend class HostCopies;
  StateBytes bytes_;
  std::unique_ptr<kernels::Transfer> transfer_;
  int32_t slot_ = -1;  // that is being read
};

using HostCopyRef = std::shared_ptr<HostCopy>;

class HostCopies {
 public:
  explicit HostCopies(StatePool* pool);
  ~HostCopies();  // waits for what is under way

  // Begins a copy of the slot's present state. The slot may change only after HoldFor(). Null when
  // there is no memory for it, or the device has failed.
  HostCopyRef Read(const Slot& from);
  // What is done from now on with the slot begins after the copies of it that are under way.
  void HoldFor(const Slot& slot);
  // Overwrites `to`, before whatever is done from now on. Where `from` is still on its way, its
  // slot's HoldFor() was called.
  void Write(const HostCopyRef& from, const Slot& to);

  // Notes what has arrived, without waiting; or after waiting for all.
  void Settle();
  void Finish();

  // Memory that is kept for the next copies, and giving some of it back.
  size_t idle_bytes() const;
  void TrimIdle();

 private:
  HostCopyRef Start(StateBytes bytes, std::unique_ptr<kernels::Transfer> transfer, int32_t slot);
  void Note(HostCopy* copy);

  StatePool* const pool_;
  std::optional<HostBuffers> buffers_;  // where there are downloads beside the steps
  std::list<HostCopyRef> under_way_;    // with their memory, whoever has let go of it
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_HOST_COPIES_H_
