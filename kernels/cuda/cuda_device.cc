// A GPU as a Device: its memory as Buffers, ops as kernels on one stream.
//
// Copies to and from host memory that callers hold wait for the stream, but for Transfers; ops do
// not, but for those that give results to the host (Sample, Logprobs). Downloads that are Transfers
// have a stream of their own, beside the ops. Uploads go with the ops, which wait for them anyway:
// so none is kept up by a download.
#include "kernels/cuda/cuda_device.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/draws.h"
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/kernel_choice.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/mamba_layer.h"
#include "kernels/cuda/matrix_upload.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/product_fast.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/staging.h"
#include "kernels/cuda/step_program.h"
#include "kernels/device.h"

namespace ssmd::kernels {
namespace cuda {
namespace {

class StreamTransfer final : public Transfer {
 public:
  // `copied`: of any stream.
  StreamTransfer(Stream& ops, std::unique_ptr<Event> copied)
      : ops_(ops), copied_(std::move(copied)) {}

  bool Done() override { return copied_->Passed(); }
  void Wait() override { copied_->Wait(); }
  void HoldOps() override { ops_.WaitFor(*copied_); }

 private:
  Stream& ops_;
  const std::unique_ptr<Event> copied_;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(std::unique_ptr<Gpu> gpu, std::unique_ptr<Stream> stream,
             std::unique_ptr<Stream> downloads, bool plain)
      : gpu_(std::move(gpu)),
        stream_(std::move(stream)),
        downloads_(std::move(downloads)),
        choice_(gpu_->facts(), plain),
        upload_(*gpu_, *stream_),
        draws_(*gpu_, *stream_) {}
  ~CudaDevice() override {
    stream_->Synchronize();
    downloads_->Synchronize();
  }

  std::string name() const override;
  std::string profile(WeightFormat /*format*/) const override { return choice_.Profile(); }
  int threads() const override { return 1; }
  void AdoptThread() override { gpu_->Adopt(); }
  bool runs_ahead() const override { return true; }
  std::string failure() const override;

  Buffer Allocate(size_t bytes) override;
  Buffer AllocateStaging(size_t bytes) override;
  std::optional<size_t> free_bytes() const override { return gpu_->free_bytes(); }
  void Zero(std::byte* data, size_t bytes) override { stream_->Zero(data, bytes); }
  void Copy(std::byte* to, const std::byte* from, size_t bytes) override {
    stream_->CopyWithin(to, from, bytes);
  }
  void Download(std::byte* host, const std::byte* device, size_t bytes) override;
  void Upload(std::byte* device, const std::byte* host, size_t bytes) override;
  std::unique_ptr<Transfer> StartDownload(std::byte* host, const std::byte* device,
                                          size_t bytes) override;
  std::unique_ptr<Transfer> StartUpload(std::byte* device, const std::byte* host,
                                        size_t bytes) override;
  bool overlaps_downloads() const override { return true; }

  bool Keeps(WeightFormat /*format*/) const override { return true; }
  PackedMatrix Pack(const MatrixSource& source, WeightFormat format) override {
    return Noted(upload_.Pack(source, format));
  }
  std::string layout() const override { return "cuda 1"; }
  size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) const override {
    return PackedMatrixBytes(outputs, inputs, format);
  }
  PackedMatrix Restore(const PackedBytes& packed) override {
    return Noted(upload_.Restore(packed));
  }
  std::unique_ptr<StepProgram> MakeProgram(const StepLimits& limits) override;

  void Embed(const EmbedParams& params) override { plain::Embed(*stream_, params); }
  void RmsNorm(const RmsNormParams& params) override;
  void MatMul(const MatMulParams& params) override;
  void ConvSilu(const ConvSiluParams& params) override;
  void SelectiveScan(const SelectiveScanParams& params) override;
  void SsdScan(const SsdScanParams& params) override;
  void GatedRmsNorm(const GatedRmsNormParams& params) override;
  void Sample(const SampleParams& params) override;
  void SampleHead(const SampleHeadParams& params) override {
    MatMul(params.product);
    Sample({params.product.w->outputs, params.draws, params.draw_count});
  }
  void Logprobs(const LogprobParams& params) override;
  void MambaLayer(const MambaLayerParams& params) override;
  void Mamba2Layer(const Mamba2LayerParams& params) override;

 private:
  PackedMatrix Noted(PackedMatrix matrix);
  bool ReserveProduct(size_t bytes);
  bool ReserveProducts(std::initializer_list<const MatMulParams*> products);
  fast::ProductOptions product_options() const {
    return {fast::ProductUnit::kMma, arrivals_.as<uint32_t>()};
  }
  bool Have(bool memory, const char* what);

