// The CPU as a Device: cuts each op into shares for the pool's threads and hands them to the
// kernels of the chosen instruction set. How an op is cut never shows in its result (ops.h): shares
// are whole outputs, rows, channels or segments.
#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cpu/affinity.h"
#include "kernels/cpu/float_mode.h"
#include "kernels/cpu/head_draws.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_scans.h"
#include "kernels/cpu/output_of.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/pack_quantised.h"
#include "kernels/cpu/quantised_rows.h"
#include "kernels/cpu/rounded_rows.h"
#include "kernels/cpu/row_ops.h"
#include "kernels/cpu/sample.h"
#include "kernels/cpu/ssd.h"
#include "kernels/cpu/state_share.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/wkv.h"
#include "kernels/device.h"
#include "kernels/host_arena.h"
#include "kernels/host_memory.h"
#include "kernels/quantise.h"

namespace ssmd::kernels {
namespace cpu {
namespace {

// Work below this many multiply-adds (or the like) is done by the caller alone: some 2 µs, four
// times what sharing it takes.
constexpr int64_t kSerialOps = 1 << 16;
// What a chunk is worth taking for.
constexpr int64_t kChunkOps = 1 << 15;
// An exponential in multiply-adds, for that comparison.
constexpr int64_t kExpOps = 16;
// Rounding an input to int8, likewise.
constexpr int64_t kQuantiseOps = 8;
// And to bf16.
constexpr int64_t kRoundOps = 2;
// With fewer rows than this for each thread, row shares would waste the weights that they load.
constexpr int64_t kRowsPerThread = 24;

// What the bits of an op depend on where it has the same on every instruction set (float_mode.h
// says what is different on Arm).
#if defined(__x86_64__)
constexpr const char* kArchitecture = "x86-64";
#elif defined(__aarch64__)
constexpr const char* kArchitecture = "arm64";
#else
constexpr const char* kArchitecture = "other";
#endif

// Elements of an array of Sample's scratch: whole cache lines, so that threads do not share one.
int64_t ScratchLength(int64_t vocabulary) { return (vocabulary + 15) / 16 * 16; }

class CpuDevice final : public Device {
 public:
  CpuDevice(Isa isa, int threads, bool pin_threads)
      : isa_(isa),
        kernels_(KernelsFor(isa)),
        pool_(threads, pin_threads),
        scratch_(static_cast<size_t>(pool_.threads())),
        quantised_rows_(kernels_),
        rounded_rows_(kernels_),
        head_draws_(kernels_, pool_.threads()) {}

  std::string name() const override { return "cpu/" + std::string(IsaName(isa_)); }
  std::string profile(WeightFormat format) const override;
  int threads() const override { return pool_.threads(); }
  void AdoptThread() override { pool_.AdoptCaller(); }

  Buffer Allocate(size_t bytes) override { return arena_.Allocate(bytes); }
  std::unique_ptr<StepProgram> MakeProgram(const StepLimits& limits) override;
  void Zero(std::byte* data, size_t bytes) override { std::memset(data, 0, bytes); }
  void Copy(std::byte* to, const std::byte* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  PackedMatrix Pack(const MatrixSource& source, WeightFormat format) override;
  std::string layout() const override { return "cpu 2"; }
  size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) const override;
  bool Keeps(WeightFormat format) const override {
    return format != WeightFormat::kF16 && format != WeightFormat::kFp8;
  }
  PackedMatrix Restore(const PackedBytes& packed) override;

