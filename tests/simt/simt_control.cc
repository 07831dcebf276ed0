#include "tests/simt/simt_control.h"

#include <cstdlib>
#include <mutex>
#include <utility>

#include "tests/simt/control_state.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::GpuFacts;

// Fails the n-th of something.
struct Fuse {
  int64_t left = 0;  // 0 never does
  std::string text;

  bool Burns() { return left > 0 && --left == 0; }
};

uint64_t SeedOfEnvironment() {
  const char* seed = std::getenv("SSMD_SIMT_SEED");
  return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

struct Control {
  uint64_t seed = SeedOfEnvironment();
  std::vector<GpuFacts> gpus = {DefaultFacts()};
  std::string driver_error;
  Fuse allocation, pinned_allocation, launch, copy;
  bool refuse_recording = false, spoil_recordings = false;
  Counts counts;
};

std::mutex mutex;

// REQUIRES: `mutex` is held.
Control& State() {
  static Control control;
  return control;
}

std::string TextOf(Fuse& fuse) { return fuse.Burns() ? fuse.text : std::string(); }

}  // namespace

GpuFacts DefaultFacts() {
  GpuFacts facts;
  facts.name = "emulated";
  facts.major = 9;
  facts.multiprocessors = 4;
  facts.memory_bytes = size_t{2} << 30;
  facts.shared_bytes = 227 << 10;
  facts.driver_version = facts.runtime_version = 13000;
  return facts;
}

void ResetControl() {
  const std::lock_guard lock(mutex);
  State() = Control();
}

void SetSeed(uint64_t seed) {
  const std::lock_guard lock(mutex);
  State().seed = seed;
}

uint64_t Seed() {
  const std::lock_guard lock(mutex);
  return State().seed;
}

void SetGpus(std::vector<GpuFacts> gpus) {
  const std::lock_guard lock(mutex);
  State().gpus = std::move(gpus);
  State().driver_error.clear();
}

void SetNoDriver(std::string error) {
  const std::lock_guard lock(mutex);
  State().gpus.clear();
  State().driver_error = std::move(error);
}

void FailAllocation(int64_t n) {
  const std::lock_guard lock(mutex);
  State().allocation = {n, ""};
}

void FailPinnedAllocation(int64_t n) {
  const std::lock_guard lock(mutex);
  State().pinned_allocation = {n, ""};
}

void FailLaunch(int64_t n, std::string text) {
  const std::lock_guard lock(mutex);
  State().launch = {n, std::move(text)};
}

void FailCopy(int64_t n, std::string text) {
  const std::lock_guard lock(mutex);
  State().copy = {n, std::move(text)};
}

void RefuseRecording(bool refuse) {
  const std::lock_guard lock(mutex);
  State().refuse_recording = refuse;
}

void SpoilRecordings(bool spoil) {
  const std::lock_guard lock(mutex);
  State().spoil_recordings = spoil;
}

Counts CountsSoFar() {
  const std::lock_guard lock(mutex);
  return State().counts;
}

std::vector<GpuFacts> Gpus(std::string* error) {
  const std::lock_guard lock(mutex);
  *error = State().driver_error;
  return State().gpus;
}

bool AllocationFails() {
  const std::lock_guard lock(mutex);
  ++State().counts.allocations;
  return State().allocation.Burns();
}

bool PinnedAllocationFails() {
  const std::lock_guard lock(mutex);
  ++State().counts.pinned_allocations;
  return State().pinned_allocation.Burns();
}

std::string LaunchFailure() {
  const std::lock_guard lock(mutex);
  ++State().counts.launches;
  return TextOf(State().launch);
}

std::string CopyFailure() {
  const std::lock_guard lock(mutex);
  ++State().counts.copies;
  return TextOf(State().copy);
}

bool RecordingIsRefused() {
  const std::lock_guard lock(mutex);
  return State().refuse_recording;
}

bool RecordingIsSpoiled() {
  const std::lock_guard lock(mutex);
  ++State().counts.recordings;
  return State().spoil_recordings;
}

void CountReplay() {
  const std::lock_guard lock(mutex);
  ++State().counts.replays;
}

}  // namespace ssmd::simt
