// The ops of a model's steps without doing them: those that fast kernels may do, each shape once;
// and then the comparison of those kernels with their plain twins. Layers are noted for whoever can
// run them.
//
// A kernel that disagrees on one shape is off for all that its device does.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_REHEARSAL_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_REHEARSAL_H_

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "kernels/cuda/kernel_choice.h"
#include "kernels/cuda/selfcheck/agreed_checks.h"
#include "kernels/cuda/selfcheck/check_space.h"
#include "kernels/cuda/selfcheck/kernel_checks.h"
#include "kernels/cuda/selfcheck/trials.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

struct Disagreement {
  std::string kernel;  // NameOf
  std::string shape;
  std::string problem;  // empty: an earlier comparison did not come to its end
};

class Rehearsal {
 public:
  // What is kept of comparisons from start to start.
  struct Memory {
    AgreedChecks& agreed;
    Trials& trials;
  };

  // `twins` outlive it, as do the weights of what is noted. `most_rows`: of a step.
  Rehearsal(const Twins& twins, int64_t most_rows) : twins_(twins), most_rows_(most_rows) {}

  void Note(const MatMulParams& params);
  void Note(const RmsNormParams& params);
  void Note(const GatedRmsNormParams& params);
  void Note(const ConvSiluParams& params);
  void Note(const SelectiveScanParams& params);
  void Note(const SsdScanParams& params);
  // Not its ops.
  void Note(const MambaLayerParams& params);
  void Note(const Mamba2LayerParams& params);

  // The first product of each shape in a layer.
  const std::map<std::string, MatMulParams>& layer_products() const { return layer_products_; }
  // The first layer of each shape, kind of step and number of rows.
  const std::map<std::string, MambaLayerParams>& mamba_layers() const { return mamba_layers_; }
  const std::map<std::string, Mamba2LayerParams>& mamba2_layers() const { return mamba2_layers_; }

  // Compares what `choice` has on shapes that are not among those that `agreed`, and switches off
  // what disagrees. Appends to *found. False where there was no memory for that, or the GPU failed.
  // Products go by wgmma or by the older instruction: where the first disagrees on one shape, the
  // other is compared on all.
  bool Compare(CheckSpace& space, KernelChoice* choice, const Memory& memory,
               std::vector<Disagreement>* found) const;

 private:
  // What is wrong, or "". `unit`: of products.
  using Check = std::function<std::string(CheckSpace& space, fast::ProductUnit unit)>;
  struct Case {
    FastKernel kernel;
    Check check;
  };

  // Likewise, of one kernel.
  bool CompareOne(CheckSpace& space, FastKernel kernel, KernelChoice* choice, const Memory& memory,
                  std::vector<Disagreement>* found) const;
  void NoteProducts(std::initializer_list<const MatMulParams*> products);
  Twins TwinsBy(fast::ProductUnit unit) const;

  const Twins twins_;
  const int64_t most_rows_;
  std::map<std::string, Case> cases_;  // by shape
  std::map<std::string, MatMulParams> layer_products_;
  std::map<std::string, MambaLayerParams> mamba_layers_;
  std::map<std::string, Mamba2LayerParams> mamba2_layers_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_REHEARSAL_H_
