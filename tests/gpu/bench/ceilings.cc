#include "tests/gpu/bench/ceilings.h"

#include <memory>

#include "kernels/cuda/staging.h"
#include "tests/gpu/bench/matrix_peak.h"
#include "tests/gpu/bench/probe_kernels.h"
#include "tests/gpu/bench/text.h"

namespace ssmd::gpu_bench {
namespace {

using kernels::Buffer;
using kernels::cuda::AllocateOn;
using kernels::cuda::Gpu;
using kernels::cuda::GpuFacts;
using kernels::cuda::Graph;
using kernels::cuda::Stream;
namespace probe = kernels::cuda::probe;

// More than a step of a large model has.
constexpr int kChainOfLaunches = 512;
// Transfers of that size are at the link's full rate.
constexpr size_t kTransferBytesMax = size_t{256} << 20;

std::string Describe(const GpuFacts& facts) {
  return Format("%s (%d.%d), %d multiprocessors, %.1f GiB, driver %d.%d, runtime %d.%d",
                facts.name.c_str(), facts.major, facts.minor, facts.multiprocessors,
                static_cast<double>(facts.memory_bytes) * 0x1p-30, facts.driver_version / 1000,
                facts.driver_version % 1000 / 10, facts.runtime_version / 1000,
                facts.runtime_version % 1000 / 10);
}

Spread Scaled(double factor, const Spread& spread) {
  return {factor * spread.median, factor * spread.lowest, factor * spread.highest, spread.runs};
}

class CeilingProbe {
 public:
  CeilingProbe(Gpu& gpu, Stream& stream, const CeilingOptions& options)
      : gpu_(gpu), stream_(stream), options_(options), timer_(stream, options.timer) {}

  bool Allocate() {
    const size_t bytes = options_.megabytes << 20;
    from_ = AllocateOn(gpu_, bytes);
    to_ = AllocateOn(gpu_, bytes);
    sink_ = AllocateOn(gpu_, sizeof(uint32_t));
    transfer_bytes_ = bytes < kTransferBytesMax ? bytes : kTransferBytesMax;
    pinned_ = kernels::cuda::AllocatePinned(gpu_, transfer_bytes_);
    if (!from_ || !to_ || !sink_ || !pinned_) return false;
    stream_.Zero(from_.data(), bytes);
    stream_.Zero(to_.data(), bytes);
    stream_.Synchronize();
    return true;
  }

  void MeasureMemory(Ceilings* ceilings) {
    const size_t bytes = from_.bytes();
    const double gigabytes = static_cast<double>(bytes) * 1e-6;  // by milliseconds
    ceilings->copy_gb_s = Rate(
        2 * gigabytes, timer_.OnGpu([&] { stream_.CopyWithin(to_.data(), from_.data(), bytes); }));
    const size_t whole_tiles = bytes / probe::kReadBytes * probe::kReadBytes;
    const double read = static_cast<double>(whole_tiles) * 1e-6;
    ceilings->read_gb_s = Rate(read, timer_.OnGpu([&] {
      probe::Read(stream_, from_.data(), bytes, gpu_.facts().multiprocessors, sink_.as<uint32_t>());
    }));
    const double link = static_cast<double>(transfer_bytes_) * 1e-6;
    ceilings->to_gpu_gb_s = Rate(
        link, timer_.OnGpu([&] { stream_.CopyIn(to_.data(), pinned_.data(), transfer_bytes_); }));
    ceilings->from_gpu_gb_s =
        Rate(link,
             timer_.OnGpu([&] { stream_.CopyOut(pinned_.data(), from_.data(), transfer_bytes_); }));
  }

  void MeasureLaunches(Ceilings* ceilings) {
    const auto chain = [this] {
      for (int i = 0; i < kChainOfLaunches; ++i) probe::Empty(stream_);
    };
    const double each_us = 1e3 / kChainOfLaunches;
    ceilings->launch_us = Scaled(each_us, timer_.OnGpu(chain));
    if (!stream_.BeginRecording()) return;
    chain();
    const std::unique_ptr<Graph> graph = stream_.EndRecording();
    if (graph == nullptr) return;
    ceilings->boundary_us = Scaled(each_us, timer_.OnGpu([&] { stream_.Replay(*graph); }));
    stream_.Synchronize();
  }

 private:
  Gpu& gpu_;
  Stream& stream_;
  const CeilingOptions options_;
  const Timer timer_;
  Buffer from_, to_, sink_, pinned_;
  size_t transfer_bytes_ = 0;
};

}  // namespace

bool MeasureCeilings(Gpu& gpu, Stream& stream, const CeilingOptions& options, Ceilings* ceilings,
                     std::string* error) {
  ceilings->gpu = Describe(gpu.facts());
  {
    CeilingProbe probe(gpu, stream, options);
    if (!probe.Allocate()) {
      *error = Format("no memory for two buffers of %zu MiB on the GPU: give a smaller --megabytes",
                      options.megabytes);
      return false;
    }
    probe.MeasureMemory(ceilings);
    probe.MeasureLaunches(ceilings);
  }
  if (options.matrix_tflop_s > 0) {
    ceilings->matrix_tflop_s = SpreadOf({options.matrix_tflop_s});
    ceilings->no_matrix = "as given, not measured";
  } else {
    ceilings->matrix_tflop_s =
        MeasureMatrixPeak(gpu, stream, Timer(stream, options.timer), &ceilings->no_matrix);
  }
  *error = gpu.failure();
  return error->empty();
}

}  // namespace ssmd::gpu_bench
