// What SampleHead does with its product as it comes: each share of outputs is multiplied into a
// small block of the thread's own, and draws that can be followed take it from there (RunningDraw).
// Rows of other draws, and rows to keep, are copied to where the product goes.
//
// Owned by the CPU device, which calls Begin and Decide; Take is for any thread, each as itself.
#ifndef SSMD_KERNELS_CPU_HEAD_DRAWS_H_
#define SSMD_KERNELS_CPU_HEAD_DRAWS_H_

#include <cstdint>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/running_draw.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cpu {

class HeadDraws {
 public:
  HeadDraws(const KernelTable& kernels, int threads)
      : kernels_(kernels), parts_(static_cast<size_t>(threads)) {}

  // Chooses the draws to follow and makes all others' token_id kUndecided. False where none is
  // worth it; then there is nothing to take or decide.
  bool Begin(const SampleHeadParams& params);

  // Panels of outputs in a block, at most.
  int64_t block_panels() const { return block_panels_; }
  // Where a thread multiplies a block of panels, of all rows.
  ProductOutput BlockOf(int thread, Range panels, int64_t vocabulary);
  // Takes them from there.
  void Take(const SampleHeadParams& params, int thread, Range panels);

  // Followed draws, and what becomes of each once all outputs were taken: sets its token_id, which
  // may be kUndecided. Draws may be decided by several threads.
  int followed() const { return followed_; }
  void Decide(int draw);
  // Then the draw's row of the product, or −1.
  int64_t RowIfUndecided(int draw) const;

 private:
  static constexpr int64_t kMaxRows = 64;
  static constexpr int kMaxFollowed = 64;
  static constexpr int64_t kMaxBlockPanels = 32;
  static constexpr int64_t kBlockFloats = kMaxRows * 17 * 16;  // 68 KB: part of a second cache

  struct alignas(64) Part {
    float block[kBlockFloats];
    float scratch[kMaxBlockPanels * 16];
    RunningDraw draws[kMaxFollowed];
  };
  struct Followed {
    SampleRow* draw;
    int64_t row;
  };

  const KernelTable& kernels_;
  std::vector<Part> parts_;  // a thread each
  bool copied_[kMaxRows] = {};
  Followed draws_[kMaxFollowed] = {};
  int followed_ = 0;
  int64_t block_panels_ = 0;
  // Of blocks: a line more than whole panels, so that rows meet in no cache set.
  int64_t stride_ = 0;
};

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_HEAD_DRAWS_H_
