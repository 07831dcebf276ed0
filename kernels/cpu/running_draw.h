// One row's draw (SampleParams) while its logits come in: a block at a time, in any order, and in
// several parts that are joined at the end. What it remembers is small, so the logits need not
// stay.
//
// It either names the token that a look at all logits names, or says that it cannot tell:
//  - temperature 0: the largest so far, ties to the lowest id.
//  - all tokens in the draw: Gumbel numbers do not wait for the largest logit, but its subtraction
//    rounds the scores. So tokens are compared by logit / temperature + Gumbel number, in double,
//    and the best one wins if it is ahead by more than that rounding.
//  - top_k or min_p alone, each with what may follow: the largest logits so far, a few more than
//    top_k. The scores of those are exact once the largest logit is known; logits that were dropped
//    must not have the score of a token that is kept, by rounding or as ties.
// So only a row with many equal logits is likely to be left undecided, and one that min_p alone
// narrows down to too many tokens.
#ifndef SSMD_KERNELS_CPU_RUNNING_DRAW_H_
#define SSMD_KERNELS_CPU_RUNNING_DRAW_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cpu {

// What RunningDraw::Token says beside a token and kNotFinite.
inline constexpr int32_t kUndecided = -2;

class RunningDraw {
 public:
  // `row`, whose logits and adjustments are not looked at, must outlive it.
  void Start(const SampleRow& row, int64_t vocabulary);

  // Whether it may decide at all, and whether it is sure to but for coincidences.
  bool may_decide() const { return way_ != Way::kNone; }
  bool decides() const;

  // Logits of tokens [first, first + count), adjusted. `scratch` is (count).
  void Take(const KernelTable& kernels, const float* logits, int64_t first, int64_t count,
            float* scratch);
  // What another one, started with the same row, has taken.
  void Join(const RunningDraw& other);
  // Once all tokens were taken: the token, kNotFinite or kUndecided.
  int32_t Token(const KernelTable& kernels) const;

 private:
  enum class Way : uint8_t { kNone, kLargest, kRace, kListed };
  static constexpr int64_t kMaxTopK = 128;
  static constexpr int64_t kSpare = 16;
  static constexpr int64_t kMaxListed = kMaxTopK + kSpare;
  struct Listed {
    float logit;
    int32_t token_id;
  };

  void TakeLargest(float largest, int32_t token_id);
  void TakeRace(const KernelTable& kernels, const float* logits, int64_t first, int64_t count,
                float* scratch);
  void TakeListed(const KernelTable& kernels, const float* logits, int64_t first, int64_t count);
  void Run(double key, int32_t token_id);
  void List(Listed token);
  int32_t WinnerOfRace() const;
  int32_t DrawOfListed(const KernelTable& kernels) const;
  bool MayHaveDroppedKept(const KernelTable& kernels, const float* scores) const;

  const SampleRow* row_;
  int64_t vocabulary_;
  Way way_;
  bool not_finite_;
  float largest_;     // logit so far
  int32_t token_id_;  // of it, or of the race's best
  double best_;       // of the race
  double second_;     // best but one
  int64_t top_k_;     // 0: all
  int64_t room_;      // of the list
  int64_t listed_;
  Listed list_[kMaxListed];  // in descending order
};

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_RUNNING_DRAW_H_
