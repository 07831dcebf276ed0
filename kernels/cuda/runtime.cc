// runtime.h on the CUDA runtime.
#include "kernels/cuda/runtime.h"

#include <cuda_runtime.h>

#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "kernels/cuda/gpu_faults.h"
#include "kernels/cuda/kernel_call.h"

namespace ssmd::kernels::cuda {
namespace {

// What `call` gives, but where its point is hit.
template <typename Call>
cudaError_t Unless(FaultPoint& fault, Call call) {
  return fault.Hit() ? cudaErrorUnknown : call();
}

// The first error that nothing mends, kept for whoever asks.
class Failure {
 public:
  // True while there was none and `error` is none.
  bool Check(cudaError_t error, const std::string& doing) {
    if (error == cudaSuccess) return ok();
    cudaGetLastError();
    std::lock_guard<std::mutex> lock(mutex_);
    if (text_.empty()) {
      text_ = doing + ": " + cudaGetErrorName(error) + " (" + cudaGetErrorString(error) + ")";
    }
    return false;
  }
  bool ok() const { return text().empty(); }
  std::string text() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

class CudaGraph final : public Graph {
 public:
  CudaGraph(cudaGraphExec_t exec, int64_t size) : exec_(exec), size_(size) {}
  ~CudaGraph() override { cudaGraphExecDestroy(exec_); }
  int64_t size() const override { return size_; }
  cudaGraphExec_t exec() const { return exec_; }

 private:
  const cudaGraphExec_t exec_;
  const int64_t size_;
};

class CudaEvent final : public Event {
 public:
  CudaEvent(cudaEvent_t event, Failure& failure) : event_(event), failure_(failure) {}
  ~CudaEvent() override {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  bool Passed() override {
    if (event_ == nullptr) return true;
    const cudaError_t error = cudaEventQuery(event_);
    if (error == cudaErrorNotReady) {
      cudaGetLastError();
      return false;
    }
    failure_.Check(error, "asking for an event");
    return true;
  }
  void Wait() override {
    if (event_ != nullptr) failure_.Check(cudaEventSynchronize(event_), "waiting for an event");
  }
  double MillisecondsSince(Event& earlier) override;
  cudaEvent_t event() const { return event_; }

 private:
  const cudaEvent_t event_;  // null where none could be made, which is a failure
  Failure& failure_;
};

double CudaEvent::MillisecondsSince(Event& earlier) {
  float milliseconds = 0;
  const cudaEvent_t from = static_cast<CudaEvent&>(earlier).event_;
  if (from == nullptr || event_ == nullptr) return 0;
  earlier.Wait();
  Wait();
  if (!failure_.ok()) return 0;
  const cudaError_t error = cudaEventElapsedTime(&milliseconds, from, event_);
  return failure_.Check(error, "asking for the time of events") ? milliseconds : 0;
}

class CudaStream final : public Stream {
 public:
  CudaStream(cudaStream_t stream, bool overlaps, Failure& failure)
      : stream_(stream), overlaps_(overlaps), failure_(failure) {}
  ~CudaStream() override { cudaStreamDestroy(stream_); }

  void CopyIn(void* device, const void* host, size_t bytes) override {
    Copy(device, host, bytes, cudaMemcpyHostToDevice, "copying to the GPU");
  }
  void CopyOut(void* host, const void* device, size_t bytes) override {
    Copy(host, device, bytes, cudaMemcpyDeviceToHost, "copying from the GPU");
  }
  void CopyWithin(void* to, const void* from, size_t bytes) override {
    Copy(to, from, bytes, cudaMemcpyDeviceToDevice, "copying on the GPU");
  }
  void Zero(void* device, size_t bytes) override {
    after_kernel_ = false;
    if (!failure_.ok()) return;
    const auto clear = [&] { return cudaMemsetAsync(device, 0, bytes, stream_); };
    failure_.Check(Unless(gpu_faults::zero, clear), "clearing memory");
  }
  void Synchronize() override {
    if (!failure_.ok()) return;
    const auto wait = [&] { return cudaStreamSynchronize(stream_); };
    failure_.Check(Unless(gpu_faults::synchronize, wait), "waiting for the GPU");
  }
  std::unique_ptr<Event> Record() override { return RecordWith(cudaEventDisableTiming); }
  std::unique_ptr<Event> RecordTime() override { return RecordWith(cudaEventDefault); }
  void WaitFor(const Event& event) override;
  bool BeginRecording() override;
  std::unique_ptr<Graph> EndRecording() override;
  void Replay(const Graph& graph) override;
  void* handle() const override { return stream_; }

