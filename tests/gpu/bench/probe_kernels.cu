#include "kernels/cuda/simt.h"
#include "tests/gpu/bench/probe_kernels.h"

namespace ssmd::kernels::cuda::probe {
namespace {

struct EmptyKernel {
  static constexpr char kName[] = "probe_empty";
  static constexpr int kThreads = 32;
  struct Args {
    int32_t nothing;
  };

  SIMT_DEVICE static void Run(const Block& /*block*/, const Args& /*args*/) {}
};

// Blocks take tiles in turn; a thread has eight loads of 16 bytes under way.
constexpr int kReadThreads = 256;
constexpr int kReadLoads = 8;
constexpr int64_t kTileVectors = int64_t{kReadThreads} * kReadLoads;
static_assert(kTileVectors * sizeof(Words4) == kReadBytes);

struct ReadKernel {
  static constexpr char kName[] = "probe_read";
  static constexpr int kThreads = kReadThreads;
  struct Args {
    const Words4* from;
    int64_t tiles;
    uint32_t* sink;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    uint32_t digest = 0;
    for (int64_t tile = block.x(); tile < args.tiles; tile += block.grid_x()) {
      const Words4* from = args.from + tile * kTileVectors + block.thread();
      Words4 loaded[kReadLoads];
      SIMT_UNROLL for (int i = 0; i < kReadLoads; ++i) {
        loaded[i] = LoadStreaming(from + i * kReadThreads);
      }
      SIMT_UNROLL for (int i = 0; i < kReadLoads; ++i) {
        digest ^= loaded[i].x ^ loaded[i].y ^ loaded[i].z ^ loaded[i].w;
      }
    }
    // Nobody wants it, but the compiler must not know.
    if (digest == 0x5EED5EEDu) AtomicMax(args.sink, digest);
  }
};

constexpr int kBlocksOfMultiprocessor = 8;

}  // namespace

void Empty(Stream& stream) { Launch<EmptyKernel>(stream, {1}, EmptyKernel::kThreads, {0}); }

void Read(Stream& stream, const std::byte* from, size_t bytes, int multiprocessors,
          uint32_t* sink) {
  const auto tiles = static_cast<int64_t>(bytes / kReadBytes);
  const int64_t most = int64_t{kBlocksOfMultiprocessor} * multiprocessors;
  Launch<ReadKernel>(stream, {tiles < most ? tiles : most}, kReadThreads,
                     {reinterpret_cast<const Words4*>(from), tiles, sink});
}

}  // namespace ssmd::kernels::cuda::probe
