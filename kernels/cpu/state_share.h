// Where a share of a recurrence finds its state. Not for files compiled per ISA (inline code, see
// kernels/README.md).
#ifndef SSMD_KERNELS_CPU_STATE_SHARE_H_
#define SSMD_KERNELS_CPU_STATE_SHARE_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/tensor.h"

namespace ssmd::kernels::cpu {

// From `element` of the state on.
inline StateShare StateOf(const StateField& field, const Segment& segment, int64_t element) {
  const int64_t bytes = element * static_cast<int64_t>(StateFormatBytes(field.format));
  StateShare share = {};
  share.numbers = static_cast<StateNumbers>(field.format);
  share.layer = field.layer;
  share.position = segment.position;
  share.element = element;
  share.from = field.at(segment.src_slot) + bytes;
  share.to = field.at(segment.dst_slot) + bytes;
  return share;
}

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_STATE_SHARE_H_
