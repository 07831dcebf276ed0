// An emulated GPU, one stream of it, and memory that is given back.
#ifndef SSMD_TESTS_SIMT_GPU_FIXTURE_H_
#define SSMD_TESTS_SIMT_GPU_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "tests/simt/simt_control.h"

namespace ssmd::simt {

template <typename T>
using OnGpu = std::unique_ptr<T, std::function<void(T*)>>;

class GpuTest : public ::testing::Test {
 protected:
  GpuTest() { Open(); }

  void TearDown() override {
    if (HasFailure()) std::cerr << "simt: seed " << Seed() << '\n';
  }

  // Anew, by what the control says now.
  void Open() {
    stream_.reset();
    gpu_.reset();
    std::string error;
    gpu_ = kernels::cuda::OpenGpu(0, &error);
    stream_ = gpu_->MakeStream();
  }

  kernels::cuda::Gpu& gpu() { return *gpu_; }
  kernels::cuda::Stream& stream() { return *stream_; }

  template <typename T>
  OnGpu<T> Allocate(size_t count) {
    return {static_cast<T*>(gpu_->Allocate(count * sizeof(T))), [this](T* p) { gpu_->Free(p); }};
  }
  template <typename T>
  OnGpu<T> AllocatePinned(size_t count) {
    return {static_cast<T*>(gpu_->AllocatePinned(count * sizeof(T))),
            [this](T* p) { gpu_->FreePinned(p); }};
  }
  template <typename T, typename Allocator>
  OnGpu<T> Upload(const std::vector<T, Allocator>& values) {
    auto memory = Allocate<T>(values.size());
    stream_->CopyIn(memory.get(), values.data(), values.size() * sizeof(T));
    return memory;
  }
  template <typename T>
  std::vector<T> Download(const T* memory, size_t count) {
    std::vector<T> values(count);
    stream_->CopyOut(values.data(), memory, count * sizeof(T));
    stream_->Synchronize();
    return values;
  }

 private:
  ScopedControl control_;
  std::unique_ptr<kernels::cuda::Gpu> gpu_;
  std::unique_ptr<kernels::cuda::Stream> stream_;
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_GPU_FIXTURE_H_
