// The contract of the kernels: one params struct per op. `Device` (device.h) has one method for
// each, implemented in reference/ (double precision, plain loops: the oracle of the tests), cpu/
// (SIMD) and cuda/.
//
// What every implementation promises:
//  - Row independence: a row's result depends on that row's inputs (and its segment's state) alone,
//    bit for bit, whatever the other rows, their number, the thread count and the chunking are.
//  - MatMul adds products in ascending k by fused multiply-add within runs of kReductionRun inputs,
//    then adds the runs in ascending order, then bias, then `add`. One accumulator per output. With
//    quantised weights a product is that of a group of 32 inputs, and where inputs may be rounded
//    products may go in pairs, or by a matrix unit in its own order.
//  - The recurrence steps token by token, so a prompt prefilled in any chunks gives the bits that
//    feeding it one token at a time gives (SsdScan: unless its chunked form is asked for).
//  - No exception, no libm call whose bits depend on the CPU, and no allocation, except for
//    the scratch of Sample and SampleHead, once a vocabulary size.
//
// All pointers are device memory except where "host" is said; what indexes rows and states of a
// step is put there by StepProgram::Run (device.h). All preconditions are the caller's
// (engine/models checks shapes at load time): an op does not return an error.
#ifndef SSMD_KERNELS_OPS_H_
#define SSMD_KERNELS_OPS_H_

#include <cstdint>
#include <limits>

#include "kernels/tensor.h"

namespace ssmd::kernels {

// Length of the runs in which a dot product is accumulated (see above).
inline constexpr int64_t kReductionRun = 512;
// Groups of inputs below this count as zero where activations are rounded to int8 (MatMulParams).
inline constexpr float kSmallestActivation = 0x1p-100f;
// Channels in a block of the SSM state's layout (see SelectiveScanParams).
inline constexpr int64_t kChannelBlock = 64;
// Largest SSM state size and convolution width that kernels take.
inline constexpr int64_t kMaxStateSize = 256;
inline constexpr int64_t kMaxConvWidth = 64;

inline constexpr int64_t PaddedChannels(int64_t channels) {
  return (channels + kChannelBlock - 1) / kChannelBlock * kChannelBlock;
}

// Channels in a vector of every implementation, to whose multiples SsdScan's state is padded.
inline constexpr int64_t kVectorLanes = 16;
inline constexpr int64_t PaddedLanes(int64_t channels) {
  return (channels + kVectorLanes - 1) / kVectorLanes * kVectorLanes;
}

// out[r] = row token_ids[r] of `table`, widened to f32.
struct EmbedParams {
  const PackedMatrix* table = nullptr;  // (vocabulary, d_model)
  const int32_t* token_ids = nullptr;   // (rows); each in [0, vocabulary)
  int64_t rows = 0;
  float* out = nullptr;  // (rows, d_model)
};

// out[r] = x[i] / sqrt(mean(x[i]²) + eps) * weight, with i = row_index ? row_index[r] : r.
// The sum runs over 16 virtual lanes (lane = column mod 16, ascending) and a fixed tree. In place
// is allowed when row_index is null. Source: Zhang & Sennrich 2019.
struct RmsNormParams {
  const float* x = nullptr;  // (…, cols), stride x_stride
  int64_t x_stride = 0;
  const int32_t* row_index = nullptr;  // (rows), or null
  const float* weight = nullptr;       // (cols), or null for a weightless norm
  float eps = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  float* out = nullptr;  // (rows, cols), stride out_stride
  int64_t out_stride = 0;
};

// out[r][o] = Σ_k x[r][k] * w[o][k] (+ bias[o]) (+ add[r][o]). `add` may be `out` (a residual).
// `out` must not overlap `x`.
//
// With weights in kQ8 or kQ4, each group of 32 inputs of a row is rounded to int8 as well, whatever
// the number of rows is: with largest = max |x|,
//   scale = largest / 127,  code = round(x · (127 / largest)), ties to even,
// all zero where largest < kSmallestActivation, and NaN where one of them is not finite. A group's
// product is the exact sum of code · code, times the weights' scale, times the row's (an fma into
// the accumulator); in kQ4 followed by the fma of the weights' minimum with scale · Σ code.
//
// With weights that say may_round_inputs a device may round inputs, to nearest even and denormals
// to zero: to bf16 where weights are kBf16, and a device with matrix units to 16 bits in any format
// but kF32. Whether it does, and in which order it then adds, is the device's, the same for any
// number of rows, and part of its profile. cpu/ rounds for kBf16 alone and takes pairs: in
// ascending order within a run, in each the second input's product before the first one's (or that
// of zero, where the inputs are odd).
struct MatMulParams {
  const float* x = nullptr;  // (rows, w->inputs), stride x_stride
  int64_t x_stride = 0;
  int64_t rows = 0;
  const PackedMatrix* w = nullptr;  // (outputs, inputs)
  const float* bias = nullptr;      // (outputs), or null
  const float* add = nullptr;       // (rows, outputs), stride add_stride, or null
  int64_t add_stride = 0;
  float* out = nullptr;  // (rows, outputs), stride out_stride
  int64_t out_stride = 0;
};

// Causal depthwise convolution with carried state, then SiLU:
//   out[t][c] = silu(bias[c] + Σ_w weight[w][c] * x[t − (width−1) + w][c])
// with w ascending by FMA from bias (or 0), where inputs from before the segment come from the
// ring. The ring keeps the last width−1 pre-convolution inputs as columns: input of token p lies in
// column p mod (width−1). A first token's ring is zero. width == 1 has no ring.
struct ConvSiluParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  int64_t width = 0;         // taps, 1..kMaxConvWidth
  const float* x = nullptr;  // (rows, channels), stride x_stride
  int64_t x_stride = 0;
  const float* weight = nullptr;  // (width, channels): tap-major, transposed from the checkpoint
  const float* bias = nullptr;    // (channels), or null
  StateField ring;                // (width−1, channels) f32, unused when width == 1
  float* out = nullptr;           // (rows, channels), stride out_stride
  int64_t out_stride = 0;
};

