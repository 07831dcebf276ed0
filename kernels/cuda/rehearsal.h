// The ops of a model's steps without doing them: those that fast kernels may do, each shape once;
// and then the comparison of those kernels with their plain twins.
//
// A kernel that disagrees on one shape is off for all that its device does.
#ifndef SSMD_KERNELS_CUDA_REHEARSAL_H_
#define SSMD_KERNELS_CUDA_REHEARSAL_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/cuda/agreed_checks.h"
#include "kernels/cuda/check_layers.h"
#include "kernels/cuda/check_space.h"
#include "kernels/cuda/kernel_checks.h"
#include "kernels/cuda/kernel_choice.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

struct Disagreement {
  FastKernel kernel;
  std::string shape;
  std::string problem;
};

class Rehearsal {
 public:
  // `twins` outlive it, as do the weights of what is noted. `most_rows`: of a step.
  Rehearsal(const Twins& twins, int64_t most_rows) : twins_(twins), most_rows_(most_rows) {}

  void Note(const MatMulParams& params);
  void Note(const RmsNormParams& params);
  void Note(const GatedRmsNormParams& params);
  void Note(const ConvSiluParams& params);
  void Note(const SelectiveScanParams& params);
  void Note(const SsdScanParams& params);
  void Note(const MambaLayerParams& params) { mamba_.try_emplace(LayerShape(params), params); }
  void Note(const Mamba2LayerParams& params) { mamba2_.try_emplace(LayerShape(params), params); }

  // Compares what `choice` has on shapes that are not among those that `agreed`, and switches off
  // what disagrees. Appends to *found. False where there was no memory for that, or the GPU failed.
  bool Compare(CheckSpace& space, KernelChoice* choice, AgreedChecks* agreed,
               std::vector<Disagreement>* found) const;
  // The same of layers that are fused: what is wrong and where, or "", in *problem.
  bool CompareLayers(CheckSpace& space, const LayerRuns<MambaLayerParams>& mamba,
                     const LayerRuns<Mamba2LayerParams>& mamba2, AgreedChecks* agreed,
                     std::string* problem) const;

 private:
  // What is wrong, or "".
  using Check = std::function<std::string(CheckSpace& space)>;
  struct Case {
    FastKernel kernel;
    Check check;
  };

  const Twins twins_;
  const int64_t most_rows_;
  std::map<std::string, Case> cases_;  // by shape
  std::map<std::string, MambaLayerParams> mamba_;
  std::map<std::string, Mamba2LayerParams> mamba2_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_REHEARSAL_H_
