// What tests say to the emulation: which GPUs there are, in which order things happen, what fails.
//
// All of it is of the process, as the machine's GPUs are: code under test opens them by itself.
// How it is at the start is in the environment (README.md), for programs under test. Any thread;
// ordinals begin at 1, which is the next one.
#ifndef SSMD_TESTS_SIMT_SIMT_CONTROL_H_
#define SSMD_TESTS_SIMT_SIMT_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/runtime.h"

namespace ssmd::simt {

// "emulated", 9.0, 4 multiprocessors, 2 GiB.
kernels::cuda::GpuFacts DefaultFacts();

// All that follows as it is at the start. Tests call it first, or have a ScopedControl.
void ResetControl();

class ScopedControl {
 public:
  ScopedControl() { ResetControl(); }
  ~ScopedControl() { ResetControl(); }
  ScopedControl(const ScopedControl&) = delete;
  ScopedControl& operator=(const ScopedControl&) = delete;
};

// The order of blocks, threads and streams of GPUs opened from here on. At the start it is 1.
void SetSeed(uint64_t seed);
uint64_t Seed();

// One with DefaultFacts() at the start. The memory that may be allocated is memory_bytes of each.
void SetGpus(std::vector<kernels::cuda::GpuFacts> gpus);
// There are none, and why.
void SetNoDriver(std::string error);

// The n-th allocation of any GPU from here on returns null.
void FailAllocation(int64_t n);
void FailPinnedAllocation(int64_t n);
// The n-th launch of a kernel, or copy or zeroing, that a stream comes to from here on is the end
// of its GPU, with this text. It has no effect and no later one has.
void FailLaunch(int64_t n, std::string text);
void FailCopy(int64_t n, std::string text);
// BeginRecording is refused, or EndRecording has nothing to show.
void RefuseRecording(bool refuse);
void SpoilRecordings(bool spoil);

// What has been done since ResetControl(), by all GPUs.
struct Counts {
  int64_t allocations = 0, pinned_allocations = 0;
  int64_t launches = 0, copies = 0, replays = 0, recordings = 0;
};
Counts CountsSoFar();

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_SIMT_CONTROL_H_