  void Enqueue(const KernelCall& call);

 private:
  void Copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const char* doing) {
    after_kernel_ = false;
    if (!failure_.ok()) return;
    const auto copy = [&] { return cudaMemcpyAsync(to, from, bytes, kind, stream_); };
    failure_.Check(Unless(gpu_faults::copy, copy), doing);
  }
  std::unique_ptr<Event> RecordWith(unsigned flags);
  bool AllowShared(const KernelCall& call);
  bool MayOverlap(const KernelCall& call);

  const cudaStream_t stream_;
  const bool overlaps_;        // kernels can, on this GPU
  bool after_kernel_ = false;  // the last thing that the stream was given is a kernel
  Failure& failure_;
  std::set<const void*> with_large_shared_;
  std::map<const void*, bool> waits_;  // whether an entry's code has the instruction to wait
};

std::unique_ptr<Event> CudaStream::RecordWith(unsigned flags) {
  after_kernel_ = false;
  cudaEvent_t event = nullptr;
  const auto make = [&] { return cudaEventCreateWithFlags(&event, flags); };
  if (failure_.ok() && failure_.Check(Unless(gpu_faults::event, make), "making an event")) {
    failure_.Check(cudaEventRecord(event, stream_), "recording an event");
  }
  return std::make_unique<CudaEvent>(event, failure_);
}

void CudaStream::WaitFor(const Event& event) {
  after_kernel_ = false;
  const cudaEvent_t other = static_cast<const CudaEvent&>(event).event();
  if (other == nullptr || !failure_.ok()) return;
  failure_.Check(cudaStreamWaitEvent(stream_, other, 0), "waiting for another stream");
}

bool CudaStream::BeginRecording() {
  after_kernel_ = false;
  return failure_.ok() && !gpu_faults::begin_recording.Hit() &&
         cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) == cudaSuccess;
}

std::unique_ptr<Graph> CudaStream::EndRecording() {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  size_t size = 0;
  after_kernel_ = false;
  bool made = cudaStreamEndCapture(stream_, &graph) == cudaSuccess && graph != nullptr;
  made = made && cudaGraphGetNodes(graph, nullptr, &size) == cudaSuccess;
  made = made && !gpu_faults::end_recording.Hit() &&
         cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess;
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();  // what was spoiled is done without
  if (!made) return nullptr;
  return std::make_unique<CudaGraph>(exec, static_cast<int64_t>(size));
}

void CudaStream::Replay(const Graph& graph) {
  after_kernel_ = false;
  if (!failure_.ok()) return;
  const auto replay = [&] {
    return cudaGraphLaunch(static_cast<const CudaGraph&>(graph).exec(), stream_);
  };
  failure_.Check(Unless(gpu_faults::replay, replay), "replaying a step");
}

// More than 48 KB of shared memory have to be asked for, once a kernel.
bool CudaStream::AllowShared(const KernelCall& call) {
  constexpr size_t kWithoutAsking = 48 << 10;
  if (call.shared_bytes <= kWithoutAsking || with_large_shared_.count(call.entry) > 0) return true;
  with_large_shared_.insert(call.entry);
  return failure_.Check(
      cudaFuncSetAttribute(call.entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(call.shared_bytes)),
      std::string("shared memory of ") + call.name);
}

// A kernel compiled for a GPU older than 9.0 does not wait, whichever GPU it runs on. What follows
// a copy, an event or another stream begins when that has ended.
bool CudaStream::MayOverlap(const KernelCall& call) {
  if (!call.overlaps || !overlaps_ || !after_kernel_) return false;
  const auto [entry, is_new] = waits_.try_emplace(call.entry, false);
  if (is_new) {
    cudaFuncAttributes attributes = {};
    const cudaError_t error = cudaFuncGetAttributes(&attributes, call.entry);
    entry->second = failure_.Check(error, call.name) && attributes.ptxVersion >= 90;
  }
  return entry->second;
}

void CudaStream::Enqueue(const KernelCall& call) {
  const bool empty = call.grid.x == 0 || call.grid.y == 0 || call.grid.z == 0;
  if (empty || !failure_.ok() || !AllowShared(call)) return;
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(call.grid.x), static_cast<unsigned>(call.grid.y),
                        static_cast<unsigned>(call.grid.z));
  config.blockDim = dim3(static_cast<unsigned>(call.threads));
  config.dynamicSmemBytes = call.shared_bytes;
  config.stream = stream_;
  config.attrs = &overlap;
  config.numAttrs = MayOverlap(call) ? 1 : 0;
  const auto launch = [&] { return cudaLaunchKernelExC(&config, call.entry, call.args); };
  failure_.Check(Unless(gpu_faults::launch, launch), call.name);
  after_kernel_ = true;
}

class CudaGpu final : public Gpu {
 public:
  CudaGpu(int ordinal, GpuFacts facts) : ordinal_(ordinal), facts_(std::move(facts)) {}

