// What RWKV-5 and 6 share: the recurrence over heads with a matrix state, the norm of each head's
// output, the gate.
//
// The kernels take heads of whole vectors. Narrower ones (tiny models have them) are padded with
// channels whose receptance, key and value are zero.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RWKV_HEADS_H_
#define SSMD_ENGINE_MODELS_MIXERS_RWKV_HEADS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/models/mixers/projection.h"
#include "engine/models/mixers/rwkv.h"
#include "engine/models/mixers/rwkv_parts.h"

namespace ssmd {

class RwkvHeads {
 public:
  // Receptance, key and value, in this order.
  static constexpr int kPaths = 3;
  // Inputs of a step, (rows, d_model) each.
  struct Inputs {
    const float* path[kPaths] = {};
    const float* gate = nullptr;       // null where there is none
    const float* decay_row = nullptr;  // (rows, padded()), of RWKV-6
  };

  // `has_gate`: a layer without one is RWKV-5.1's.
  RwkvHeads(const RwkvTimeMixing& config, const std::string& prefix, bool has_gate,
            TensorBinder* binder);

  void DeclareState(int layer, StateLayout* layout);
  // `decay` is of each channel, padded.
  absl::Status Prepare(const std::vector<float>& decay, WeightLoader* loader);
  // Adds what the heads make of the inputs to the residual stream.
  void Forward(const MixerStep& step, const Inputs& inputs, ScratchPieces* scratch) const;

  static int64_t ScratchFloatsPerRow(const RwkvTimeMixing& config);

  // Width of all heads together, padded.
  int64_t padded() const { return heads() * padded_dim(); }
  // (d_inner) or, one for each head, (heads) to (padded()).
  std::vector<float> PadChannels(const std::vector<float>& values) const;
  // Rows of a matrix likewise.
  std::vector<float> PadRows(const std::vector<float>& values) const;

 private:
  int64_t heads() const { return config_.d_inner / config_.head_dim; }
  int64_t padded_dim() const { return kernels::PaddedLanes(config_.head_dim); }
  absl::StatusOr<Projection> LoadPath(const TensorInfo& tensor, WeightLoader* loader) const;
  absl::StatusOr<std::vector<float>> LoadBonus(WeightLoader* loader) const;
  kernels::Wkv6Params Recurrence(const MixerStep& step, const Inputs& inputs, float* const* paths,
                                 float* y) const;
  void NormHeads(const MixerStep& step, const float* y, float* out) const;

  const RwkvTimeMixing& config_;
  struct {
    const TensorInfo* path[kPaths];
    const TensorInfo* gate;
    const TensorInfo* bonus;
    bool bonus_is_log;  // RWKV-5.1's, as it was trained
    const TensorInfo *norm_weight, *norm_bias;
    const TensorInfo* output;
  } tensors_ = {};  // until Prepare has read them
  StatePlace wkv_;

  Projection path_[kPaths];
  Projection gate_;
  kernels::Buffer decay_, bonus_, norm_weight_, norm_bias_;
  Projection output_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RWKV_HEADS_H_
