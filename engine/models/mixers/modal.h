// Layers whose channels have complex modes of their own: S4 and S4D, over kernels::ModalScan.
#ifndef SSMD_ENGINE_MODELS_MIXERS_MODAL_H_
#define SSMD_ENGINE_MODELS_MIXERS_MODAL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/models/mixers/prepare_s4.h"
#include "engine/models/mixers/time_invariant.h"

namespace ssmd {

struct ModalConfig : TimeInvariantConfig {
  int64_t modes = 0;  // of a channel, stored ones
  int64_t rank = 0;   // of their coupling

  int64_t scan_operations() const { return d_model * modes * (6 + 4 * rank); }
};

// Half of `d_state`: the modes that are stored, of which each stands for its conjugate as well.
absl::StatusOr<int64_t> ParseConjugateModes(const ConfigObject& members);

// The coefficients of all channels, in the kernel's layout.
class ModalTable {
 public:
  // `decays` and `outputs` are the tensors to blame for what cannot be kept.
  ModalTable(const ModalConfig& config, std::string decays, std::string outputs);

  // REQUIRES: as many modes and couplings as the configuration says.
  absl::Status Set(int64_t channel, const ModalChannel& coefficients);

  const std::vector<float>& decay() const { return decay_; }
  const std::vector<float>& output() const { return output_; }
  const std::vector<float>& coupling_in() const { return coupling_in_; }  // empty: rank 0
  const std::vector<float>& coupling_out() const { return coupling_out_; }

 private:
  size_t Index(int64_t rows, int64_t row, int64_t channel, int64_t mode) const;
  absl::Status SetRow(int64_t channel, int64_t rows, int64_t row,
                      const std::vector<Complex>& values, std::vector<float>* table);

  const ModalConfig& config_;
  const std::string decays_;
  const std::string outputs_;
  std::vector<float> decay_, output_, coupling_in_, coupling_out_;
};

class ModalMixer : public TimeInvariantMixer {
 public:
  ModalMixer(const ModalConfig& config, const std::string& prefix, TensorBinder* binder);

  void DeclareState(int layer, StateLayout* layout) final;

 protected:
  absl::Status PrepareSsm(WeightLoader* loader) final;
  void Ssm(const MixerStep& step, float* scratch, float* y) const final;

  // The coefficients of all channels, in double precision until they are in the table.
  virtual absl::StatusOr<ModalTable> Coefficients(WeightLoader* loader) = 0;

 private:
  const ModalConfig& modal_;
  const TensorInfo* d_tensor_ = nullptr;  // (d_model), until it is read
  StatePlace state_;
  kernels::Buffer decay_, output_, coupling_in_, coupling_out_, d_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_MODAL_H_
