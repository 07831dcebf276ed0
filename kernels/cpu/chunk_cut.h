// How the chunked form of a recurrence cuts a segment.
#ifndef SSMD_KERNELS_CPU_CHUNK_CUT_H_
#define SSMD_KERNELS_CPU_CHUNK_CUT_H_

#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels::cpu {

// The tokens of a segment: step by step to the first whole chunk, the chunks, and the rest.
struct ChunkCut {
  int64_t before;  // tokens
  int64_t chunks;
};

inline ChunkCut CutIntoChunks(const Segment& segment, int64_t chunk) {
  const int64_t before = (chunk - segment.position % chunk) % chunk;
  if (before + chunk > segment.length) return {segment.length, 0};
  return {before, (segment.length - before) / chunk};
}

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_CHUNK_CUT_H_