  void Embed(const EmbedParams& params) override;
  void RmsNorm(const RmsNormParams& params) override;
  void MatMul(const MatMulParams& params) override;
  void ConvSilu(const ConvSiluParams& params) override;
  void SelectiveScan(const SelectiveScanParams& params) override;
  void SsdScan(const SsdScanParams& params) override;
  void GatedRmsNorm(const GatedRmsNormParams& params) override;
  void Sample(const SampleParams& params) override;
  void SampleHead(const SampleHeadParams& params) override;
  void Logprobs(const LogprobParams& params) override;
  void ModalScan(const ModalScanParams& params) override { ScanLinear(params); }
  void ComplexScan(const ComplexScanParams& params) override { ScanLinear(params); }
  void DifferenceScan(const DifferenceScanParams& params) override { ScanLinear(params); }
  void DenseScan(const DenseScanParams& params) override { ScanLinear(params); }
  void LegsScan(const LegsScanParams& params) override;
  void GroupNorm(const GroupNormParams& params) override;
  void Pointwise(const PointwiseParams& params) override;
  void TokenShift(const TokenShiftParams& params) override;
  void Rotate(const RotateParams& params) override;
  void Wkv4(const Wkv4Params& params) override;
  void Wkv6(const Wkv6Params& params) override;
  void Wkv7(const Wkv7Params& params) override;
  void MemoryScan(const MemoryScanParams& params) override;

 private:
  // Calls work(range, thread) for shares of [0, count), in parallel where `ops` (of all) are worth
  // it.
  template <typename Work>
  void ForThreadShares(int64_t count, int64_t ops, const Work& work) {
    ScopedFloatMode float_mode;
    const int64_t most = ops < kSerialOps || pool_.threads() == 1 ? 1 : ops / kChunkOps;
    const int chunks = pool_.ChunksFor(std::min(count, most));
    pool_.Run(chunks, [&](int chunk, int thread) { work(ShareOf(count, chunk, chunks), thread); });
  }
  template <typename Work>
  void ForShares(int64_t count, int64_t ops, const Work& work) {
    ForThreadShares(count, ops, [&](Range share, int /*thread*/) { work(share); });
  }

  template <typename Params>
  void ScanLinear(const Params& params);
  bool SplitsRows(const MatMulParams& params) const;
  void MultiplyPlain(const MatMulParams& params, Range panels, Range rows,
                     const ProductOutput& to) const;
  void MultiplyBlock(const MatMulParams& params, Range rows, Range panels,
                     const ProductOutput& to) const;
  void MatMulRounded(const MatMulParams& params);
  bool RoundsRows(const PackedMatrix& w) const;
  bool ReserveRows(int64_t inputs, WeightFormat format);
  void RoundRows(const MatMulParams& params, Range block);
  void MultiplyHead(const SampleHeadParams& params);
  void MultiplyUndecided(const MatMulParams& product);
  bool ReserveScratch(int64_t vocabulary);
  SampleScratch ScratchFor(int thread, int64_t vocabulary);

  const Isa isa_;
  const KernelTable& kernels_;
  ThreadPool pool_;
  HostArena arena_;
  std::vector<Buffer> scratch_;   // of Sample, one a thread, for the largest vocabulary met
  QuantisedRows quantised_rows_;  // of the block of a product that is under way
  RoundedRows rounded_rows_;      // likewise
  HeadDraws head_draws_;
};

// Quantised models have bf16 matrices, too, but none whose inputs may be rounded.
std::string CpuDevice::profile(WeightFormat format) const {
  if (format == WeightFormat::kBf16 && kernels_.round_row != nullptr) return name();
  return std::string("cpu/") + kArchitecture;
}

// Room for rows of products with such a matrix, where they are not taken as they are.
bool CpuDevice::ReserveRows(int64_t inputs, WeightFormat format) {
  if (IsQuantised(format)) return quantised_rows_.Reserve(inputs);
  const bool rounded = format == WeightFormat::kBf16 && kernels_.round_row != nullptr;
  return !rounded || rounded_rows_.Reserve(inputs);
}

PackedMatrix CpuDevice::Pack(const MatrixSource& source, WeightFormat format) {
  PackedMatrix matrix;
  if (!ReserveRows(source.inputs, format)) return matrix;
  matrix.outputs = source.outputs;
  matrix.inputs = source.inputs;
  matrix.format = format;
  matrix.data = arena_.Allocate(PackedSize(source.outputs, source.inputs, format));
  if (!matrix.data) return matrix;
  const bool packed = IsQuantised(format) ? PackQuantised(source, pool_, matrix)
                                          : PackPanels(source, pool_, matrix);
  return packed ? std::move(matrix) : PackedMatrix();
}

size_t CpuDevice::PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) const {
  if (outputs < 1 || inputs < 1 || outputs > kMaxMatrixSide || inputs > kMaxMatrixSide) return 0;
  if (!Keeps(format)) return 0;
  if (!IsQuantised(format)) {
    return static_cast<size_t>(PanelCount(outputs) * PanelBytes(inputs, format));
  }
  return static_cast<size_t>(QuantisedPanelCount(outputs) * QuantisedPanelBytes(inputs, format));
}

PackedMatrix CpuDevice::Restore(const PackedBytes& packed) {
  if (!ReserveRows(packed.inputs, packed.format)) return PackedMatrix();
  return CopyPacked(packed, arena_.Allocate(packed.bytes));
}

void CpuDevice::Embed(const EmbedParams& params) {
  const int64_t width = params.table->inputs;
  ForShares(params.rows, params.rows * width * 8, [&](Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const PackedMatrix& table = *params.table;
      float* out = params.out + r * width;
      if (IsQuantised(table.format)) {
        UnpackQuantisedRow(table, params.token_ids[r], out);
      } else {
        UnpackRow(table, params.token_ids[r], out);
      }
    }
  });
}

void CpuDevice::RmsNorm(const RmsNormParams& params) {
  ForShares(params.rows, params.rows * params.cols, [&](Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t i = params.row_index != nullptr ? params.row_index[r] : r;
      kernels_.rms_norm({params.x + i * params.x_stride, params.weight, params.eps, params.cols,
                         params.out + r * params.out_stride});
    }
  });
}

