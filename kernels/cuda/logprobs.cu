// Log-probabilities (LogprobRow in ops.h defines them), with cpu/'s bits: a block a row.
//
// The sum of exponentials has cpu/'s order, sixteen lanes of ascending tokens, each of which waits
// for its own additions: vocabulary / 16 of them, some 20 µs for 50,280 tokens. All other warps of
// the block work out exponentials meanwhile; rows take that time side by side.
#include <cstdint>

#include "kernels/cuda/draw_math.h"
#include "kernels/cuda/draw_select.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/random.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr int kSumLanes = 16;
constexpr int kSumTile = 2048;

// Two tiles: one is filled while the other is added up.
struct SumShared {
  float exponentials[2][kSumTile];
  double log_sum;
};

struct TopShared {
  uint64_t places[kMaxTopLogprobs];
  uint32_t count;
};

// By all warps but the first one.
SIMT_DEVICE void FillTile(const Block& block, const float* logits, TokenRange tokens, float largest,
                          float* tile) {
  const int first = block.thread() - kWarpThreads;
  for (int i = first; i < kSumTile; i += block.threads() - kWarpThreads) {
    const int32_t id = tokens.begin + i;
    tile[i] = id < tokens.end ? Exp(logits[id] - largest) : 0;  // which adds nothing
  }
}

SIMT_DEVICE double AddTile(const float* tile, int lane, double sum) {
  for (int i = lane; i < kSumTile; i += kSumLanes) sum += static_cast<double>(tile[i]);
  return sum;
}

// log Σ e^logit. REQUIRES: more than one warp.
SIMT_DEVICE double LogSum(const Block& block, SumShared& shared, const float* logits,
                          int32_t vocabulary, float largest) {
  const int32_t tiles = (vocabulary + kSumTile - 1) / kSumTile;
  double sum = 0;
  for (int32_t tile = 0; tile <= tiles; ++tile) {
    if (block.warp() == 0 && tile > 0) {
      sum = AddTile(shared.exponentials[(tile - 1) % 2], block.lane() % kSumLanes, sum);
    }
    if (block.warp() > 0 && tile < tiles) {
      FillTile(block, logits, {tile * kSumTile, vocabulary}, largest,
               shared.exponentials[tile % 2]);
    }
    block.Sync();
  }
  // The first warp's halves have the same lanes.
  for (int step = kSumLanes / 2; step > 0; step /= 2) sum += block.ShuffleXor(sum, step);
  if (block.thread() == 0) shared.log_sum = static_cast<double>(largest) + Log(sum);
  block.Sync();
  return shared.log_sum;
}

// Widened, a denormal being zero of its sign.
SIMT_DEVICE double Widened(float x) {
  const bool denormal = (BitsOf(x) & 0x7F800000) == 0;
  return static_cast<double>(denormal ? FloatOf(BitsOf(x) & 0x80000000) : x);
}
SIMT_DEVICE float Logprob(float logit, double log_sum) {
  return static_cast<float>(Widened(logit) - log_sum);
}

// The places of the row's largest logits, in any order.
SIMT_DEVICE void CollectTop(const Block& block, TopShared& top, const float* logits,
                            TokenRange tokens, const Cut& cut) {
  if (block.thread() == 0) top.count = 0;
  block.Sync();
  ForTokens(block, tokens, logits, [&](int32_t id, float logit) {
    if (!Keeps(cut, ~OrderedKey(logit), id)) return;
    top.places[AtomicAdd(&top.count, uint32_t{1})] = PlaceOf(logit, id);
  });
  block.Sync();
}

// Writes them in descending order: a place's rank is the number of larger ones.
SIMT_DEVICE void WriteTop(const Block& block, const TopShared& top, const LogprobRow& row,
                          double log_sum) {
  for (int i = block.thread(); i < row.top_count; i += block.threads()) {
    const uint64_t place = top.places[i];
    int rank = 0;
    for (int other = 0; other < row.top_count; ++other) rank += top.places[other] > place ? 1 : 0;
    const int32_t id = TokenOf(place);
    row.top[rank] = {id, Logprob(row.logits[id], log_sum)};
  }
}

SIMT_DEVICE void WriteNotFinite(const Block& block, LogprobRow& row) {
  const float nan = FloatOf(0x7FC00000);
  for (int32_t i = block.thread(); i < row.top_count; i += block.threads()) row.top[i] = {i, nan};
  if (block.thread() == 0) row.logprob = nan;
}

struct LogprobsOfRow {
  static constexpr char kName[] = "logprobs";
  static constexpr int kThreads = 512;
  struct Args {
    int32_t vocabulary;
    LogprobRow* rows;
  };
  struct Shared {
    union {
      BlockMaxShared largest;
      SumShared sum;
      SelectShared select;
    };
    TopShared top;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    LogprobRow& row = args.rows[block.x()];
    auto& shared = block.shared<Shared>();
    const TokenRange tokens = {0, args.vocabulary};
    const uint64_t largest =
        BlockMax(block, shared.largest, LargestPlace(block, tokens, row.logits));
    if (largest == kDefectPlace) {
      WriteNotFinite(block, row);
      return;
    }
    const double log_sum = LogSum(block, shared.sum, row.logits, args.vocabulary, LogitOf(largest));
    if (block.thread() == 0) row.logprob = Logprob(row.logits[row.token_id], log_sum);
    if (row.top_count == 0) return;

    block.Sync();
    const Cut cut = SelectFirst(
        block, shared.select, tokens, row.logits, Cut(),
        [](float logit) { return ~OrderedKey(logit); }, [](uint32_t) { return uint64_t{1}; },
        [&](uint64_t) { return static_cast<uint64_t>(row.top_count); });
    CollectTop(block, shared.top, row.logits, tokens, cut);
    WriteTop(block, shared.top, row, log_sum);
  }
};

}  // namespace

namespace plain {

void Logprobs(Stream& stream, int64_t vocabulary, LogprobRow* rows, int64_t row_count) {
  if (row_count == 0) return;
  Launch<LogprobsOfRow>(stream, {row_count}, LogprobsOfRow::kThreads,
                        {static_cast<int32_t>(vocabulary), rows});
}

}  // namespace plain
}  // namespace ssmd::kernels::cuda
