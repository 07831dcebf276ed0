#include "tests/simt/emulated_stream.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "kernels/cuda/gpu_faults.h"
#include "tests/simt/control_state.h"
#include "tests/simt/misuse.h"
#include "tests/simt/sanitizers.h"
#include "tests/simt/stream_work.h"

namespace ssmd::simt {

using kernels::FaultPoint;
namespace gpu_faults = kernels::cuda::gpu_faults;

namespace {

constexpr size_t kArgsBytesMax = 4096;
constexpr int64_t kGridXMax = INT32_MAX;
constexpr int64_t kGridYZMax = 65535;

// Why a GPU would not take it, or "".
std::string RefusalOf(const KernelCall& call, size_t shared_bytes_max) {
  const auto& grid = call.grid;
  const auto outside = [](int64_t blocks, int64_t most) { return blocks < 1 || blocks > most; };
  if (call.threads < 1 || call.threads > kThreadsMax || call.threads > call.kernel_threads ||
      call.threads % kernels::cuda::kWarpThreads != 0) {
    return std::to_string(call.threads) + " threads to a block, which may have whole warps of at " +
           "most " + std::to_string(std::min(call.kernel_threads, kThreadsMax));
  }
  if (outside(grid.x, kGridXMax) || outside(grid.y, kGridYZMax) || outside(grid.z, kGridYZMax)) {
    return "a grid of (" + std::to_string(grid.x) + ", " + std::to_string(grid.y) + ", " +
           std::to_string(grid.z) + ')';
  }
  if (call.shared_bytes > shared_bytes_max) {
    return std::to_string(call.shared_bytes) + " bytes of shared memory";
  }
  if (call.args_bytes > kArgsBytesMax) return std::to_string(call.args_bytes) + " bytes of Args";
  return "";
}

}  // namespace

EmulatedGraph::EmulatedGraph(EmulatedGpu* gpu, WorkList recorded)
    : gpu_(gpu), recorded_(std::move(recorded)) {}

EmulatedGraph::~EmulatedGraph() {
  const Unobserved unobserved;
  recorded_.clear();
}

// Whoever asks again and again sees it pass at some time, and not at once.
bool EmulatedEvent::Passed() {
  if (!state_->passed && gpu_->random().Below(2) == 0) gpu_->Advance();
  if (state_->passed) AcquireClock(&state_->clock);
  return state_->passed || gpu_->failed();
}

void EmulatedEvent::Wait() {
  while (!state_->passed && !gpu_->failed()) {
    if (!gpu_->Advance()) FailHost("an event is waited for that nothing records");
  }
  if (state_->passed) AcquireClock(&state_->clock);
}

double EmulatedEvent::MillisecondsSince(kernels::cuda::Event& earlier) {
  earlier.Wait();
  Wait();
  if (gpu_->failed()) return 0;
  const auto from = static_cast<EmulatedEvent&>(earlier).state_->when;
  return std::chrono::duration<double, std::milli>(state_->when - from).count();
}

EmulatedStream::EmulatedStream(EmulatedGpu* gpu) : gpu_(*gpu) {
  const Unobserved unobserved;
  blocks_ = std::make_unique<BlockRun>(&gpu->random());
}

// What was begun is done, as on a device.
EmulatedStream::~EmulatedStream() {
  if (!recording_) Synchronize();
  gpu_.Remove(this);
  const Unobserved unobserved;
  blocks_.reset();
  recorded_.clear();
  queue_.clear();
}

bool EmulatedStream::Fails(FaultPoint& fault, const char* doing) {
  if (!gpu_.failed() && fault.Hit()) gpu_.Fail(doing);
  return gpu_.failed();
}

void EmulatedStream::CopyIn(void* device, const void* host, size_t bytes) {
  if (bytes == 0 || Fails(gpu_faults::copy, "copying to the GPU")) return;
  if (gpu_.pinned_memory().Has(host, bytes)) return Push(CopyInWork(device, host, bytes));
  // Recorded, it would be read at every replay from memory that may have gone.
  if (!Spoils()) Push(StagedCopyInWork(device, host, bytes));
}

void EmulatedStream::CopyOut(void* host, const void* device, size_t bytes) {
  if (bytes == 0 || Fails(gpu_faults::copy, "copying from the GPU")) return;
  Push(CopyOutWork(host, device, bytes));
}

void EmulatedStream::CopyWithin(void* to, const void* from, size_t bytes) {
  if (bytes == 0 || Fails(gpu_faults::copy, "copying on the GPU")) return;
  Push(CopyWithinWork(to, from, bytes));
}

void EmulatedStream::Zero(void* device, size_t bytes) {
  if (bytes == 0 || Fails(gpu_faults::zero, "clearing memory")) return;
  Push(ZeroWork(device, bytes));
}

void EmulatedStream::Launch(const KernelCall& call, const void* args) {
  const bool empty = call.grid.x == 0 || call.grid.y == 0 || call.grid.z == 0;
  if (empty || Fails(gpu_faults::launch, call.name)) return;
  const std::string refusal = RefusalOf(call, gpu_.facts().shared_bytes);
  if (!refusal.empty()) return gpu_.Fail(std::string("launch of ") + call.name + ": " + refusal);
  Push(LaunchWork(call, args));
}

void EmulatedStream::Synchronize() {
  if (Spoils() || Fails(gpu_faults::synchronize, "waiting for the GPU")) return;
  while (!queue_.empty() && !gpu_.failed()) {
    if (!gpu_.Advance()) FailHost("streams wait for each other");
  }
  AcquireClock(&clocks_[clock_]);
}

std::unique_ptr<kernels::cuda::Event> EmulatedStream::Record() {
  auto event = std::make_unique<EmulatedEvent>(&gpu_);
  if (!Spoils() && !Fails(gpu_faults::event, "making an event")) {
    Push(RecordEventWork(event->state()));
  }
  return event;
}

void EmulatedStream::WaitFor(const kernels::cuda::Event& event) {
  if (!Spoils()) Push(WaitForEventWork(static_cast<const EmulatedEvent&>(event).state()));
}

bool EmulatedStream::BeginRecording() {
  if (recording_ || gpu_.failed() || RecordingIsRefused()) return false;
  if (gpu_faults::begin_recording.Hit()) return false;
  recording_ = true;
  spoiled_ = false;
  return true;
}

std::unique_ptr<kernels::cuda::Graph> EmulatedStream::EndRecording() {
  if (!recording_) return nullptr;
  recording_ = false;
  WorkList recorded = std::exchange(recorded_, {});
  if (RecordingIsSpoiled() || gpu_faults::end_recording.Hit()) return nullptr;
  if (spoiled_ || gpu_.failed()) return nullptr;
  return std::make_unique<EmulatedGraph>(&gpu_, std::move(recorded));
}

void EmulatedStream::Replay(const kernels::cuda::Graph& graph) {
  if (Spoils() || Fails(gpu_faults::replay, "replaying a step")) return;
  const auto& recording = static_cast<const EmulatedGraph&>(graph);
  if (recording.gpu() != &gpu_) FailHost("a graph is replayed on another GPU than its own");
  CountReplay();
  for (const auto& work : recording.recorded()) Push(work);
}

bool EmulatedStream::Spoils() {
  if (recording_) spoiled_ = true;
  return recording_;
}

void EmulatedStream::Push(std::shared_ptr<const Work> work) {
  if (gpu_.failed()) return;
  if (recording_) return recorded_.push_back(std::move(work));
  queue_.push_back({std::move(work), std::make_unique<char>()});
  ReleaseClock(queue_.back().enqueued.get());
}

// An address is one wherever the arguments have it as one of their words.
const char* EmulatedStream::UserOf(const void* memory, size_t bytes) const {
  const auto first = reinterpret_cast<uintptr_t>(memory);
  for (const Queued& queued : queue_) {
    const Work& work = *queued.work;
    for (size_t at = 0; at + sizeof(uintptr_t) <= work.call.args_bytes; at += sizeof(uintptr_t)) {
      uintptr_t word;
      std::memcpy(&word, work.args.get() + at, sizeof(word));
      if (word - first < bytes) return work.call.name;
    }
  }
  return nullptr;
}

bool EmulatedStream::CanAdvance() const {
  if (queue_.empty()) return false;
  const Work& work = *queue_.front().work;
  return work.kind != Work::kWaitForEvent || work.event->passed;
}

void EmulatedStream::Advance() {
  const Unobserved unobserved;
  const Queued next = std::move(queue_.front());
  queue_.pop_front();
  if (gpu_.failed() || !MayRun(*next.work)) return;
  Run(next);
}

bool EmulatedStream::MayRun(const Work& work) {
  std::string failure;
  if (work.kind == Work::kLaunch) failure = LaunchFailure();
  if (work.kind == Work::kCopy) failure = CopyFailure();
  if (!failure.empty()) gpu_.Fail(failure + ": " + work.call.name);
  for (const Work::Range& range : work.ranges) {
    if (!gpu_.device_memory().Has(range.at, range.bytes)) {
      FailHost(std::string("a ") + work.call.name + " of " + std::to_string(range.bytes) +
               " bytes of a GPU's memory, which are not allocated (any more)");
    }
  }
  return failure.empty();
}

void EmulatedStream::Run(const Queued& queued) {
  const Work& work = *queued.work;
  blocks_->Launch(work.call, work.args.get(),
                  {queued.enqueued.get(), &clocks_[clock_], &clocks_[1 - clock_]});
  clock_ = 1 - clock_;
  if (work.kind == Work::kRecordEvent) {
    work.event->passed = true;
    work.event->when = std::chrono::steady_clock::now();
  }
}

}  // namespace ssmd::simt

namespace ssmd::kernels::cuda {

void Enqueue(Stream& stream, const simt::KernelCall& call, const void* args) {
  static_cast<simt::EmulatedStream&>(stream).Launch(call, args);
}

}  // namespace ssmd::kernels::cuda
