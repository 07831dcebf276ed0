// What kernels_bench does: opens the GPU, measures its ceilings, then models.
#ifndef SSMD_TESTS_GPU_BENCH_BENCH_H_
#define SSMD_TESTS_GPU_BENCH_BENCH_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "kernels/device.h"
#include "tests/gpu/bench/bench_model.h"
#include "tests/gpu/bench/figures.h"
#include "tests/gpu/bench/options.h"
#include "tests/gpu/bench/repeated_step.h"

namespace ssmd::gpu_bench {

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), figures_(ceilings_) {}

  // Prints as it goes. False, and why in *error, where something could not be measured.
  bool Run(std::string* error);

 private:
  struct Programs {
    std::unique_ptr<kernels::StepProgram> whole, without_head;
  };

  bool Open(std::string* error);
  bool MeasureModel(const Shape& shape, kernels::WeightFormat format, bool in_full,
                    std::string* error);
  bool WantsAny(const Shape& shape, kernels::WeightFormat format) const;
  std::unique_ptr<BenchModel> MakeModel(const Shape& shape, kernels::WeightFormat format,
                                        std::vector<Load>* loads);
  bool MeasureLoad(BenchModel& model, const Load& load, bool in_full, Programs& programs);
  void MeasureKernels(BenchModel& model, const Load& load, bool in_full,
                      const kernels::StepIndices& step);
  void MeasureKernel(const BenchModel& model, const Load& load, const Part& part,
                     const kernels::StepIndices& step);
  void MeasureStep(BenchModel& model, const Load& load, const RepeatedStep& step,
                   Programs& programs);
  void MeasureStates(const BenchModel& model);
  // What all kernels of a step take by themselves, boundaries apart. Empty where one was not
  // measured.
  std::optional<double> KernelsAloneMs(BenchModel& model, const Load& load) const;
  Figure FigureOf(const std::string& group, const BenchModel& model, const Load& load,
                  const std::string& name) const;
  bool WriteJson(std::string* error) const;

  const Options options_;
  kernels::cuda::Gpu* gpu_ = nullptr;        // the device's
  kernels::cuda::Stream* stream_ = nullptr;  // likewise
  std::unique_ptr<kernels::Device> device_;
  std::optional<Timer> timer_;
  Ceilings ceilings_;
  Figures figures_;
  std::map<std::string, double> alone_ms_;  // of all layers; by the ids of kernels
};

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_BENCH_H_