// The Mamba-1 recurrence (S6; Gu & Dao 2023, algorithm 2) with its neighbours fused in:
//   Δ = softplus(dt[t][c])            (the identity above 20)
//   h[c][n] = e^{Δ·a[c][n]} h[c][n] + (Δ·x[t][c]) · B[t][n]
//   y[t][c] = (Σ_n C[t][n] h[c][n] + d[c]·x[t][c]) · silu(z[t][c])
// REQUIRES: a <= 0. `y` may be `x`; no other operands overlap. (cpu/ applies the decay as
// h + (e^{Δ·a} − 1)·h, which keeps what a factor near 1 would round away.)
// The sum over n is four runs of ceil(N/4) in ascending n, then (r0+r1)+(r2+r3).
// State and `a` are laid out [ceil(channels/64)][state][64], channels contiguous; the padding of
// the last block stays zero. Each token's state is rounded to the field's format.
struct SelectiveScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  int64_t state_size = 0;    // N, 1..kMaxStateSize
  const float* x = nullptr;  // (rows, channels), after convolution and SiLU
  int64_t x_stride = 0;
  const float* dt = nullptr;  // (rows, channels), before softplus, bias included
  int64_t dt_stride = 0;
  const float* b = nullptr;  // (rows, N)
  int64_t b_stride = 0;
  const float* c = nullptr;  // (rows, N)
  int64_t c_stride = 0;
  const float* z = nullptr;  // (rows, channels), the gate before SiLU
  int64_t z_stride = 0;
  const float* a = nullptr;  // −exp(A_log), in the state's layout
  const float* d = nullptr;  // (channels)
  StateField state;
  float* y = nullptr;  // (rows, channels); may be x
  int64_t y_stride = 0;
};

// Tokens of a chunk of SsdScan's chunked form, and the floats of scratch a row that it takes.
inline constexpr int64_t kSsdChunkTokens = 32;
inline constexpr int64_t SsdChunkScratch(int64_t groups, int64_t state_size) {
  return groups * (state_size + kSsdChunkTokens);
}

