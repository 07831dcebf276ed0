// Copies to and from host memory that callers hold wait for the stream, but for Transfers; ops do
// not, but for those that give results to the host (Sample, Logprobs). Downloads that are Transfers
// have a stream of their own, beside the ops. Uploads go with the ops, which wait for them anyway:
// so none is kept up by a download.
#include "kernels/cuda/cuda_device.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/cuda/draws.h"
#include "kernels/cuda/gemm_products.h"
#include "kernels/cuda/kernel_choice.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/mamba_layer.h"
#include "kernels/cuda/matrix_upload.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/selfcheck/agreed_checks.h"
#include "kernels/cuda/selfcheck/build_id.h"
#include "kernels/cuda/selfcheck/check_layers.h"
#include "kernels/cuda/selfcheck/check_lock.h"
#include "kernels/cuda/selfcheck/rehearsal.h"
#include "kernels/cuda/selfcheck/trials.h"
#include "kernels/cuda/staging.h"
#include "kernels/cuda/step_program.h"
#include "kernels/device.h"

namespace ssmd::kernels {
namespace cuda {
namespace {

// Steps of a model that are looked at: operands lie elsewhere when there are more rows, and which
// ops go together depends on them.
struct RehearsedStep {
  int64_t rows;
  bool prompt;
};
constexpr RehearsedStep kRehearsedSteps[] = {{1, false}, {4, false}, {12, false}, {12, true}};
constexpr int64_t kRehearsedRows = 12;  // at most
// For another process to compare its kernels; after that they are compared without being noted.
constexpr std::chrono::seconds kLockPatience(60);
constexpr char kLayers[] = "layer";   // ops that go together, among fast_kernels()
constexpr char kGemm[] = "cublaslt";  // likewise: products by a library

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
             std::unique_ptr<Stream> downloads, std::unique_ptr<GemmProducts> gemm, bool wgmma,
             const CudaOptions& options, const KernelTable& fast)
      : gpu_(std::move(gpu)),
        stream_(std::move(stream)),
        downloads_(std::move(downloads)),
        check_folder_(options.check_folder),
        fast_(fast),
        choice_(gpu_->facts(), wgmma, options.plain),
        kernels_(ChosenKernels(choice_, fast_, plain_)),
        upload_(*gpu_, *stream_),
        draws_(*gpu_, *stream_),
        gemm_(std::move(gemm)) {
    for (const FastKernel kernel : kFastKernels) {
      if (choice_.has(kernel)) states_.push_back({std::string(NameOf(kernel)), ""});
    }
    if (choice_.fuses() && !states_.empty()) states_.push_back({kLayers, ""});
    if (gemm_ != nullptr) states_.push_back({kGemm, ""});
  }
  ~CudaDevice() override {
    stream_->Synchronize();
    downloads_->Synchronize();
  }

  std::string name() const override;
  std::string profile(WeightFormat format) const override;
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
  bool Rehearse(const StepLimits& limits, const StepProgram::Ops& ops) override;
  std::vector<FastKernelState> fast_kernels() const override;

  void Embed(const EmbedParams& params) override;
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
  void ModalScan(const ModalScanParams& params) override { RunPlain(plain::ModalScan, params); }
  void ComplexScan(const ComplexScanParams& params) override {
    RunPlain(plain::ComplexScan, params);
  }
  void DifferenceScan(const DifferenceScanParams& params) override {
    RunPlain(plain::DifferenceScan, params);
  }
  void DenseScan(const DenseScanParams& params) override { RunPlain(plain::DenseScan, params); }
  void LegsScan(const LegsScanParams& params) override { RunPlain(plain::LegsScan, params); }
  void GroupNorm(const GroupNormParams& params) override { RunPlain(plain::GroupNorm, params); }
  void Pointwise(const PointwiseParams& params) override { RunPlain(plain::Pointwise, params); }
  void TokenShift(const TokenShiftParams& params) override { RunPlain(plain::TokenShift, params); }
  void Rotate(const RotateParams& params) override { RunPlain(plain::Rotate, params); }
  void Wkv4(const Wkv4Params& params) override { RunPlain(plain::Wkv4, params); }
  void Wkv6(const Wkv6Params& params) override { RunPlain(plain::Wkv6, params); }
  void Wkv7(const Wkv7Params& params) override { RunPlain(plain::Wkv7, params); }
  void MemoryScan(const MemoryScanParams& params) override { RunPlain(plain::MemoryScan, params); }
  void MambaLayer(const MambaLayerParams& params) override;
  void Mamba2Layer(const Mamba2LayerParams& params) override;

