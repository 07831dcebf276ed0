// A stream of an emulated GPU: a queue, of which nothing is done until somebody waits for it.
#ifndef SSMD_TESTS_SIMT_EMULATED_STREAM_H_
#define SSMD_TESTS_SIMT_EMULATED_STREAM_H_

#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/simt.h"
#include "kernels/fault_point.h"
#include "tests/simt/block_run.h"
#include "tests/simt/emulated_gpu.h"

namespace ssmd::simt {

struct EventState {
  bool passed = false;
  std::chrono::steady_clock::time_point when;  // it did, by the host's clock
  char clock = 0;
};

// One thing to do: a kernel of the code under test, or one of ours (stream_work.h). Recordings
// share it.
struct Work {
  enum Kind { kLaunch, kCopy, kRecordEvent, kWaitForEvent };

  // Device memory that it reads or writes, for a copy.
  struct Range {
    const void* at;
    size_t bytes;
  };

  Kind kind = kLaunch;
  KernelCall call = {};
  std::unique_ptr<std::byte[]> args;
  std::vector<Range> ranges;
  std::unique_ptr<std::byte[]> staged;  // what it copies from, where that was taken at the call
  std::shared_ptr<EventState> event;
};

using WorkList = std::vector<std::shared_ptr<const Work>>;

class EmulatedGraph : public kernels::cuda::Graph {
 public:
  EmulatedGraph(EmulatedGpu* gpu, WorkList recorded);
  ~EmulatedGraph() override;

  const EmulatedGpu* gpu() const { return gpu_; }
  const WorkList& recorded() const { return recorded_; }
  int64_t size() const override { return static_cast<int64_t>(recorded_.size()); }

 private:
  EmulatedGpu* const gpu_;
  WorkList recorded_;
};

class EmulatedEvent : public kernels::cuda::Event {
 public:
  explicit EmulatedEvent(EmulatedGpu* gpu) : gpu_(gpu), state_(std::make_shared<EventState>()) {}

  bool Passed() override;
  void Wait() override;
  double MillisecondsSince(kernels::cuda::Event& earlier) override;

  const std::shared_ptr<EventState>& state() const { return state_; }

 private:
  EmulatedGpu* const gpu_;
  const std::shared_ptr<EventState> state_;
};

class EmulatedStream : public kernels::cuda::Stream {
 public:
  explicit EmulatedStream(EmulatedGpu* gpu);
  ~EmulatedStream() override;

  void CopyIn(void* device, const void* host, size_t bytes) override;
  void CopyOut(void* host, const void* device, size_t bytes) override;
  void CopyWithin(void* to, const void* from, size_t bytes) override;
  void Zero(void* device, size_t bytes) override;
  void Synchronize() override;
  std::unique_ptr<kernels::cuda::Event> Record() override;
  std::unique_ptr<kernels::cuda::Event> RecordTime() override { return Record(); }
  void WaitFor(const kernels::cuda::Event& event) override;
  bool BeginRecording() override;
  std::unique_ptr<kernels::cuda::Graph> EndRecording() override;
  void Replay(const kernels::cuda::Graph& graph) override;
  void* handle() const override { return nullptr; }

  void Launch(const KernelCall& call, const void* args);

  // What is still to be done with some of this memory, or null.
  const char* UserOf(const void* memory, size_t bytes) const;

  bool CanAdvance() const;
  void Advance();  // REQUIRES: CanAdvance()

 private:
  struct Queued {
    std::shared_ptr<const Work> work;
    std::unique_ptr<char> enqueued;  // the host's clock when it was
  };

  void Push(std::shared_ptr<const Work> work);
  // Whether the GPU has failed, now that `doing` is asked of it.
  bool Fails(kernels::FaultPoint& fault, const char* doing);
  // True, and the recording is of no use, where the stream records.
  bool Spoils();
  bool MayRun(const Work& work);
  void Run(const Queued& queued);

  EmulatedGpu& gpu_;
  std::deque<Queued> queue_;
  std::unique_ptr<BlockRun> blocks_;
  // Of what is done, in turn: a launch begins after one and releases to the other.
  char clocks_[2] = {};
  int clock_ = 0;

  bool recording_ = false;
  bool spoiled_ = false;
  WorkList recorded_;
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_EMULATED_STREAM_H_