  const std::unique_ptr<Gpu> gpu_;
  const std::unique_ptr<Stream> stream_;
  const std::unique_ptr<Stream> downloads_;
  KernelChoice choice_;
  MatrixUpload upload_;
  Draws draws_;
  std::vector<PackedMatrix> shapes_;  // of matrices packed so far, without data
  Buffer product_scratch_;
  Buffer arrivals_;  // of products (product_fast.h)
  // What an op found no memory for, that MakeProgram had not been asked to make room for. A
  // literal.
  std::atomic<const char*> no_memory_ = nullptr;
};

std::string CudaDevice::name() const {
  const GpuFacts& facts = gpu_->facts();
  return "cuda/" + facts.name + " (" + std::to_string(facts.major) + "." +
         std::to_string(facts.minor) + ")";
}

std::string CudaDevice::failure() const {
  std::string failure = gpu_->failure();
  const char* no_memory = no_memory_.load();
  if (failure.empty() && no_memory != nullptr) {
    failure = std::string("no GPU memory for ") + no_memory;
  }
  return failure;
}

bool CudaDevice::Have(bool memory, const char* what) {
  if (!memory) no_memory_.store(what);
  return memory;
}

Buffer CudaDevice::Allocate(size_t bytes) {
  Buffer buffer = AllocateOn(*gpu_, bytes);
  if (buffer) stream_->Zero(buffer.data(), bytes);
  return buffer;
}

Buffer CudaDevice::AllocateStaging(size_t bytes) {
  Buffer buffer = AllocatePinned(*gpu_, bytes);
  if (buffer) std::fill(buffer.data(), buffer.data() + bytes, std::byte{0});
  return buffer;
}

void CudaDevice::Download(std::byte* host, const std::byte* device, size_t bytes) {
  stream_->CopyOut(host, device, bytes);
  stream_->Synchronize();
}

void CudaDevice::Upload(std::byte* device, const std::byte* host, size_t bytes) {
  stream_->CopyIn(device, host, bytes);
  stream_->Synchronize();
}

std::unique_ptr<Transfer> CudaDevice::StartDownload(std::byte* host, const std::byte* device,
                                                    size_t bytes) {
  downloads_->WaitFor(*stream_->Record());
  downloads_->CopyOut(host, device, bytes);
  return std::make_unique<StreamTransfer>(*stream_, downloads_->Record());
}

std::unique_ptr<Transfer> CudaDevice::StartUpload(std::byte* device, const std::byte* host,
                                                  size_t bytes) {
  stream_->CopyIn(device, host, bytes);
  return std::make_unique<StreamTransfer>(*stream_, stream_->Record());
}

PackedMatrix CudaDevice::Noted(PackedMatrix matrix) {
  const auto same = [&](const PackedMatrix& known) {
    return known.outputs == matrix.outputs && known.inputs == matrix.inputs &&
           known.format == matrix.format;
  };
  if (matrix.data && std::none_of(shapes_.begin(), shapes_.end(), same)) {
    PackedMatrix& shape = shapes_.emplace_back();
    shape.outputs = matrix.outputs;
    shape.inputs = matrix.inputs;
    shape.format = matrix.format;
  }
  return matrix;
}

size_t ProductScratch(int64_t rows, const PackedMatrix& w) {
  return std::max(plain::RoundedRowBytes(rows, w.inputs), fast::ProductScratchBytes(rows, w));
}

bool CudaDevice::ReserveProduct(size_t bytes) {
  if (!arrivals_) arrivals_ = Allocate(fast::kProductArrivals * sizeof(uint32_t));
  if (!arrivals_) return false;
  if (product_scratch_.bytes() >= bytes) return true;
  product_scratch_ = Buffer();
  product_scratch_ = AllocateOn(*gpu_, bytes);
  return static_cast<bool>(product_scratch_);
}

bool CudaDevice::ReserveProducts(std::initializer_list<const MatMulParams*> products) {
  size_t scratch = 0;
  for (const MatMulParams* p : products)
    scratch = std::max(scratch, ProductScratch(p->rows, *p->w));
  return Have(ReserveProduct(scratch), "a layer's products");
}

std::unique_ptr<StepProgram> CudaDevice::MakeProgram(const StepLimits& limits) {
  const int64_t rows = std::max(limits.rows, limits.logit_rows);
  size_t scratch = 0;
  for (const PackedMatrix& w : shapes_) scratch = std::max(scratch, ProductScratch(rows, w));
  if (!ReserveProduct(scratch) || !draws_.Reserve(limits.vocabulary)) return nullptr;
  return GraphProgram::Make(*gpu_, *stream_, limits.rows);
}

void CudaDevice::RmsNorm(const RmsNormParams& params) {
  (choice_.has(FastKernel::kNorm) ? fast::RmsNorm : plain::RmsNorm)(*stream_, params);
}

void CudaDevice::MatMul(const MatMulParams& params) {
  if (!Have(ReserveProduct(ProductScratch(params.rows, *params.w)), "a product")) return;
  if (choice_.has(FastKernel::kProduct)) {
    fast::MatMulWith(product_options(), *stream_, params, product_scratch_.data());
  } else {
    plain::MatMul(*stream_, params, product_scratch_.data());
  }
}

void CudaDevice::ConvSilu(const ConvSiluParams& params) {
  const bool fast = choice_.has(FastKernel::kConv) && params.rows == params.segment_count;
  (fast ? fast::ConvStep : plain::ConvSilu)(*stream_, params);
}

void CudaDevice::SelectiveScan(const SelectiveScanParams& params) {
  if (!choice_.has(FastKernel::kScan)) {
    plain::SelectiveScan(*stream_, params);
  } else if (params.rows == params.segment_count) {
    fast::ScanStep(*stream_, params);
  } else {
    fast::ScanPrompt(*stream_, params);
  }
}

void CudaDevice::SsdScan(const SsdScanParams& params) {
  const bool decodes = params.rows == params.segment_count;  // then no chunk is whole
  if (!choice_.has(FastKernel::kSsd)) {
    plain::SsdScan(*stream_, params);
  } else if (params.chunk_scratch != nullptr && !decodes) {
    fast::SsdPrompt(*stream_, params);
  } else {
    fast::SsdStep(*stream_, params);
  }
}

void CudaDevice::GatedRmsNorm(const GatedRmsNormParams& params) {
  const bool fast = choice_.has(FastKernel::kNorm);
  (fast ? fast::GatedRmsNorm : plain::GatedRmsNorm)(*stream_, params);
}

void CudaDevice::Sample(const SampleParams& params) {
  if (Have(draws_.Reserve(params.vocabulary), "draws")) draws_.Sample(params);
}

void CudaDevice::Logprobs(const LogprobParams& params) {
  if (Have(draws_.Reserve(params.vocabulary), "log-probabilities")) draws_.Logprobs(params);
}

void CudaDevice::MambaLayer(const MambaLayerParams& params) {
  if (!choice_.fuses()) return Device::MambaLayer(params);
  if (!ReserveProducts({&params.in_proj, &params.x_proj, &params.dt_proj, &params.out_proj}))
    return;
  RunMambaLayer({*stream_, choice_, product_options(), product_scratch_.data(), *this}, params);
}

void CudaDevice::Mamba2Layer(const Mamba2LayerParams& params) {
  if (!choice_.fuses()) return Device::Mamba2Layer(params);
  if (!ReserveProducts({&params.in_proj, &params.out_proj})) return;
  RunMamba2Layer({*stream_, choice_, product_options(), product_scratch_.data(), *this}, params);
}

}  // namespace

std::unique_ptr<Device> MakeDeviceOf(std::unique_ptr<Gpu> gpu, std::unique_ptr<Stream> stream,
                                     const CudaOptions& options) {
  std::unique_ptr<Stream> downloads = gpu->MakeStream();
  if (downloads == nullptr) return nullptr;
  return std::make_unique<CudaDevice>(std::move(gpu), std::move(stream), std::move(downloads),
                                      options.plain);
}

}  // namespace cuda

std::unique_ptr<Device> MakeCudaDevice(const CudaOptions& options, std::string* error) {
  std::string reason;
  const int count = cuda::CountGpus(&reason);
  if (options.ordinal >= count) {
    *error = count == 0 ? "no GPU can be used here"
                        : "there is no such GPU, only " + std::to_string(count) + ", from 0 on";
    if (!reason.empty()) *error += ": " + reason;
    return nullptr;
  }
  std::unique_ptr<cuda::Gpu> gpu = cuda::OpenGpu(options.ordinal, error);
  if (gpu == nullptr) return nullptr;
  std::unique_ptr<cuda::Stream> stream = gpu->MakeStream();
  if (stream == nullptr) {
    *error = gpu->failure();
    return nullptr;
  }
  std::unique_ptr<Device> device = cuda::MakeDeviceOf(std::move(gpu), std::move(stream), options);
  if (device == nullptr) *error = "the GPU gave no second stream";
  return device;
}

}  // namespace ssmd::kernels
