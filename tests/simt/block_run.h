// Runs the blocks of a launch, one after another in an order made from the seed, and of each the
// threads, which take turns where they wait for one another.
//
// A thread that waits for nobody runs from its start to its end, and the next one follows it on the
// same fiber. For ThreadSanitizer every thread has a fiber of its own, and blocks that follow each
// other have different ones: what one fiber does is ordered.
//
// Everything here belongs to one stream and is out of ThreadSanitizer's sight (sanitizers.h), the
// kernel's own accesses apart. REQUIRES: made, used and destroyed within Unobserved, on the heap.
#ifndef SSMD_TESTS_SIMT_BLOCK_RUN_H_
#define SSMD_TESTS_SIMT_BLOCK_RUN_H_

#include <memory>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/fiber.h"
#include "tests/simt/random.h"

namespace ssmd::simt {

// Of a launch: threads begin after what was released to the first two, and release to the third.
struct LaunchClocks {
  char* enqueued;
  char* before;
  char* after;
};

class BlockRun {
 public:
  explicit BlockRun(Random* random);
  ~BlockRun();

  void Launch(const KernelCall& call, const void* args, const LaunchClocks& clocks);

 private:
  // A fiber and the thread that runs on it.
  struct Worker {
    explicit Worker(BlockRun* of) : run(of), fiber(FiberPool::OfThisThread().Take()) {}

    BlockRun* const run;
    std::unique_ptr<Fiber> fiber;
    Thread thread{fiber.get()};
    bool started = false;  // a thread, which waits
  };

  void RunBlock(int64_t block);
  void PlaceBlock(int64_t block);
  Worker* Next();
  Worker* IdleWorker();
  static void RunThreads(void* worker);
  void Begin(Worker& worker);
  void Finish(Worker& worker);
  void Arrive(Worker& worker);
  void ReleaseBlock();
  void ReleaseWarp(int warp);
  void CheckSameCall(int first, int count, const char* what) const;
  [[noreturn]] void FailStuck(int first, int count, const char* what) const;

  Random& random_;

  // Of the launch.
  KernelCall call_ = {};
  const void* args_ = nullptr;
  LaunchClocks clocks_ = {};

  // Of the block.
  BlockFacts facts_ = {};
  int set_ = 0;                     // of workers and clocks
  std::vector<int> unstarted_;      // threads, the next one last
  std::vector<Worker*> ready_;      // in no order
  std::vector<Worker*> by_thread_;  // null before its start and after its end
  int returned_ = 0;
  int in_block_call_ = 0;
  int in_warp_call_[kWarpsMax] = {};

  std::vector<std::unique_ptr<Worker>> workers_[2];
  std::vector<Worker*> idle_[2];
  BarrierClocks barrier_clocks_[2] = {};
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_BLOCK_RUN_H_
