// Embed: a thread an element. The rows of a table lie in pieces (layout.h), which a step reads few
// of.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/weight_values.h"

namespace ssmd::kernels::cuda::plain {
namespace {

template <WeightFormat kFormat>
struct EmbedRows {
  static constexpr char kName[] = "embed";
  static constexpr int kThreads = 256;
  struct Args {
    WeightView table;
    const int32_t* token_ids;
    int64_t pieces;  // blocks of a row
    float* out;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t row = block.x() / args.pieces;
    const int64_t k = block.x() % args.pieces * kThreads + block.thread();
    if (k >= args.table.inputs) return;
    args.out[row * args.table.inputs + k] = WeightAt<kFormat>(args.table, args.token_ids[row], k);
  }
};

template <WeightFormat kFormat>
void LaunchEmbed(Stream& stream, const EmbedParams& params) {
  using Kernel = EmbedRows<kFormat>;
  const int64_t pieces = (params.table->inputs + Kernel::kThreads - 1) / Kernel::kThreads;
  Launch<Kernel>(stream, {params.rows * pieces}, Kernel::kThreads,
                 {ViewOf(*params.table), params.token_ids, pieces, params.out});
}

}  // namespace

void Embed(Stream& stream, const EmbedParams& params) {
  if (params.rows == 0) return;
  switch (params.table->format) {
    case WeightFormat::kF32:
      return LaunchEmbed<WeightFormat::kF32>(stream, params);
    case WeightFormat::kBf16:
      return LaunchEmbed<WeightFormat::kBf16>(stream, params);
    case WeightFormat::kF16:
      return LaunchEmbed<WeightFormat::kF16>(stream, params);
    case WeightFormat::kFp8:
      return LaunchEmbed<WeightFormat::kFp8>(stream, params);
    case WeightFormat::kQ8:
      return LaunchEmbed<WeightFormat::kQ8>(stream, params);
    case WeightFormat::kQ4:
      return LaunchEmbed<WeightFormat::kQ4>(stream, params);
  }
}

}  // namespace ssmd::kernels::cuda::plain
