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

// $SSMD_SIMT_<name>, or "".
std::string Variable(const char* name) {
  const char* value = std::getenv((std::string("SSMD_SIMT_") + name).c_str());
  return value == nullptr ? "" : value;
}

uint64_t NumberOf(const std::string& text, uint64_t otherwise) {
  return text.empty() ? otherwise : std::strtoull(text.c_str(), nullptr, 10);
}

// "N" or "N:what happened".
Fuse FuseOf(const std::string& text) {
  const size_t colon = text.find(':');
  Fuse fuse = {static_cast<int64_t>(NumberOf(text, 0)), "broken"};
  if (colon != std::string::npos) fuse.text = text.substr(colon + 1);
  return fuse;
}

std::vector<GpuFacts> GpusOfEnvironment() {
  if (!Variable("NO_DRIVER").empty()) return {};
  GpuFacts facts = DefaultFacts();
  facts.memory_bytes = NumberOf(Variable("MEMORY_BYTES"), facts.memory_bytes);
  return {facts};
}

struct Control {
  uint64_t seed = NumberOf(Variable("SEED"), 1);
  std::vector<GpuFacts> gpus = GpusOfEnvironment();
  std::string driver_error = Variable("NO_DRIVER");
  Fuse allocation = FuseOf(Variable("FAIL_ALLOCATION"));
  Fuse pinned_allocation = FuseOf(Variable("FAIL_PINNED_ALLOCATION"));
  Fuse launch = FuseOf(Variable("FAIL_LAUNCH"));
  Fuse copy = FuseOf(Variable("FAIL_COPY"));
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
