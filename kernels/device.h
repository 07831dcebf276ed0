// A place where kernels run, with its memory. The one point where an implementation is chosen:
// everything above kernels/ calls a Device and does not know which it is.
//
// Thread-compatible: one thread (the one that owns the device) calls it at a time; failure() may be
// called from any. Ops run in the order in which they are called. What an op or a copy gives to
// host memory is there when it returns (but for a Transfer's); what it does on the device may still
// be under way.
#ifndef SSMD_KERNELS_DEVICE_H_
#define SSMD_KERNELS_DEVICE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/linear_ops.h"
#include "kernels/memory_ops.h"
#include "kernels/ops.h"
#include "kernels/row_ops.h"
#include "kernels/tensor.h"
#include "kernels/wkv_ops.h"

namespace ssmd::kernels {

// Raised whenever a kernel changes the bits that it gives; part of the numerics profile.
inline constexpr int kKernelRevision = 2;

// Instruction sets of the CPU device. kScalar runs everywhere.
enum class Isa : uint8_t { kScalar, kAvx2, kAvx512, kAvx512Vnni, kAvx512Bf16, kNeon };

// "scalar", "avx2", "avx512", "avx512vnni", "avx512bf16", "neon"
std::string_view IsaName(Isa isa);
std::optional<Isa> ParseIsa(std::string_view name);  // inverse of IsaName
std::vector<Isa> SupportedIsas();                    // what this CPU (and OS) can run, best last

// What the steps of a model come to at most.
struct StepLimits {
  int64_t rows = 0;
  int64_t logit_rows = 0;  // of one SampleHead or MatMul that makes logits
  int64_t vocabulary = 0;
};

// The ops of a model's steps, which a device may record when it first runs them and replay from
// then on. Destroyed before its device.
class StepProgram {
 public:
  using Ops = std::function<void(const StepIndices& step)>;

  virtual ~StepProgram() = default;
  // Calls `ops` with the indices of `host`, which is host memory, where ops read them; or repeats
  // what it did for a step of the same counts. So `ops` depends on nothing but the counts, and the
  // memory that its ops use is the same every time. A step that decodes may get more rows, up to
  // the limit: their token is 0 and their segments touch no state (Segment::dst_slot).
  virtual void Run(const StepIndices& host, const Ops& ops) = 0;
};

// A group of kernels that a device uses in the place of plain ones.
struct FastKernelState {
  std::string name;         // "product" and the like
  std::string off_because;  // what is wrong with it here; empty: it is used
};

// A copy between the device and host memory that goes on beside the host, and perhaps beside ops.
// Until it is done both memories have to stay, what it reads unchanged. Destroying this does not
// end it; destroyed before its device.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // True when it is done, or never will be because the device has failed. Does not wait.
  virtual bool Done() = 0;
  virtual void Wait() = 0;  // until Done()
  // What is called from now on begins after it; the host does not wait.
  virtual void HoldOps() = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() const = 0;  // what computes here: "cpu/avx512" and the like
  // What the bits of a model depend on here, whose matrices are asked for in `format`: part of the
  // numerics profile. Devices of one profile give the same bits. "cpu/x86-64" and the like.
  virtual std::string profile(WeightFormat format) const = 0;
  virtual int threads() const = 0;

  // The calling thread makes all calls from now on: puts it where the device wants it to run.
  virtual void AdoptThread() {}

  // Whether ops may be under way when they return, so that the caller can do something else.
  virtual bool runs_ahead() const { return false; }
  // What made this device useless for the rest of the process, or "". Ops that follow do nothing,
  // and what they give is undefined: whoever takes results looks here before using them.
  virtual std::string failure() const { return ""; }

  // Zeroed memory, or an empty Buffer when there is not enough. bytes > 0.
  virtual Buffer Allocate(size_t bytes) = 0;
  // Host memory that Download and Upload are fastest with. Otherwise the same.
  virtual Buffer AllocateStaging(size_t bytes) { return Allocate(bytes); }
  // Bytes that Allocate could still give, where that is known.
  virtual std::optional<size_t> free_bytes() const { return std::nullopt; }
  virtual void Zero(std::byte* data, size_t bytes) = 0;
  virtual void Copy(std::byte* to, const std::byte* from, size_t bytes) = 0;  // no overlap
  // From the device to host memory and back. A device that computes in host memory just copies.
  virtual void Download(std::byte* host, const std::byte* device, size_t bytes) {
    Copy(host, device, bytes);
  }
  virtual void Upload(std::byte* device, const std::byte* host, size_t bytes) {
    Copy(device, host, bytes);
  }
  // The same without waiting, where `host` is of AllocateStaging. Null: it is done already. A
  // download sees what was called before it, an upload is seen by what is called after it.
  virtual std::unique_ptr<Transfer> StartDownload(std::byte* host, const std::byte* device,
                                                  size_t bytes) {
    Download(host, device, bytes);
    return nullptr;
  }
  virtual std::unique_ptr<Transfer> StartUpload(std::byte* device, const std::byte* host,
                                                size_t bytes) {
    Upload(device, host, bytes);
    return nullptr;
  }
  // Whether ops go on while a download is under way, so that one ahead of need costs little.
  virtual bool overlaps_downloads() const { return false; }