// The Mamba-2 recurrence (SSD; Dao & Gu 2024, arXiv:2405.21060): a matrix state per head with one
// decay for all of it.
//   Δ = clamp(softplus(dt[t][h] + dt_bias[h]), dt_min, dt_max)
//   S[h][n][p] = e^{Δ·a[h]} S[h][n][p] + (Δ·x[t][h][p]) · B[t][g][n]
//   y[t][h][p] = Σ_n C[t][g][n] S[h][n][p] + d[h][p]·x[t][h][p]
// where heads share B and C in groups: g = h / (heads / groups). The clamp holds for every token,
// prompt or not. The decay and the sum over n are applied as SelectiveScan does.
// REQUIRES: a <= 0; 0 <= dt_min <= dt_max, which may be infinite; groups divides heads. `y` may be
// `x`; no other operands overlap.
// State is laid out [heads][N][PaddedLanes(head_dim)], a head's channels contiguous; padding stays
// zero. Each token's state is rounded to the field's format, and that of a chunk (below) once.
//
// With `chunk_scratch`, the chunks of kSsdChunkTokens tokens that lie whole in a segment and begin
// at a multiple of that many of its positions are computed by matrix products instead, all other
// tokens step by step as ever. That is faster and differs by rounding, so bits depend on which
// chunks are whole: a cut of a history at multiples of kSsdChunkTokens does not show, another does.
// Rows of other segments, threads and instruction sets do not show either way.
struct SsdScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t heads = 0;
  int64_t head_dim = 0;  // P: channels of a head
  int64_t groups = 1;
  int64_t state_size = 0;    // N, 1..kMaxStateSize
  const float* x = nullptr;  // (rows, heads · head_dim), after convolution and SiLU
  int64_t x_stride = 0;
  const float* dt = nullptr;  // (rows, heads), before bias and softplus; null: Δ is 1
  int64_t dt_stride = 0;
  const float* b = nullptr;  // (rows, groups · N)
  int64_t b_stride = 0;
  const float* c = nullptr;  // (rows, groups · N)
  int64_t c_stride = 0;
  const float* dt_bias = nullptr;  // (heads), or null
  float dt_min = 0;
  float dt_max = std::numeric_limits<float>::infinity();
  const float* a = nullptr;  // (heads): −exp(A_log)
  const float* d = nullptr;  // (heads · head_dim), or null
  StateField state;
  float* y = nullptr;  // (rows, heads · head_dim); may be x
  int64_t y_stride = 0;
  // (rows, SsdChunkScratch(…)), any content; null: step by step throughout.
  float* chunk_scratch = nullptr;
};

// Where a gated norm multiplies by silu(gate).
enum class GateOrder : uint8_t {
  kGateFirst,  // v = x·silu(gate);  out = v / sqrt(mean(v²) + eps) · weight
  kNormFirst,  // out = x / sqrt(mean(x²) + eps) · weight · silu(gate)
  kGateOnly,   // out = x·silu(gate)
};

// RMS norm with a gate, in groups: each mean is over cols / groups neighbouring columns, summed as
// RmsNorm sums a row. `out` may be `x`.
struct GatedRmsNormParams {
  const float* x = nullptr;  // (rows, cols), stride x_stride
  int64_t x_stride = 0;
  const float* gate = nullptr;  // (rows, cols), before SiLU
  int64_t gate_stride = 0;
  const float* weight = nullptr;  // (cols), or null for a weightless norm
  GateOrder order = GateOrder::kGateFirst;
  float eps = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t groups = 1;    // divides cols
  float* out = nullptr;  // (rows, cols), stride out_stride
  int64_t out_stride = 0;
};

// A change to one token's logit before sampling: first the repetition penalty where `repeated`
// (l > 0 ? l / penalty : l * penalty), then `add`.
struct LogitAdjustment {
  int32_t token_id = 0;
  bool repeated = false;
  float add = 0;
};