// Panels are the better share: each weight is then loaded by one thread only. But few panels may
// share out unevenly, and then many rows share out better.
bool CpuDevice::SplitsRows(const MatMulParams& params) const {
  const int64_t threads = pool_.threads();
  const int64_t panels = PanelCount(params.w->outputs);
  const int64_t most = (panels + threads - 1) / threads;
  const bool uneven = most * threads * 16 > panels * 17;
  return uneven && params.rows >= kRowsPerThread * threads;
}

void CpuDevice::MultiplyPlain(const MatMulParams& params, Range panels, Range rows,
                              const ProductOutput& to) const {
  const PackedMatrix& w = *params.w;
  PlainProduct product = {};
  product.x = params.x;
  product.x_stride = params.x_stride;
  product.row_begin = rows.begin;
  product.row_end = rows.end;
  product.panel_bytes = PanelBytes(w.inputs, w.format);
  product.weights = w.data.data() + panels.begin * product.panel_bytes;
  product.bf16 = w.format == WeightFormat::kBf16;
  product.inputs = w.inputs;
  product.to = to;
  kernels_.multiply_plain(product);
}

// Rows that were rounded (RoundRows) where the weights want it, against some panels.
void CpuDevice::MultiplyBlock(const MatMulParams& params, Range rows, Range panels,
                              const ProductOutput& to) const {
  if (IsQuantised(params.w->format)) {
    quantised_rows_.Multiply(params, rows, panels, to);
  } else if (rounded_rows_.Takes(*params.w)) {
    rounded_rows_.Multiply(params, rows, panels, to);
  } else {
    MultiplyPlain(params, panels, rows, to);
  }
}

void CpuDevice::MatMul(const MatMulParams& params) {
  if (RoundsRows(*params.w)) {
    MatMulRounded(params);
    return;
  }
  const int64_t panels = PanelCount(params.w->outputs);
  const int64_t ops = params.rows * params.w->outputs * params.w->inputs;
  if (SplitsRows(params)) {
    const ProductOutput to = OutputOf(params, Range{0, panels}, 0);
    ForShares(params.rows, ops, [&](Range rows) {
      MultiplyPlain(params, Range{0, panels}, rows, to);
    });
  } else {
    ForShares(panels, ops, [&](Range share) {
      MultiplyPlain(params, share, Range{0, params.rows}, OutputOf(params, share, 0));
    });
  }
}

