#include "tests/simt/block_run.h"

#include <cstdlib>
#include <numeric>
#include <utility>

#include "tests/simt/misuse.h"
#include "tests/simt/sanitizers.h"
#include "tests/simt/warp_call.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::kWarpThreads;

constexpr size_t kSharedAlignment = 128;  // as simt_cuda.h has it

bool IsBlockCall(Call call) { return call == Call::kSync || call == Call::kSyncAny; }

// Of just the size, so that AddressSanitizer sees what lies beyond.
std::byte* AllocateShared(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, kSharedAlignment, bytes) != 0) FailHost("no memory");
  std::memset(memory, kGarbage, bytes);
  return static_cast<std::byte*>(memory);
}

// 0 … n − 1, each once: i ↦ factor · i + offset modulo n. For n < 2³², which is more blocks than
// anybody waits for here.
class Permutation {
 public:
  Permutation(int64_t n, Random& random)
      : n_(static_cast<uint64_t>(n)), factor_(1 + random.Below(n_)), offset_(random.Below(n_)) {
    while (std::gcd(factor_, n_) != 1) factor_ = factor_ % n_ + 1;
  }

  int64_t operator()(int64_t i) const {
    return static_cast<int64_t>((factor_ * static_cast<uint64_t>(i) % n_ + offset_) % n_);
  }

 private:
  const uint64_t n_;
  uint64_t factor_;
  const uint64_t offset_;
};

}  // namespace

// The pool is to be older than anything that the stream is given to do.
BlockRun::BlockRun(Random* random) : random_(*random) { FiberPool::OfThisThread(); }

BlockRun::~BlockRun() {
  for (auto& set : workers_) {
    for (const auto& worker : set) FiberPool::OfThisThread().Give(std::move(worker->fiber));
  }
}

void BlockRun::Launch(const KernelCall& call, const void* args, const LaunchClocks& clocks) {
  call_ = call;
  args_ = args;
  clocks_ = clocks;
  const int64_t blocks = call.grid.x * call.grid.y * call.grid.z;
  const Permutation order(blocks, random_);
  for (int64_t i = 0; i < blocks; ++i) {
    set_ = kThreadSanitizer ? static_cast<int>(i % 2) : 0;
    RunBlock(order(i));
  }
}

void BlockRun::RunBlock(int64_t block) {
  PlaceBlock(block);
  while (returned_ < call_.threads) {
    Worker* next = Next();
    if (next == nullptr) FailStuck(0, call_.threads, "not all threads come to the same call");
    current_thread = &next->thread;
    if (next->started) {
      next->fiber->Resume();
    } else {
      next->started = true;
      next->fiber->Start(&RunThreads, next);
    }
    if (next->thread.waits) Arrive(*next);
  }
  current_thread = nullptr;
  std::free(facts_.shared);
}

void BlockRun::PlaceBlock(int64_t block) {
  const int64_t x = block % call_.grid.x;
  const int64_t y = block / call_.grid.x % call_.grid.y;
  const int64_t z = block / call_.grid.x / call_.grid.y;
  facts_ = {&call_,
            random_.seed(),
            x,
            y,
            z,
            AllocateShared(call_.shared_bytes),
            &barrier_clocks_[set_],
            clocks_.before};
  const auto threads = static_cast<size_t>(call_.threads);
  unstarted_.resize(threads);
  std::iota(unstarted_.begin(), unstarted_.end(), 0);
  random_.Shuffle(unstarted_);
  by_thread_.assign(threads, nullptr);
  returned_ = 0;
  idle_[set_].clear();
  for (const auto& worker : workers_[set_]) idle_[set_].push_back(worker.get());
}

// Any of those that can run, or null.
BlockRun::Worker* BlockRun::Next() {
  const size_t choices = ready_.size() + unstarted_.size();
  if (choices == 0) return nullptr;
  const size_t choice = random_.Below(choices);
  if (choice >= ready_.size()) return IdleWorker();
  std::swap(ready_[choice], ready_.back());
  Worker* worker = ready_.back();
  ready_.pop_back();
  return worker;
}