// Draws one token per row. The steps, in order:
//   adjust the logits (and clamp them to finite); temperature 0 (or below the smallest normal
//   float): the largest, ties to the lowest id, done;
//   score = (logit − largest) / temperature in f32; keep the top_k largest (0 = all; ties to the
//   lowest ids); top_p < 1: keep the smallest set of largest whose mass reaches top_p of the mass
//   of those kept (ties to the lowest ids; at least one); keep those whose mass is >= min_p × the
//   largest's. Masses are e^score × kMassOne, rounded down to integers, so their sum has no order;
//   take the largest of score + Gumbel(seed, choice, position, token id) in double, ties to the
//   lowest id (kernels/random.h).
// A row with a logit that is not finite (before adjustment) yields kNotFinite.
// REQUIRES: vocabulary <= kMaxVocabulary; temperature, top_p,
// min_p >= 0, min_p <= 1, repetition_penalty > 0 and `add` finite.
inline constexpr double kMassOne = 0x1p38;
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 24;  // masses then sum within 63 bits
struct SampleRow {
  const float* logits = nullptr;                 // (vocabulary); not changed
  const LogitAdjustment* adjustments = nullptr;  // host; distinct token ids
  int64_t adjustment_count = 0;
  float repetition_penalty = 1;
  float temperature = 1;
  int32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint64_t position = 0;  // history length at which the drawn token will stand
  int32_t token_id = 0;   // result
};
inline constexpr int32_t kNotFinite = -1;

struct SampleParams {
  int64_t vocabulary = 0;
  SampleRow* rows = nullptr;  // host
  int64_t row_count = 0;
};

// MatMul and Sample in one: the tokens that Sample draws from the product's rows, which need not
// all be written. REQUIRES: no bias and no `add`; product.w->outputs is the vocabulary.
struct SampleHeadParams {
  MatMulParams product;
  // (product.rows), host: 1 where the row is wanted in product.out afterwards; of the others
  // product.out holds anything. Null: none is wanted.
  const uint8_t* keep = nullptr;
  SampleRow* draws = nullptr;  // host; `logits` of each is a row of product.out
  int64_t draw_count = 0;
};

// A layer of Mamba-1 (Gu & Dao 2023, section 3.4) and one of Mamba-2 (Dao & Gu 2024, section 7), as
// the ops they consist of, in this order, so that a device may fuse them. What is between the first
// and the last op is scratch: a device that fuses need not write it.
struct MambaLayerParams {
  RmsNormParams norm;    // rows is 0 where the input was normalised before, by a norm with a mean
  MatMulParams in_proj;  // of norm.out: x and z side by side
  ConvSiluParams conv;
  MatMulParams x_proj;  // of conv.out: Δ's low-rank input, B and C side by side
  // Weightless norms of these three, in place (Falcon-Mamba); rows is 0 where there are none.
  RmsNormParams dt_norm, b_norm, c_norm;
  MatMulParams dt_proj;
  SelectiveScanParams scan;
  MatMulParams out_proj;  // of scan.y, added to norm.x
};
struct Mamba2LayerParams {
  RmsNormParams norm;    // as above
  MatMulParams in_proj;  // of norm.out: z, x, B, C and Δ side by side
  ConvSiluParams conv;   // of x, B and C
  SsdScanParams scan;
  GatedRmsNormParams gated_norm;
  MatMulParams out_proj;  // added to norm.x
};

// What differs from one step to the next.
struct StepIndices {
  const int32_t* token_ids = nullptr;  // (rows)
  int64_t rows = 0;
  const Segment* segments = nullptr;  // (segment_count)
  int64_t segment_count = 0;
  const int32_t* logit_rows = nullptr;  // (logit_row_count)
  int64_t logit_row_count = 0;

  // Every segment is a token.
  bool decodes() const { return rows == segment_count; }
};

struct TokenLogprob {
  int32_t token_id = 0;
  float logprob = 0;
};

// Log-probabilities under softmax of the untouched logits: of `token_id`, and the `top_count` most
// probable tokens (descending, ties to the lowest id). The log-sum-exp has one fixed order.
struct LogprobRow {
  const float* logits = nullptr;  // (vocabulary)
  int32_t token_id = 0;
  int32_t top_count = 0;        // 0..kMaxTopLogprobs
                                // and <= vocabulary
  TokenLogprob* top = nullptr;  // host, (top_count); result
  float logprob = 0;            // result; NaN when the row has a logit that is not finite
};
inline constexpr int32_t kMaxTopLogprobs = 64;

struct LogprobParams {
  int64_t vocabulary = 0;
  LogprobRow* rows = nullptr;  // host
  int64_t row_count = 0;
};

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_OPS_H_