// Rows are rounded once for all panels, some at a time, so that they stay in the cache.
void CpuDevice::MatMulRounded(const MatMulParams& params) {
  const PackedMatrix& w = *params.w;
  const int64_t block_rows = IsQuantised(w.format) ? quantised_rows_.BlockRows(params.rows)
                                                   : RoundedRows::BlockRows(params.rows);
  for (int64_t row = 0; row < params.rows; row += block_rows) {
    const Range rows = {row, std::min(row + block_rows, params.rows)};
    const int64_t ops = (rows.end - rows.begin) * w.outputs * w.inputs;
    RoundRows(params, rows);
    ForShares(PanelCount(w.outputs), ops, [&](Range share) {
      MultiplyBlock(params, rows, share, OutputOf(params, share, row));
    });
  }
}

bool CpuDevice::RoundsRows(const PackedMatrix& w) const {
  return IsQuantised(w.format) || rounded_rows_.Takes(w);
}

void CpuDevice::RoundRows(const MatMulParams& params, Range block) {
  const PackedMatrix& w = *params.w;
  const int64_t count = block.end - block.begin;
  if (IsQuantised(w.format)) {
    ForShares(count, count * w.inputs * kQuantiseOps,
              [&](Range share) { quantised_rows_.Round(params, block, share); });
  } else {
    ForShares(count, count * w.inputs * kRoundOps,
              [&](Range share) { rounded_rows_.Round(params, block, share); });
  }
}

// Rows of all segments, for the estimate of work.
int64_t TokensOf(const Segment* segments, int64_t count) {
  int64_t tokens = 0;
  for (int64_t s = 0; s < count; ++s) tokens += segments[s].length;
  return tokens;
}

void CpuDevice::ConvSilu(const ConvSiluParams& params) {
  const int64_t blocks = PaddedChannels(params.channels) / kChannelBlock;
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  const int64_t ops = tokens * params.channels * (params.width + 2 * kExpOps);
  ForShares(params.segment_count * blocks, ops, [&](Range share) {
    for (int64_t i = share.begin; i < share.end;) {
      const Segment& segment = params.segments[i / blocks];
      // All blocks of this segment that are in the share.
      const int64_t block = i % blocks;
      const int64_t block_end = std::min(blocks, block + share.end - i);
      i += block_end - block;
      if (segment.dst_slot < 0) continue;
      ConvShare conv = {};
      conv.length = segment.length;
      conv.position = segment.position;
      conv.channels = params.channels;
      conv.channel_begin = block * kChannelBlock;
      conv.channel_end = std::min(params.channels, block_end * kChannelBlock);
      conv.width = params.width;
      conv.x = params.x + segment.first_row * params.x_stride;
      conv.x_stride = params.x_stride;
      conv.weight = params.weight;
      conv.bias = params.bias;
      if (params.width > 1) {
        conv.ring_from = params.ring.floats(segment.src_slot);
        conv.ring_to = params.ring.floats(segment.dst_slot);
      }
      conv.out = params.out + segment.first_row * params.out_stride;
      conv.out_stride = params.out_stride;
      kernels_.conv_silu(conv);
    }
  });
}

ScanShare ShareOfScan(const SelectiveScanParams& params, const Segment& segment, int64_t block) {
  const int64_t channel = block * kChannelBlock;
  const int64_t row = segment.first_row;
  const int64_t block_elements = params.state_size * kChannelBlock;
  ScanShare scan = {};
  scan.length = segment.length;
  scan.channels = std::min(kChannelBlock, params.channels - channel);
  scan.state_size = params.state_size;
  scan.x = params.x + row * params.x_stride + channel;
  scan.x_stride = params.x_stride;
  scan.dt = params.dt + row * params.dt_stride + channel;
  scan.dt_stride = params.dt_stride;
  scan.b = params.b + row * params.b_stride;
  scan.b_stride = params.b_stride;
  scan.c = params.c + row * params.c_stride;
  scan.c_stride = params.c_stride;
  scan.z = params.z + row * params.z_stride + channel;
  scan.z_stride = params.z_stride;
  scan.a = params.a + block * block_elements;
  scan.d = params.d + channel;
  scan.state = StateOf(params.state, segment, block * block_elements);
  scan.y = params.y + row * params.y_stride + channel;
  scan.y_stride = params.y_stride;
  return scan;
}

