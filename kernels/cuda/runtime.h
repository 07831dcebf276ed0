// A GPU as the host sees it: memory, streams and recorded work. The whole of the CUDA runtime that
// ssmd uses is behind this header (runtime.cu; tests/simt has another, on the CPU, which can be
// told to fail).
//
// Errors: an allocation for which there is no memory returns null, and nothing else is disturbed.
// Any other error is the end of this GPU for the process: the first is kept in failure(), and calls
// after it do nothing. Callers look at failure() where results reach them.
//
// Thread-compatible: all calls come from the thread that owns the GPU, failure() from any.
#ifndef SSMD_KERNELS_CUDA_RUNTIME_H_
#define SSMD_KERNELS_CUDA_RUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ssmd::kernels::cuda {

struct GpuFacts {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  size_t memory_bytes = 0;
  size_t shared_bytes = 0;  // that a block may have
  int driver_version = 0;   // 13000 is 13.0
  int runtime_version = 0;
  std::string driver_build;  // which of that version, where the system says; else empty
};

// Work on a stream that was recorded and can be repeated. Destroyed before its Gpu.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual int64_t size() const = 0;  // launches, copies and clearings
};

class Event {
 public:
  virtual ~Event() = default;
  virtual bool Passed() = 0;  // the work before it is done, or the GPU has failed
  virtual void Wait() = 0;    // the host waits until it has

  // From `earlier` to this one, as the GPU comes to them; waits for both. 0 once the GPU has
  // failed. REQUIRES: both are of Stream::RecordTime(), of one GPU.
  virtual double MillisecondsSince(Event& earlier) = 0;
};

// Does what it is given in order, while the host goes on.
class Stream {
 public:
  virtual ~Stream() = default;

  // `host` memory of CopyIn may be changed when the call returns only if it is not pinned; pinned
  // memory must stay as it is until the stream has come there. CopyOut's is written when the stream
  // has come there.
  virtual void CopyIn(void* device, const void* host, size_t bytes) = 0;
  virtual void CopyOut(void* host, const void* device, size_t bytes) = 0;
  virtual void CopyWithin(void* to, const void* from, size_t bytes) = 0;
  virtual void Zero(void* device, size_t bytes) = 0;

  virtual void Synchronize() = 0;
  virtual std::unique_ptr<Event> Record() = 0;
  // Likewise; it keeps the time.
  virtual std::unique_ptr<Event> RecordTime() = 0;
  virtual void WaitFor(const Event& event) = 0;  // of any stream; the host does not wait

  // What follows is recorded and not done. False if the stream cannot record now. Kernels, copies
  // and zeroing can be recorded; waiting, events, replays and copies from memory that is not pinned
  // spoil it.
  virtual bool BeginRecording() = 0;
  // Null if there was no memory for it, or the recording was spoiled.
  virtual std::unique_ptr<Graph> EndRecording() = 0;
  virtual void Replay(const Graph& graph) = 0;

  // A cudaStream_t, for libraries that take one. Null where there is none.
  virtual void* handle() const = 0;
};

class Gpu {
 public:
  virtual ~Gpu() = default;  // all memory and streams are given back before

  virtual const GpuFacts& facts() const = 0;

  // The calling thread makes all calls from now on.
  virtual void Adopt() = 0;

  // Waits for all streams.
  virtual void Synchronize() = 0;

  // 256-byte aligned, not zeroed; null when there is not enough.
  virtual void* Allocate(size_t bytes) = 0;
  // REQUIRES: no stream is still to use it. Likewise FreePinned().
  virtual void Free(void* memory) = 0;
  // Host memory that the GPU reaches by itself.
  virtual void* AllocatePinned(size_t bytes) = 0;
  virtual void FreePinned(void* memory) = 0;
  virtual size_t free_bytes() = 0;

  virtual std::unique_ptr<Stream> MakeStream() = 0;

  // What went wrong and where, or "".
  virtual std::string failure() const = 0;
};

// How many GPUs there are; 0, and why in *error, where there is no driver.
int CountGpus(std::string* error);
// Null, and why in *error, when it cannot be used.
std::unique_ptr<Gpu> OpenGpu(int ordinal, std::string* error);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_RUNTIME_H_
