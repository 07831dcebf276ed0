// Complex modes that go on by themselves, plain: a thread a mode of a segment.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct ComplexScanKernel {
  static constexpr char kName[] = "complex_scan";
  static constexpr int kThreads = 64;
  using Args = ComplexScanParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    const int64_t mode = block.x() * kThreads + block.thread();
    if (segment.dst_slot < 0 || mode >= args.modes) return;
    const int64_t imaginary = args.modes + mode;
    const float decay_re = args.decay[mode];
    const float decay_im = args.decay[imaginary];
    const float* from = FloatsAt(args.state, segment.src_slot);
    float re = from[mode];
    float im = from[imaginary];
    float* x = args.x + segment.first_row * args.x_stride;
    for (int32_t t = 0; t < segment.length; ++t, x += args.x_stride) {
      const float old = re;
      re = Fma(-decay_im, im, Fma(decay_re, old, x[mode]));
      im = Fma(decay_im, old, Fma(decay_re, im, x[imaginary]));
      x[mode] = re;
      x[imaginary] = im;
    }
    float* to = FloatsAt(args.state, segment.dst_slot);
    to[mode] = re;
    to[imaginary] = im;
  }
};

}  // namespace

void ComplexScan(Stream& stream, const ComplexScanParams& params) {
  if (params.segment_count == 0) return;
  constexpr int kThreads = ComplexScanKernel::kThreads;
  const Grid grid = {(params.modes + kThreads - 1) / kThreads, params.segment_count};
  Launch<ComplexScanKernel>(stream, grid, kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
