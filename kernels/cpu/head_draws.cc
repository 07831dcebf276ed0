#include "kernels/cpu/head_draws.h"

#include <algorithm>

#include "kernels/cpu/pack.h"

namespace ssmd::kernels::cpu {

bool HeadDraws::Begin(const SampleHeadParams& params) {
  const MatMulParams& product = params.product;
  const int64_t vocabulary = product.w->outputs;
  followed_ = 0;
  for (int64_t i = 0; i < params.draw_count; ++i) params.draws[i].token_id = kUndecided;
  if (product.rows > kMaxRows) return false;
  for (int64_t r = 0; r < product.rows; ++r) {
    copied_[r] = params.keep != nullptr && params.keep[r] != 0;
  }
  const auto row_of = [&](const SampleRow& draw) {
    return (draw.logits - product.out) / product.out_stride;
  };
  // A row that one draw needs whole is there for all of its draws.
  RunningDraw& probe = parts_[0].draws[0];
  for (int64_t i = 0; i < params.draw_count; ++i) {
    const SampleRow& draw = params.draws[i];
    probe.Start(draw, vocabulary);
    const bool followed = draw.adjustment_count == 0 && probe.decides() && i < kMaxFollowed;
    if (!followed) copied_[row_of(draw)] = true;
  }
  for (int64_t i = 0; i < params.draw_count; ++i) {
    const int64_t row = row_of(params.draws[i]);
    if (!copied_[row]) draws_[followed_++] = {&params.draws[i], row};
  }
  for (Part& part : parts_) {
    for (int i = 0; i < followed_; ++i) part.draws[i].Start(*draws_[i].draw, vocabulary);
  }
  block_panels_ = std::min(kMaxBlockPanels, kBlockFloats / kPanelOutputs / product.rows - 1);
  stride_ = (block_panels_ + 1) * kPanelOutputs;
  return followed_ > 0;
}

ProductOutput HeadDraws::BlockOf(int thread, Range panels, int64_t vocabulary) {
  ProductOutput to = {};
  to.outputs = std::min(vocabulary, panels.end * kPanelOutputs) - panels.begin * kPanelOutputs;
  to.out = parts_[static_cast<size_t>(thread)].block;
  to.out_stride = stride_;
  return to;
}

void HeadDraws::Take(const SampleHeadParams& params, int thread, Range panels) {
  Part& part = parts_[static_cast<size_t>(thread)];
  const MatMulParams& product = params.product;
  const int64_t first = panels.begin * kPanelOutputs;
  const int64_t outputs = std::min(product.w->outputs, panels.end * kPanelOutputs) - first;
  for (int i = 0; i < followed_; ++i) {
    const float* logits = part.block + draws_[i].row * stride_;
    part.draws[i].Take(kernels_, logits, first, outputs, part.scratch);
  }
  for (int64_t r = 0; r < product.rows; ++r) {
    if (!copied_[r]) continue;
    const float* logits = part.block + r * stride_;
    std::copy(logits, logits + outputs, product.out + r * product.out_stride + first);
  }
}

void HeadDraws::Decide(int draw) {
  RunningDraw& whole = parts_[0].draws[draw];
  for (size_t i = 1; i < parts_.size(); ++i) whole.Join(parts_[i].draws[draw]);
  draws_[draw].draw->token_id = whole.Token(kernels_);
}

int64_t HeadDraws::RowIfUndecided(int draw) const {
  return draws_[draw].draw->token_id == kUndecided ? draws_[draw].row : -1;
}

}  // namespace ssmd::kernels::cpu
