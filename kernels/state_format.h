// Number formats of the states of recurrences, and how a state is rounded to the narrow ones.
//
// A state that is rounded to nearest in 16 bits stands still once its update is below half a unit
// of its last place: at a decay of 0.999 that is where it should still double. So states are
// rounded stochastically (Croci et al. 2022, "Stochastic rounding: implementation, error analysis
// and applications"): up with the probability that makes the mean exact. What is drawn is a
// function of the token's position, the layer and the element, and of nothing else. So a resumed,
// forked or replayed session rounds as it would have, on any device, however a prompt is cut.
//
// After a token the state is rounded, from the f32 value that the token's output was made of;
// SsdScan's chunks round theirs once, as its last token would.
//
// No inline code: files compiled per instruction set include this (README.md).
#ifndef SSMD_KERNELS_STATE_FORMAT_H_
#define SSMD_KERNELS_STATE_FORMAT_H_

#include <cstdint>

namespace ssmd::kernels {

// What all elements of a state share. A function of the token's position in its session (of the
// first token: 0) and the layer. SplitMix64's finaliser (Steele et al. 2014), high half.
uint32_t RoundingKey(int64_t position, uint32_t layer);

// Of an element, counted in the state's layout; the high bits are the random ones:
//   x = key + element · 0x9E3779B9;  x = (x ^ x >> 15) · 0x2C1B3C6D;  x ^ x >> 15
uint32_t RoundingWord(uint32_t key, uint32_t element);

// Towards zero after adding the word's high 16 bits to the 16 that go. Largest finite number where
// that overflows; infinities stay, a NaN stays a (quiet) NaN.
uint16_t RoundStateToBf16(float value, uint32_t word);

// The same with the word's high 13 bits and the 13 that go, of a normal number of f16. Of a smaller
// one, floor(|value|·2^24 + word's high 13 bits · 2^−13), a sum of two f32. Finite numbers beyond
// 65504 become that.
uint16_t RoundStateToF16(float value, uint32_t word);

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_STATE_FORMAT_H_