void CpuDevice::SelectiveScan(const SelectiveScanParams& params) {
  const int64_t blocks = PaddedChannels(params.channels) / kChannelBlock;
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  const int64_t ops = tokens * params.channels * params.state_size * kExpOps;
  ForShares(params.segment_count * blocks, ops, [&](Range share) {
    for (int64_t i = share.begin; i < share.end; ++i) {
      const Segment& segment = params.segments[i / blocks];
      if (segment.dst_slot >= 0) {
        kernels_.selective_scan(ShareOfScan(params, segment, i % blocks));
      }
    }
  });
}

void CpuDevice::SsdScan(const SsdScanParams& params) {
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  const int64_t ops = tokens * params.heads * params.head_dim * params.state_size * 3;
  const int64_t chunk_shares = SsdChunkShareCount(params);
  ForShares(chunk_shares, chunk_shares * kSsdChunk * kSsdChunk * params.state_size,
            [&](Range shares) { RunSsdChunkShares(kernels_, params, shares); });
  ForShares(SsdShareCount(params), ops,
            [&](Range shares) { RunSsdShares(kernels_, params, shares); });
}

template <typename Params>
void CpuDevice::ScanLinear(const Params& params) {
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  ForShares(ShareCount(params), tokens * OpsOfAToken(params),
            [&](Range shares) { RunShares(kernels_, params, shares); });
}

void CpuDevice::LegsScan(const LegsScanParams& params) {
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  ForShares(ShareCount(params, threads()), tokens * OpsOfAToken(params),
            [&](Range shares) { RunShares(kernels_, params, threads(), shares); });
}

void CpuDevice::GatedRmsNorm(const GatedRmsNormParams& params) {
  ForShares(params.rows * params.groups, params.rows * params.cols * 2 * kExpOps,
            [&](Range shares) { RunGatedNormShares(kernels_, params, shares); });
}

void CpuDevice::GroupNorm(const GroupNormParams& params) {
  ForShares(params.rows * params.groups, params.rows * params.cols * 2,
            [&](Range shares) { RunGroupNormShares(kernels_, params, shares); });
}

void CpuDevice::Pointwise(const PointwiseParams& params) {
  ForShares(PointwiseShareCount(params), params.rows * params.cols * kExpOps,
            [&](Range shares) { RunPointwiseShares(kernels_, params, shares); });
}

void CpuDevice::TokenShift(const TokenShiftParams& params) {
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  ForShares(TokenShiftShareCount(params), tokens * params.channels * (1 + 2 * params.count),
            [&](Range shares) { RunTokenShiftShares(kernels_, params, shares); });
}

void CpuDevice::Rotate(const RotateParams& params) {
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  ForShares(tokens, tokens * params.head_dim * (2 * kExpOps + 2 * params.heads),
            [&](Range shares) { RunRotateShares(kernels_, params, shares); });
}

void CpuDevice::Wkv4(const Wkv4Params& params) {
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  ForShares(Wkv4ShareCount(params), tokens * params.channels * 4 * kExpOps,
            [&](Range shares) { RunWkv4Shares(kernels_, params, shares); });
}

void CpuDevice::Wkv6(const Wkv6Params& params) {
  const int64_t shares = params.segment_count * params.heads;
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  ForShares(shares, tokens * params.heads * params.head_dim * params.head_dim * 3,
            [&](Range share) { RunWkv6Shares(kernels_, params, share); });
}

void CpuDevice::Wkv7(const Wkv7Params& params) {
  const int64_t shares = params.segment_count * params.heads;
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  ForShares(shares, tokens * params.heads * params.head_dim * params.head_dim * 5,
            [&](Range share) { RunWkv7Shares(kernels_, params, share); });
}

SampleScratch CpuDevice::ScratchFor(int thread, int64_t vocabulary) {
  const int64_t length = ScratchLength(vocabulary);
  float* base = scratch_[static_cast<size_t>(thread)].as<float>();
  return {base, base + length, base + 2 * length, reinterpret_cast<int32_t*>(base + 3 * length)};
}