  // Packs a weight matrix, rounding to nearest even where `format` is narrower than the source, and
  // as quantise.h says where it is quantised. PackedMatrix::data is empty when memory ran out. Runs
  // on all threads.
  virtual PackedMatrix Pack(const MatrixSource& source, WeightFormat format) = 0;

  // Names the order in which Pack keeps matrices, and how it rounds: raised whenever either
  // changes.
  virtual std::string layout() const = 0;
  // Bytes that Pack makes of such a matrix; 0 where the sizes are below 1 or overflow.
  virtual size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) const = 0;
  // The matrix whose bytes these are. `data` is empty when memory ran out. REQUIRES: packed.bytes
  // is PackedSize(…); the bytes come from a device with this layout() (others give wrong numbers,
  // and nothing worse).
  virtual PackedMatrix Restore(const PackedBytes& packed) = 0;

  // Whether Pack takes this format.
  virtual bool Keeps(WeightFormat format) const = 0;

  // After the model's matrices were packed: makes room for what its steps need beside its own
  // buffers. Null when memory ran out.
  virtual std::unique_ptr<StepProgram> MakeProgram(const StepLimits& limits);

  // Which ops do the steps of a model consist of? Calls `ops` as a StepProgram does, to see them,
  // and none is done: state fields may be without memory. A device with kernels that it does not
  // take on trust tries them on what it sees, and leaves off those that are wrong, which changes
  // profile(). After MakeProgram and before its first Run; `limits` are those of MakeProgram. False
  // where there was no memory for that, or with a failure().
  virtual bool Rehearse(const StepLimits& /*limits*/, const StepProgram::Ops& /*ops*/) {
    return true;
  }
  // What became of them: none is off after it has been used, but for libraries that refuse later.
  // Any thread, once the last Rehearse has returned. Empty for a device without such kernels.
  virtual std::vector<FastKernelState> fast_kernels() const { return {}; }

  virtual void Embed(const EmbedParams& params) = 0;
  virtual void RmsNorm(const RmsNormParams& params) = 0;
  virtual void MatMul(const MatMulParams& params) = 0;
  virtual void ConvSilu(const ConvSiluParams& params) = 0;
  virtual void SelectiveScan(const SelectiveScanParams& params) = 0;
  virtual void SsdScan(const SsdScanParams& params) = 0;
  virtual void GatedRmsNorm(const GatedRmsNormParams& params) = 0;
  virtual void Sample(const SampleParams& params) = 0;
  virtual void SampleHead(const SampleHeadParams& params) = 0;
  virtual void Logprobs(const LogprobParams& params) = 0;

  // row_ops.h
  virtual void GroupNorm(const GroupNormParams& params) = 0;
  virtual void Pointwise(const PointwiseParams& params) = 0;
  virtual void TokenShift(const TokenShiftParams& params) = 0;
  virtual void Rotate(const RotateParams& params) = 0;
  // linear_ops.h
  virtual void ModalScan(const ModalScanParams& params) = 0;
  virtual void ComplexScan(const ComplexScanParams& params) = 0;
  virtual void DifferenceScan(const DifferenceScanParams& params) = 0;
  virtual void DenseScan(const DenseScanParams& params) = 0;
  virtual void LegsScan(const LegsScanParams& params) = 0;
  // wkv_ops.h
  virtual void Wkv4(const Wkv4Params& params) = 0;
  virtual void Wkv6(const Wkv6Params& params) = 0;
  virtual void Wkv7(const Wkv7Params& params) = 0;
  // memory_ops.h
  virtual void MemoryScan(const MemoryScanParams& params) = 0;

  // Op after op, unless a device fuses them.
  virtual void MambaLayer(const MambaLayerParams& params);
  virtual void Mamba2Layer(const Mamba2LayerParams& params);
};

struct CpuOptions {
  std::optional<Isa> isa;  // best supported when absent; must be in SupportedIsas()
  int threads = 0;         // 0: one per CPU that this process may run on
  // Keeps each thread on a CPU of its own, the adopted one too (those beyond the CPUs share them).
  bool pin_threads = false;
};
// Never null. Threads are started here and joined by the destructor.
std::unique_ptr<Device> MakeCpuDevice(const CpuOptions& options);

// Rows of a step from which on CudaOptions::fast_gemm changes anything.
inline constexpr int64_t kFastGemmRows = 128;

struct CudaOptions {
  int ordinal = 0;  // of the GPU, as the driver counts
  // Kernels without tensor cores and approximations alone: the bits of the CPU, slowly.
  bool plain = false;
  // Products of prompts by cuBLASLt, which is opened when this is asked for: bits then depend on
  // which tokens are prefilled together.
  bool fast_gemm = false;
  // Products may go by wgmma, where a GPU has it and it is found right. To measure without.
  bool wgmma = true;
  // A folder where it is remembered which fast kernels were found right (Device::Rehearse), so that
  // the next start need not try them again. Empty: nowhere.
  std::string check_folder{};
};
// Null, and why in *error, where there is no such GPU, or this was built without CUDA.
std::unique_ptr<Device> MakeCudaDevice(const CudaOptions& options, std::string* error);

// The oracle: double precision inside every op, one thread. f32 in, f32 out.
std::unique_ptr<Device> MakeReferenceDevice();

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_DEVICE_H_
