#include "tests/gpu/bench/gpu_probe.h"

#include <utility>

#include "kernels/cuda/staging.h"
#include "tests/gpu/bench/probe_kernels.h"

namespace ssmd::gpu_bench {
namespace {

using kernels::Buffer;
using kernels::cuda::AllocateOn;
using kernels::cuda::Gpu;
using kernels::cuda::Stream;

class OpenedGpuProbe final : public GpuProbe {
 public:
  OpenedGpuProbe(std::unique_ptr<Gpu> gpu, std::unique_ptr<Stream> stream)
      : gpu_(std::move(gpu)), stream_(std::move(stream)) {}

  bool Allocate(size_t bytes) {
    memory_ = AllocateOn(*gpu_, bytes);
    sink_ = AllocateOn(*gpu_, sizeof(uint32_t));
    if (!memory_ || !sink_) return false;
    stream_->Zero(memory_.data(), bytes);
    stream_->Synchronize();
    return true;
  }

  bool Measure(const CeilingOptions& options, Ceilings* ceilings, std::string* error) override {
    return MeasureCeilings(*gpu_, *stream_, options, ceilings, error);
  }

  double ReadGbPerSecond(double milliseconds) override {
    const size_t bytes =
        memory_.bytes() / kernels::cuda::probe::kReadBytes * kernels::cuda::probe::kReadBytes;
    const Timer timer(*stream_, {1, milliseconds, milliseconds});
    const Spread rate = Rate(static_cast<double>(bytes) * 1e-6, timer.OnGpu([&] {
      kernels::cuda::probe::Read(*stream_, memory_.data(), bytes, gpu_->facts().multiprocessors,
                                 sink_.as<uint32_t>());
    }));
    return rate.median;
  }

 private:
  const std::unique_ptr<Gpu> gpu_;
  const std::unique_ptr<Stream> stream_;
  Buffer memory_, sink_;
};

}  // namespace

std::unique_ptr<GpuProbe> OpenGpuProbe(int ordinal, size_t megabytes, std::string* error) {
  std::unique_ptr<Gpu> gpu = kernels::cuda::OpenGpu(ordinal, error);
  if (gpu == nullptr) return nullptr;
  std::unique_ptr<Stream> stream = gpu->MakeStream();
  if (stream == nullptr) {
    *error = gpu->failure();
    return nullptr;
  }
  auto probe = std::make_unique<OpenedGpuProbe>(std::move(gpu), std::move(stream));
  if (probe->Allocate(megabytes << 20)) return probe;
  *error = "no memory on the GPU for a buffer of " + std::to_string(megabytes) +
           " MiB: give a smaller --megabytes";
  return nullptr;
}

}  // namespace ssmd::gpu_bench