bool CpuDevice::ReserveScratch(int64_t vocabulary) {
  const auto bytes =
      static_cast<size_t>(ScratchLength(vocabulary) * kScratchArrays) * sizeof(float);
  return std::all_of(scratch_.begin(), scratch_.end(),
                     [&](Buffer& buffer) { return GrowHost(buffer, bytes); });
}

// A step has no way to say that there is no memory.
std::unique_ptr<StepProgram> CpuDevice::MakeProgram(const StepLimits& limits) {
  if (!ReserveScratch(limits.vocabulary)) return nullptr;
  return Device::MakeProgram(limits);
}

void CpuDevice::Sample(const SampleParams& params) {
  ReserveScratch(params.vocabulary);
  ScopedFloatMode float_mode;
  pool_.Run(static_cast<int>(params.row_count), [&](int row, int thread) {
    SampleOne(kernels_, params.vocabulary, ScratchFor(thread, params.vocabulary), params.rows[row]);
  });
}

void CpuDevice::SampleHead(const SampleHeadParams& params) {
  if (head_draws_.Begin(params)) {
    MultiplyHead(params);
    ScopedFloatMode float_mode;
    pool_.Run(head_draws_.followed(), [&](int draw, int /*thread*/) { head_draws_.Decide(draw); });
    MultiplyUndecided(params.product);
  } else {
    MatMul(params.product);
  }
  ReserveScratch(params.product.w->outputs);
  ScopedFloatMode float_mode;
  pool_.Run(static_cast<int>(params.draw_count), [&](int i, int thread) {
    const int64_t vocabulary = params.product.w->outputs;
    SampleRow& draw = params.draws[i];
    if (draw.token_id != kUndecided) return;
    SampleOne(kernels_, vocabulary, ScratchFor(thread, vocabulary), draw);
  });
}

// The product, a block of outputs at a time, with what draws take of it.
void CpuDevice::MultiplyHead(const SampleHeadParams& params) {
  const MatMulParams& product = params.product;
  const PackedMatrix& w = *product.w;
  const Range rows = {0, product.rows};
  if (RoundsRows(w)) RoundRows(product, rows);
  const int64_t ops = product.rows * w.outputs * w.inputs;
  ForThreadShares(PanelCount(w.outputs), ops, [&](Range share, int thread) {
    const int64_t step = head_draws_.block_panels();
    for (Range block = share; block.begin < share.end; block.begin = block.end) {
      block.end = std::min(block.begin + step, share.end);
      const ProductOutput to = head_draws_.BlockOf(thread, block, w.outputs);
      MultiplyBlock(product, rows, block, to);
      head_draws_.Take(params, thread, block);
    }
  });
}

// Rows that coincidences leave to a look at all logits: one now and then.
void CpuDevice::MultiplyUndecided(const MatMulParams& product) {
  for (int draw = 0; draw < head_draws_.followed(); ++draw) {
    const int64_t row = head_draws_.RowIfUndecided(draw);
    if (row < 0) continue;
    MatMulParams alone = product;
    alone.x += row * product.x_stride;
    alone.out += row * product.out_stride;
    alone.rows = 1;
    MatMul(alone);
  }
}

void CpuDevice::Logprobs(const LogprobParams& params) {
  ForShares(params.row_count, params.row_count * params.vocabulary * kExpOps, [&](Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      LogprobsOne(kernels_, params.vocabulary, params.rows[r]);
    }
  });
}

void CpuDevice::MemoryScan(const MemoryScanParams& params) {
  const int64_t tokens = TokensOf(params.segments, params.segment_count);
  const int64_t ops = tokens * params.state_size * params.state_size * 2;
  ForShares(params.segment_count * params.channels, ops,
            [&](Range share) { ScanMemories(params, share.begin, share.end); });
}

}  // namespace
}  // namespace cpu

std::unique_ptr<Device> MakeCpuDevice(const CpuOptions& options) {
  const int threads =
      options.threads > 0 ? options.threads : static_cast<int>(cpu::AllowedCpus().size());
  return std::make_unique<cpu::CpuDevice>(options.isa.value_or(SupportedIsas().back()), threads,
                                          options.pin_threads);
}

}  // namespace ssmd::kernels