 private:
  PackedMatrix Noted(PackedMatrix matrix);
  bool ReserveProduct(size_t bytes);
  bool ReserveProducts(std::initializer_list<const MatMulParams*> products);
  fast::ProductOptions product_options() const {
    const bool wgmma = choice_.has(FastKernel::kWgmma);
    return {wgmma ? fast::ProductUnit::kWgmma : fast::ProductUnit::kMma, arrivals_.as<uint32_t>()};
  }
  bool Have(bool memory, const char* what);
  void RunTogether(const MambaLayerParams& params);
  void RunTogether(const Mamba2LayerParams& params);
  void RunApart(const MambaLayerParams& params) { Device::MambaLayer(params); }
  void RunApart(const Mamba2LayerParams& params) { Device::Mamba2Layer(params); }
  template <typename Params>
  void RunLayer(const Params& params);
  bool CompareGemm(CheckSpace& space, const Rehearsal& rehearsal, int64_t rows,
                   const Rehearsal::Memory& memory, std::vector<Disagreement>* found);
  template <typename Params>
  bool CompareLayers(CheckSpace& space, const std::map<std::string, Params>& layers,
                     const Rehearsal::Memory& memory, std::vector<Disagreement>* found);
  std::string ChecksHoldFor() const;
  // `trials`: the file that says what did not come to an end.
  void SwitchedOff(const Disagreement& disagreement, const std::string& trials);
  // An op without a fast twin: there is nothing to compare.
  template <typename Params>
  void RunPlain(void (*op)(Stream&, const Params&), const Params& params) {
    if (rehearsal_ == nullptr) op(*stream_, params);
  }
  // Whether ops are only looked at; then it has noted this one.
  template <typename Params>
  bool OnlyNoted(const Params& params) {
    if (rehearsal_ == nullptr) return false;
    rehearsal_->Note(params);
    return true;
  }