BlockRun::Worker* BlockRun::IdleWorker() {
  if (idle_[set_].empty()) {
    workers_[set_].push_back(std::make_unique<Worker>(this));
    idle_[set_].push_back(workers_[set_].back().get());
  }
  Worker* worker = idle_[set_].back();
  idle_[set_].pop_back();
  worker->started = false;
  return worker;
}

// On the worker's fiber.
void BlockRun::RunThreads(void* argument) {
  auto& worker = *static_cast<Worker*>(argument);
  BlockRun& run = *worker.run;
  const auto another = [&run] {
    return !kThreadSanitizer && run.ready_.empty() && !run.unstarted_.empty();
  };
  do {
    run.Begin(worker);
    AcquireClock(run.clocks_.enqueued);
    if (!run.call_.overlaps) AcquireClock(run.clocks_.before);
    run.call_.run(Block(&worker.thread), run.args_);
    if (run.call_.overlaps && !worker.thread.waited) {
      worker.thread.Fail("overlaps earlier kernels and returns without waiting for them");
    }
    ReleaseClock(run.clocks_.after);
    run.Finish(worker);
  } while (another());
  if (!kThreadSanitizer) run.idle_[run.set_].push_back(&worker);
}

void BlockRun::Begin(Worker& worker) {
  const Unobserved unobserved;
  Thread& thread = worker.thread;
  thread.index = unstarted_.back();
  unstarted_.pop_back();
  thread.block = &facts_;
  thread.waits = false;
  thread.waited = false;
  thread.block_calls = thread.warp_calls = 0;
  thread.copies.Clear();
  by_thread_[static_cast<size_t>(thread.index)] = &worker;
}

void BlockRun::Finish(Worker& worker) {
  const Unobserved unobserved;
  by_thread_[static_cast<size_t>(worker.thread.index)] = nullptr;
  ++returned_;
}

void BlockRun::Arrive(Worker& worker) {
  const Thread& thread = worker.thread;
  if (IsBlockCall(thread.call)) {
    if (++in_block_call_ == call_.threads) ReleaseBlock();
  } else if (++in_warp_call_[thread.warp()] == kWarpThreads) {
    ReleaseWarp(thread.warp());
  }
}

void BlockRun::ReleaseBlock() {
  CheckSameCall(0, call_.threads, "threads of a block wait in different barriers");
  in_block_call_ = 0;
  bool any = false;
  for (const Worker* worker : by_thread_) any |= worker->thread.value != 0;
  for (Worker* worker : by_thread_) {
    worker->thread.value = any;
    worker->thread.waits = false;
    ready_.push_back(worker);
  }
}

void BlockRun::ReleaseWarp(int warp) {
  CheckSameCall(warp * kWarpThreads, kWarpThreads, "lanes of a warp make different calls");
  in_warp_call_[warp] = 0;
  Thread* lanes[kWarpThreads];
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    const int index = warp * kWarpThreads + lane;
    Worker* worker = by_thread_[static_cast<size_t>(index)];
    lanes[lane] = &worker->thread;
    worker->thread.waits = false;
    ready_.push_back(worker);
  }
  AnswerWarp(lanes);
}

// Calls on different lines are different calls.
void BlockRun::CheckSameCall(int first, int count, const char* what) const {
  const Thread& one = by_thread_[static_cast<size_t>(first)]->thread;
  for (int i = first; i < first + count; ++i) {
    const Thread& other = by_thread_[static_cast<size_t>(i)]->thread;
    const bool same = other.call == one.call && other.place.line == one.place.line &&
                      std::strcmp(other.place.file, one.place.file) == 0 &&
                      (one.call != Call::kMma || other.fragments.widen == one.fragments.widen);
    if (!same) FailStuck(first, count, what);
  }
}

void BlockRun::FailStuck(int first, int count, const char* what) const {
  std::vector<const Thread*> threads;
  for (int i = first; i < first + count; ++i) {
    const Worker* worker = by_thread_[static_cast<size_t>(i)];
    threads.push_back(worker == nullptr ? nullptr : &worker->thread);
  }
  simt::FailStuck(facts_, first, threads, what);
}

}  // namespace ssmd::simt
