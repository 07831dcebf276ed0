// What each instruction set brings: kernels over a share of an op's work, as a table of functions.
// The tables differ in speed alone, but for products that round their inputs to bf16: their results
// have the same bits.
//
// Everything here is plain data without inline functions: files compiled for a wide instruction set
// include it, and a function that they emit could replace, at link time, the copy that must run on
// any CPU (kernels/README.md).
#ifndef SSMD_KERNELS_CPU_KERNEL_TABLE_H_
#define SSMD_KERNELS_CPU_KERNEL_TABLE_H_

#include <cstdint>

namespace ssmd::kernels::cpu {

struct NormRow {
  const float* x;
  const float* weight;  // or null
  float eps;
  int64_t cols;
  float* out;
};

// Where a matrix product goes. Pointers are to the share's first output.
struct ProductOutput {
  int64_t outputs;    // that exist
  const float* bias;  // or null
  const float* add;   // or null
  int64_t add_stride;
  float* out;
  int64_t out_stride;
};

// Rows [row_begin, row_end) of a matrix product against panels of pack.h.
struct PlainProduct {
  const float* x;
  int64_t x_stride;
  int64_t row_begin;
  int64_t row_end;
  const void* weights;  // the first panel
  bool bf16;
  int64_t inputs;
  int64_t panel_bytes;
  ProductOutput to;  // of all these panels
};

// One row of inputs, to be rounded to bf16 for products with bf16 weights (MatMulParams).
struct RowToRound {
  const float* x;
  int64_t inputs;
  uint32_t* pairs;  // result: two inputs a word, the first in the low half
};

// Whole vectors of 16 words; what is beyond the inputs is zero.
inline constexpr int64_t kRoundedRowUnit = 32;  // inputs

// Rows [0, rows) against panels of a bf16 matrix (pack.h).
inline constexpr int64_t kMaxRoundedRows = 96;
struct RoundedProduct {
  const uint32_t* x;    // of round_row
  int64_t x_stride;     // words
  int64_t rows;         // <= kMaxRoundedRows
  const void* weights;  // the first panel
  int64_t inputs;
  int64_t panel_bytes;
  ProductOutput to;  // of all these panels
};

// What a group of a quantised row brings into a product beside its codes.
struct GroupScale {
  float scale;
  float offset;   // scale · Σ code: what q4's minimum is multiplied by
  int32_t start;  // −128 Σ code: where a sum of q8 starts
};

// One row of inputs, to be rounded to int8 for products with quantised weights (MatMulParams).
//
// Rows are kept in tiles of some rows each, side by side, in the order in which a product takes
// them: [tile][group][part][quad][row of the tile], and so the groups.
struct RowToQuantise {
  const float* x;
  int64_t inputs;
  bool q4;             // the weights' format; q8 otherwise
  int64_t stride;      // rows of the tile
  uint32_t* codes;     // result: for each quad of inputs a word, or KernelTable::q8_words_per_quad
  GroupScale* groups;  // result
};

// Rows [0, rows) against panels of a quantised matrix (quantised_layout.h).
inline constexpr int64_t kMaxQuantisedRows = 96;
struct QuantisedProduct {
  const uint32_t* codes;
  const GroupScale* groups;
  int64_t rows;         // <= kMaxQuantisedRows
  int64_t tile_rows;    // of all tiles but the last, which may have fewer rows
  const void* weights;  // the first panel
  bool q4;
  int64_t inputs;
  int64_t panel_bytes;
  ProductOutput to;  // of all these panels
};

// Channels [channel_begin, channel_end) of a segment; channel_begin is a multiple of 16.
struct ConvShare {
  int64_t length;    // tokens
  int64_t position;  // of the first
  int64_t channels;
  int64_t channel_begin;
  int64_t channel_end;
  int64_t width;
  const float* x;  // row of the segment's first token; so `out`
  int64_t x_stride;
  const float* weight;
  const float* bias;       // or null
  const float* ring_from;  // unused when width == 1
  float* ring_to;
  float* out;
  int64_t out_stride;
};

// In which format a recurrence's state is, and what its rounding depends on (state_format.h). The
// numbers are those of StateFormat.
enum class StateNumbers : uint8_t { kF32, kBf16, kF16 };
struct StateShare {
  StateNumbers numbers;
  uint32_t layer;
  int64_t position;  // of the segment's first token
  int64_t element;   // in the state's layout, of the share's first
  const void* from;
  void* to;
};

// One block of 64 channels of a segment. Pointers are to the block's first channel in the segment's
// first row.
struct ScanShare {
  int64_t length;
  int64_t channels;  // of the block that exist, 1..64
  int64_t state_size;
  const float* x;
  int64_t x_stride;
  const float* dt;
  int64_t dt_stride;
  const float* b;
  int64_t b_stride;
  const float* c;
  int64_t c_stride;
  const float* z;
  int64_t z_stride;
  const float* a;  // (state_size, 64)
  const float* d;
  StateShare state;  // (state_size, 64)
  float* y;
  int64_t y_stride;
};

// Channels of one head of a segment, from a multiple of 16 on. Pointers are to the first of them in
// the segment's first row; b and c are of the head's group.
struct SsdShare {
  int64_t length;
  int64_t channels;  // of the share that exist, >= 1
  int64_t state_size;
  int64_t state_row;  // elements from one state index to the next
  const float* x;
  int64_t x_stride;
  const float* dt;  // of the head, or null
  int64_t dt_stride;
  const float* b;
  int64_t b_stride;
  const float* c;
  int64_t c_stride;
  float dt_bias;
  float dt_min;
  float dt_max;
  float a;
  const float* d;  // or null
  StateShare state;
  float* y;
  int64_t y_stride;
};

// Tokens of a chunk, channels of a share and state indices at most: kSsdChunkTokens and
// kMaxStateSize of ops.h.
inline constexpr int64_t kSsdChunk = 32;
inline constexpr int64_t kMaxSsdChannels = 64;
inline constexpr int64_t kMaxSsdState = 256;

// What the heads of a group share in one chunk. Pointers are to the chunk's first row.
struct SsdGroup {
  int64_t state_size;
  const float* b;
  int64_t b_stride;
  const float* c;
  int64_t c_stride;
  float* transposed;  // result: B, (state_size, kSsdChunk)
  float* products;    // result: C_i·B_j, (kSsdChunk, kSsdChunk), where j <= i
};

// Whole chunks of a share.
struct SsdChunks {
  SsdShare share;        // length is a multiple of kSsdChunk
  const float* group;    // SsdGroup::transposed of the first chunk, followed by its products
  int64_t group_stride;  // floats from one chunk to the next
};

// One group of one row of a gated norm.
// Shares of the ops of linear_ops.h, of a segment. Pointers are to the share's first channel (but
// where it says where it begins) in the segment's first row. State is written to `to`, which may
// be `from`.

// One block of 64 channels.
struct ModalShare {
  int64_t length;
  int64_t channels;  // of the block that exist, 1..64
  int64_t modes;
  int64_t rank;
  const float* u;
  int64_t u_stride;
  const float* decay;  // (modes, 2, 64); so `output`, `from` and `to`
  const float* output;
  const float* coupling_in;  // (rank, modes, 2, 64), or null; so coupling_out
  const float* coupling_out;
  const float* d;
  const float* from;
  float* to;
  float* y;
  int64_t y_stride;
};

// Modes [mode_begin, mode_end); pointers are to mode 0.
struct ComplexShare {
  int64_t length;
  int64_t modes;
  int64_t mode_begin;
  int64_t mode_end;
  const float* decay;
  const float* from;
  float* to;
  float* x;
  int64_t x_stride;
};

// One block of 64 channels.
struct DifferenceShare {
  int64_t length;
  int64_t position;  // of the first token
  int64_t channels;  // of the block that exist, 1..64
  int64_t delays;
  const float* u;
  int64_t u_stride;
  const double* numerator;  // (delays, 64)
  const double* denominator;
  const double* d;
  const double* from;  // (2, delays, 64)
  double* to;
  float* y;
  int64_t y_stride;
};

// Up to 64 channels, from a multiple of 16 on.
struct DenseShare {
  int64_t length;
  int64_t before;  // tokens that are stepped before the first chunk; all where there is none
  int64_t chunks;
  int64_t channels;
  int64_t state_size;
  int64_t state_row;  // elements from one state index to the next, of `output` too
  const float* u;
  int64_t u_stride;
  const float* a;
  const float* b;
  const float* output;
  const float* d;
  const float* from;
  float* to;
  float* y;
  int64_t y_stride;
  const float* chunk_step;  // of chunks alone; so those below
  const float* chunk_readout;
  const float* chunk_taps;
};

// Channels [channel_begin, channel_end), from a multiple of 16 on; pointers are to channel 0.
struct LegsShare {
  int64_t length;
  int64_t position;  // of the first token
  int64_t channel_begin;
  int64_t channel_end;
  int64_t state_size;
  int64_t state_row;  // elements from one state index to the next, of `output` too
  bool exact;
  const float* u;
  int64_t u_stride;
  const float* output;  // or null; then so are d and y
  const float* d;
  const float* from;
  float* to;
  float* y;
  int64_t y_stride;
};

struct GatedNormGroup {
  const float* x;
  const float* gate;
  const float* weight;  // or null
  bool gate_first;
  bool normalise;  // false: gate only
  float eps;
  int64_t cols;
  float* out;
};

// One group of one row of a norm with a mean.
struct GroupNormGroup {
  const float* x;
  const float* weight;  // or null
  const float* bias;    // or null
  float eps;
  int64_t cols;
  float* out;
};

// Some columns of a row. The numbers are those of PointwiseFunction.
enum class PointwiseKind : uint8_t { kGelu, kSquaredRelu, kTanh, kSigmoid, kGlu, kMultiply };
struct PointwiseColumns {
  PointwiseKind function;
  const float* x;
  const float* bias;  // or null
  const float* y;     // of functions with two inputs
  const float* add;   // or null
  int64_t cols;
  float* out;
};

// Some channels of a segment. Pointers are to the first of them in the segment's first row.
inline constexpr int kMaxMixtures = 6;  // kMaxShifted of row_ops.h
struct TokenShiftShare {
  int64_t length;
  int64_t channels;  // of the share
  const float* x;
  int64_t x_stride;
  const float* from;
  float* to;  // null: the state is kept
  int count;
  const float* mix[kMaxMixtures];
  const float* delta[kMaxMixtures];  // each or null
  int64_t delta_stride;
  float* out[kMaxMixtures];
  int64_t out_stride;
};

// All heads of a row.
struct RotateRow {
  int64_t position;
  int64_t heads;
  int64_t head_dim;
  const double* frequencies;
  float scale;
  float* x;
};

// Some channels of a segment. Pointers are to the first of them, in the segment's first row.
struct Wkv4Share {
  int64_t length;
  int64_t channels;  // of the share
  bool fresh;        // nothing was before
  const float* r;
  const float* k;
  const float* v;
  int64_t x_stride;
  const float* decay;
  const float* bonus;
  const float* from;  // a; b and p follow
  float* to;
  int64_t state_row;  // from a to b, and from b to p
  float* y;
  int64_t y_stride;
};

// A head of a segment. Pointers are to its first column in the segment's first row.
inline constexpr int64_t kMaxWkvWidth = 256;  // kMaxWkvHead of wkv_ops.h
struct Wkv6Share {
  int64_t length;
  int64_t head_dim;
  const float* r;
  const float* k;
  const float* v;
  int64_t x_stride;
  const float* decay;
  const float* decay_row;  // or null
  int64_t decay_stride;
  const float* bonus;
  const float* from;  // (head_dim of i, head_dim of j)
  float* to;
  float* y;
  int64_t y_stride;
};
struct Wkv7Share {
  int64_t length;
  int64_t head_dim;
  const float* r;
  const float* w_raw;
  const float* k;
  const float* v;
  const float* a_raw;
  const float* g;
  const float* v_gate;  // or null
  const float* v_first;
  int64_t x_stride;
  const float* k_k;
  const float* k_a;
  const float* r_k;
  const float* norm_weight;
  const float* norm_bias;
  float norm_eps;
  const float* from;  // (head_dim of j, head_dim of i)
  float* to;
  float* y;
  int64_t y_stride;
};

// Tokens that KernelTable::next_… looks at together.
inline constexpr int64_t kTokenBlock = 16;

// Masses are at most 2^38 each, and a double has 53 bits.
inline constexpr int64_t kSummedMasses = 1 << 15;

// Draws of some tokens of a row; `scores` of those that are out of the draw are −infinity.
struct DrawRow {
  const float* scores;  // (count)
  int64_t count;
  int64_t first_token;
  uint64_t seed;
  uint32_t choice;
  uint64_t position;
};

struct KernelTable {
  void (*rms_norm)(const NormRow& row);
  void (*multiply_plain)(const PlainProduct& product);
  void (*quantise_row)(const RowToQuantise& row);
  void (*multiply_quantised)(const QuantisedProduct& product);
  void (*conv_silu)(const ConvShare& share);
  void (*selective_scan)(const ScanShare& share);
  void (*ssd_scan)(const SsdShare& share);
  void (*ssd_group)(const SsdGroup& group);
  void (*ssd_chunks)(const SsdChunks& chunks);
  void (*modal_scan)(const ModalShare& share);
  void (*complex_scan)(const ComplexShare& share);
  void (*difference_scan)(const DifferenceShare& share);
  void (*dense_scan)(const DenseShare& share);
  void (*legs_scan)(const LegsShare& share);
  void (*gated_norm)(const GatedNormGroup& group);