  const std::unique_ptr<Gpu> gpu_;
  const std::unique_ptr<Stream> stream_;
  const std::unique_ptr<Stream> downloads_;
  const std::string check_folder_;
  const KernelTable fast_;
  const KernelTable plain_ = PlainKernels();
  KernelChoice choice_;
  KernelTable kernels_;  // those of choice_
  std::vector<FastKernelState> states_;
  Rehearsal* rehearsal_ = nullptr;  // while ops are only looked at
  MatrixUpload upload_;
  Draws draws_;
  std::vector<PackedMatrix> shapes_;  // of matrices packed so far, without data
  Buffer product_scratch_;
  std::vector<Buffer> outgrown_;  // scratch that steps recorded before it was too small still use
  Buffer arrivals_;               // of products (product_fast.h)
  std::unique_ptr<GemmProducts> gemm_;  // null: not asked for, or wrong here
  bool by_gemm_ = false;                // in the layer at hand
  // What an op found no memory for, that MakeProgram had not been asked to make room for. A
  // literal.
  std::atomic<const char*> no_memory_ = nullptr;
};

std::string CudaDevice::name() const {
  const GpuFacts& facts = gpu_->facts();
  return "cuda/" + facts.name + " (" + std::to_string(facts.major) + "." +
         std::to_string(facts.minor) + ")";
}

std::string CudaDevice::profile(WeightFormat format) const {
  const bool gemm = gemm_ != nullptr && GemmProducts::TakesWeights(format);
  return choice_.Profile() + (gemm ? "+cublaslt" : "");
}

std::string CudaDevice::failure() const {
  std::string failure = gpu_->failure();
  const char* no_memory = no_memory_.load();
  if (failure.empty() && no_memory != nullptr) {
    failure = std::string("no GPU memory for ") + no_memory;
  }
  return failure;
}

std::vector<FastKernelState> CudaDevice::fast_kernels() const {
  std::vector<FastKernelState> states = states_;
  const std::string refusal = gemm_ == nullptr ? "" : gemm_->refusal();
  // The last of them.
  if (!refusal.empty()) states.back().off_because = refusal + "; our own products are used";
  return states;
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

bool CudaDevice::ReserveProduct(size_t bytes) {
  if (!arrivals_) arrivals_ = Allocate(fast::kProductArrivals * sizeof(uint32_t));
  if (!arrivals_) return false;
  if (product_scratch_.bytes() >= bytes) return true;
  Buffer larger = AllocateOn(*gpu_, bytes);
  if (!larger) return false;
  std::swap(product_scratch_, larger);
  if (larger) outgrown_.push_back(std::move(larger));
  return true;
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

// Addresses of what ops write and read are looked at, but nothing is there.
bool CudaDevice::Rehearse(const StepLimits& limits, const StepProgram::Ops& ops) {
  const Twins twins = {fast_, plain_, product_options()};
  Rehearsal rehearsal(twins, limits.rows);
  const std::vector<int32_t> tokens(kRehearsedRows);
  const std::vector<Segment> segments(kRehearsedRows);
  rehearsal_ = &rehearsal;
  for (const RehearsedStep& rehearsed : kRehearsedSteps) {
    const int64_t rows = std::min(rehearsed.rows, limits.rows);
    ops({tokens.data(), rows, segments.data(), rehearsed.prompt ? 1 : rows, tokens.data(), 1});
  }
  rehearsal_ = nullptr;

  const CheckLock lock(check_folder_, name(), kLockPatience);
  AgreedChecks agreed(check_folder_, name(), ChecksHoldFor());
  Trials trials(lock.held() ? check_folder_ : "", name(), ChecksHoldFor());
  const Rehearsal::Memory memory = {agreed, trials};
  CheckSpace space(*gpu_, *stream_);
  std::vector<Disagreement> found;
  bool compared = rehearsal.Compare(space, &choice_, memory, &found);
  kernels_ = ChosenKernels(choice_, fast_, plain_);
  for (const Trial& trial : trials.off()) {
    if (trial.group != kLayers || !choice_.fuses()) continue;
    choice_.SwitchOffFusion();
    found.push_back({kLayers, trial.check, ""});
  }
  compared = compared && CompareLayers(space, rehearsal.mamba_layers(), memory, &found) &&
             CompareLayers(space, rehearsal.mamba2_layers(), memory, &found);
  compared = compared && CompareGemm(space, rehearsal, limits.rows, memory, &found);
  for (const Disagreement& disagreement : found) SwitchedOff(disagreement, trials.path());
  if (compared) agreed.Save();
  return compared;
}

// After the ops by themselves, which they are compared with. As Rehearsal::Compare.
template <typename Params>
bool CudaDevice::CompareLayers(CheckSpace& space, const std::map<std::string, Params>& layers,
                               const Rehearsal::Memory& memory, std::vector<Disagreement>* found) {
  const LayerTwins<Params> twins = {[this](const Params& p) { RunTogether(p); },
                                    [this](const Params& p) { RunApart(p); }};
  for (const auto& [shape, params] : layers) {
    const std::string check = shape + ", " + choice_.Profile();
    if (!choice_.fuses() || memory.agreed.Has(check)) continue;
    memory.trials.Begin({kLayers, check});
    std::string problem = CheckLayer(space, twins, params);
    const bool failed = !failure().empty();
    memory.trials.End(failed);
    if (space.out_of_memory() || failed) return false;
    if (problem.empty()) {
      memory.agreed.Add(check);
    } else {
      choice_.SwitchOffFusion();
      found->push_back({kLayers, shape, std::move(problem)});
    }
  }
  return true;
}

// The library is compared at every start, as it may be another one.
bool CudaDevice::CompareGemm(CheckSpace& space, const Rehearsal& rehearsal, int64_t rows,
                             const Rehearsal::Memory& memory, std::vector<Disagreement>* found) {
  if (gemm_ == nullptr || rows < kFastGemmRows) return true;
  std::optional<Disagreement> wrong;
  for (const Trial& trial : memory.trials.off()) {
    if (trial.group == kGemm) wrong = {kGemm, trial.check, ""};
  }
  for (const auto& [shape, params] : rehearsal.layer_products()) {
    MatMulParams many = params;
    many.rows = kFastGemmRows;
    if (wrong || !GemmProducts::Takes(many)) continue;
    if (!gemm_->Reserve(std::max(rows, kProductCheckRows), *params.w)) return false;
    memory.trials.Begin({kGemm, shape});
    std::string problem = CheckLibraryProduct(
        space, plain_, params,
        [this](Stream&, const MatMulParams& p, std::byte*) { gemm_->Multiply(p); });
    const bool gpu_failed = !gpu_->failure().empty();
    memory.trials.End(gpu_failed);
    if (space.out_of_memory() || gpu_failed) return false;
    if (!gemm_->refusal().empty()) problem = gemm_->refusal();
    if (!problem.empty()) wrong = {kGemm, shape, std::move(problem)};
  }
  if (wrong) {
    found->push_back(*wrong);
    gemm_.reset();
  }
  return true;
}

// "" where this build cannot be told from another.
std::string CudaDevice::ChecksHoldFor() const {
  const std::string build = BuildId();
  if (build.empty()) return "";
  const GpuFacts& facts = gpu_->facts();
  std::string text = name() + ", " + std::to_string(facts.multiprocessors) + " multiprocessors";
  text += ", driver " + std::to_string(facts.driver_version);
  if (!facts.driver_build.empty()) text += " (" + facts.driver_build + ")";
  text += ", runtime " + std::to_string(facts.runtime_version) + ", kernels " +
          std::to_string(kKernelRevision) + ", layout " + layout();
  return text + ", build " + build;
}

void CudaDevice::SwitchedOff(const Disagreement& disagreement, const std::string& trials) {
  const std::string where = disagreement.shape + ", " + name() + ", driver " +
                            std::to_string(gpu_->facts().driver_version);
  for (FastKernelState& state : states_) {
    if (state.name != disagreement.kernel) continue;
    const std::string kernels = "the fast kernels of " + state.name;
    const std::string instead = state.name == kGemm ? "; our own are used"
                                : state.name == NameOf(FastKernel::kWgmma)
                                    ? "; mma.sync is used"
                                    : "; plain ones are used, which are slower";
    state.off_because =
        disagreement.problem.empty()
            ? kernels + " did not come to an end when they were compared with the plain ones (" +
                  where + ")" + instead + "; delete " + trials + " to have them tried again"
            : kernels + " disagree with the plain ones: " + disagreement.problem + " (" + where +
                  ")" + instead + "; please report this line";
  }
}

void CudaDevice::Embed(const EmbedParams& params) {
  if (rehearsal_ == nullptr) plain::Embed(*stream_, params);
}

void CudaDevice::RmsNorm(const RmsNormParams& params) {
  if (!OnlyNoted(params)) kernels_.rms_norm(*stream_, params);
}

void CudaDevice::MatMul(const MatMulParams& params) {
  if (OnlyNoted(params)) return;
  if (by_gemm_ && GemmProducts::Takes(params) && gemm_->Multiply(params)) return;
  if (!Have(ReserveProduct(ProductScratch(params.rows, *params.w)), "a product")) return;
  kernels_.mat_mul(product_options(), *stream_, params, product_scratch_.data());
}

void CudaDevice::ConvSilu(const ConvSiluParams& params) {
  if (OnlyNoted(params)) return;
  const bool step = params.rows == params.segment_count;
  (step ? kernels_.conv_step : kernels_.conv_prompt)(*stream_, params);
}

void CudaDevice::SelectiveScan(const SelectiveScanParams& params) {
  if (OnlyNoted(params)) return;
  const bool step = params.rows == params.segment_count;
  (step ? kernels_.scan_step : kernels_.scan_prompt)(*stream_, params);
}

void CudaDevice::SsdScan(const SsdScanParams& params) {
  if (OnlyNoted(params)) return;
  const bool step = params.rows == params.segment_count;
  const bool chunks = !step && params.chunk_scratch != nullptr;
  (step ? kernels_.ssd_step : chunks ? kernels_.ssd_chunks : kernels_.ssd_prompt)(*stream_, params);
}

void CudaDevice::GatedRmsNorm(const GatedRmsNormParams& params) {
  if (!OnlyNoted(params)) kernels_.gated_rms_norm(*stream_, params);
}

void CudaDevice::Sample(const SampleParams& params) {
  if (Have(draws_.Reserve(params.vocabulary), "draws")) draws_.Sample(params);
}

void CudaDevice::Logprobs(const LogprobParams& params) {
  if (Have(draws_.Reserve(params.vocabulary), "log-probabilities")) draws_.Logprobs(params);
}

void CudaDevice::RunTogether(const MambaLayerParams& params) {
  if (!ReserveProducts({&params.in_proj, &params.x_proj, &params.dt_proj, &params.out_proj}))
    return;
  kernels_.mamba_layer({*stream_, choice_, product_options(), product_scratch_.data(), *this},
                       params);
}

void CudaDevice::RunTogether(const Mamba2LayerParams& params) {
  if (!ReserveProducts({&params.in_proj, &params.out_proj})) return;
  kernels_.mamba2_layer({*stream_, choice_, product_options(), product_scratch_.data(), *this},
                        params);
}

template <typename Params>
void CudaDevice::RunLayer(const Params& params) {
  if (params.norm.rows == 0) return RunApart(params);
  if (rehearsal_ != nullptr) {
    rehearsal_->Note(params);
    RunApart(params);
    return;
  }
  // Steps that decode alone keep their bits.
  by_gemm_ = gemm_ != nullptr && params.conv.rows != params.conv.segment_count &&
             params.norm.rows >= kFastGemmRows && gemm_->refusal().empty() &&
             GemmProducts::TakesWeights(params.in_proj.w->format);
  choice_.fuses() && !by_gemm_ ? RunTogether(params) : RunApart(params);
  by_gemm_ = false;
}

void CudaDevice::MambaLayer(const MambaLayerParams& params) { RunLayer(params); }
void CudaDevice::Mamba2Layer(const Mamba2LayerParams& params) { RunLayer(params); }

}  // namespace

std::unique_ptr<Device> MakeDeviceOf(std::unique_ptr<Gpu> gpu, std::unique_ptr<Stream> stream,
                                     const CudaOptions& options, std::string* error,
                                     const KernelTable& fast) {
  std::unique_ptr<Stream> downloads = gpu->MakeStream();
  const auto give_up = [&](const std::string& why) {
    *error = gpu->failure().empty() ? why : gpu->failure();
    downloads.reset();
    stream.reset();  // before its GPU
    return nullptr;
  };
  if (downloads == nullptr) return give_up("the GPU gave no second stream");
  const bool may_have_wgmma = options.wgmma && !options.plain;
  const std::optional<bool> wgmma = may_have_wgmma ? fast::HasWgmma(*gpu, *stream) : false;
  if (!wgmma) return give_up("the GPU has no memory left");
  std::unique_ptr<GemmProducts> gemm;
  if (options.fast_gemm) {
    std::string why_not;
    std::unique_ptr<CublasLt> library = CublasLt::Open(&why_not);
    if (library == nullptr) return give_up(why_not);
    gemm = std::make_unique<GemmProducts>(std::move(library), *gpu, *stream);
  }
  return std::make_unique<CudaDevice>(std::move(gpu), std::move(stream), std::move(downloads),
                                      std::move(gemm), *wgmma, options, fast);
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
  return cuda::MakeDeviceOf(std::move(gpu), std::move(stream), options, error);
}

}  // namespace ssmd::kernels