  const GpuFacts& facts() const override { return facts_; }
  void Adopt() override { failure_.Check(cudaSetDevice(ordinal_), "choosing the GPU"); }

  void Synchronize() override {
    if (failure_.ok()) failure_.Check(cudaDeviceSynchronize(), "waiting for the GPU");
  }
  void* Allocate(size_t bytes) override {
    void* memory = nullptr;
    if (gpu_faults::allocate.Hit()) return nullptr;
    return Allocated(cudaMalloc(&memory, bytes), "allocating memory") ? memory : nullptr;
  }
  void Free(void* memory) override { cudaFree(memory); }
  void* AllocatePinned(size_t bytes) override {
    void* memory = nullptr;
    if (gpu_faults::allocate_pinned.Hit()) return nullptr;
    const cudaError_t error = cudaHostAlloc(&memory, bytes, cudaHostAllocPortable);
    return Allocated(error, "allocating host memory") ? memory : nullptr;
  }
  void FreePinned(void* memory) override { cudaFreeHost(memory); }
  size_t free_bytes() override {
    size_t free = 0;
    size_t total = 0;
    failure_.Check(cudaMemGetInfo(&free, &total), "asking for free memory");
    return free;
  }

  std::unique_ptr<Stream> MakeStream() override {
    cudaStream_t stream = nullptr;
    if (!failure_.Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                        "making a stream")) {
      return nullptr;
    }
    return std::make_unique<CudaStream>(stream, facts_.major >= 9, failure_);
  }

  std::string failure() const override { return failure_.text(); }

 private:
  bool Allocated(cudaError_t error, const char* doing) {
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return false;
    }
    return failure_.Check(error, doing);
  }

  const int ordinal_;
  const GpuFacts facts_;
  Failure failure_;
};

// As its module says it, which compiles what was not built for a GPU.
std::string DriverBuild() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  return line;
}

GpuFacts FactsOf(const cudaDeviceProp& properties) {
  GpuFacts facts;
  facts.name = properties.name;
  facts.major = properties.major;
  facts.minor = properties.minor;
  facts.multiprocessors = properties.multiProcessorCount;
  facts.memory_bytes = properties.totalGlobalMem;
  facts.shared_bytes = properties.sharedMemPerBlockOptin;
  cudaDriverGetVersion(&facts.driver_version);
  cudaRuntimeGetVersion(&facts.runtime_version);
  facts.driver_build = DriverBuild();
  return facts;
}

}  // namespace

void Enqueue(Stream& stream, const KernelCall& call) {
  static_cast<CudaStream&>(stream).Enqueue(call);
}

int CountGpus(std::string* error) {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaSuccess) return count;
  cudaGetLastError();
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) {
    // CUDA's own words are of a driver that is too old.
    *error = "this machine has no NVIDIA driver (libcuda.so.1); without a GPU use --device cpu";
  } else {
    *error = cudaGetErrorString(result);
  }
  return 0;
}

std::unique_ptr<Gpu> OpenGpu(int ordinal, std::string* error) {
  cudaDeviceProp properties;
  cudaError_t result = cudaGetDeviceProperties(&properties, ordinal);
  if (result == cudaSuccess) result = cudaSetDevice(ordinal);
  if (result == cudaSuccess) result = cudaFree(nullptr);  // makes the context
  if (result == cudaSuccess) return std::make_unique<CudaGpu>(ordinal, FactsOf(properties));
  cudaGetLastError();
  *error = cudaGetErrorString(result);
  return nullptr;
}

}  // namespace ssmd::kernels::cuda