  // row_ops.h and wkv_ops.h
  void (*group_norm)(const GroupNormGroup& group);
  void (*pointwise)(const PointwiseColumns& columns);
  void (*token_shift)(const TokenShiftShare& share);
  void (*rotate)(const RotateRow& row);
  void (*wkv4)(const Wkv4Share& share);
  void (*wkv6)(const Wkv6Share& share);
  void (*wkv7)(const Wkv7Share& share);

  // The largest of n values, or a NaN when one of them is not finite.
  float (*largest_if_finite)(const float* values, int64_t n);
  // out[i] = (values[i] − offset) / divisor. In place is allowed.
  void (*offset_divide)(const float* values, int64_t n, float offset, float divisor, float* out);
  // out[i] = e^values[i], for values <= 0.
  void (*exponentials)(const float* values, int64_t n, float* out);
  // Turns such exponentials into masses (SampleParams): times kMassOne, rounded down. Returns their
  // sum, which is exact for n <= kSummedMasses.
  double (*round_to_masses)(float* values, int64_t n);
  // Σ e^(values[i] − offset) in double: 16 lanes and a fixed tree.
  double (*sum_of_exponentials)(const float* values, int64_t n, float offset);
  // Looks for tokens whose score plus Gumbel number may exceed `to_beat`, from the block at `from`
  // on. Returns where the first block with any begins and sets a bit of `tokens` for each of
  // them; n or more where there is none. Says yes to a few too many, never no to one that does, for
  // |to_beat| up to 2^15.
  int64_t (*next_that_may_beat)(const DrawRow& row, int64_t from, float to_beat, uint32_t* tokens);
  // The same for values that exceed `bound`.
  int64_t (*next_above)(const float* values, int64_t from, int64_t n, float bound, uint32_t* above);

  // Null where bf16 weights are widened and their inputs stay f32.
  void (*round_row)(const RowToRound& row);
  void (*multiply_rounded)(const RoundedProduct& product);

  // Words that quantise_row writes for a quad of inputs that meets q8 weights; for q4 it is one.
  int64_t q8_words_per_quad;
  int64_t max_tile_rows;  // of QuantisedProduct
};

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAvx512Bf16Kernels;
extern const KernelTable kNeonKernels;

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_KERNEL_TABLE_H_
