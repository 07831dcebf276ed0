// What a family of state-space layers must give to take part in a language model.
//
// To add one: a file in mixers/ with a MixerFamily and its Mixer, a line in registry.cc or
// ssm_lm.cc, a test.
// The model around it (embedding, norms, residual stream, head) and everything above know layers by
// this interface alone.
//
// Life of a Mixer: Bind (names and shapes only) → DeclareState → Prepare (reads weights) → Forward,
// any number of times, on the thread that owns the device.
#ifndef SSMD_ENGINE_MODELS_MIXER_H_
#define SSMD_ENGINE_MODELS_MIXER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/models/tensor_binder.h"
#include "engine/models/weight_loader.h"
#include "engine/state/layout.h"
#include "engine/state/state_pool.h"
#include "kernels/device.h"

namespace ssmd {

// The norm before a block, of the residual stream into scratch: one of the two.
struct BlockNorm {
  bool centred = false;
  kernels::RmsNormParams rms;      // where it is not centred
  kernels::GroupNormParams layer;  // where it is

  const float* out() const { return centred ? layer.out : rms.out; }
  int64_t out_stride() const { return centred ? layer.out_stride : rms.out_stride; }
  // As a part of a layer that devices fuse. One with a mean is run here, and that part has no rows.
  kernels::RmsNormParams AsPart(kernels::Device* device) const {
    if (!centred) return rms;
    device->GroupNorm(layer);
    return {};
  }
  void Run(kernels::Device* device) const {
    if (centred) {
      device->GroupNorm(layer);
    } else {
      device->RmsNorm(rms);
    }
  }
};

// One block's share of a step.
struct MixerStep {
  kernels::Device* device = nullptr;
  const StatePool* pool = nullptr;
  kernels::StepIndices indices;  // on the device
  BlockNorm norm;                // the block's first op
  float* residual = nullptr;     // (rows, d_model): the block's output is added to it
  float* scratch = nullptr;  // rows × MixerFamily::scratch_floats_per_row() floats, any content
  // rows × MixerFamily::shared_floats_per_row() floats, which blocks of one step hand on.
  float* shared = nullptr;
  // rows × MixerFamily::chunk_scratch_floats_per_row() floats, any content; null where prompts are
  // exact, or no family wants any.
  float* chunk_scratch = nullptr;

  int64_t rows() const { return indices.rows; }
};

// Where a block stands in a model.
struct BlockPlace {
  std::string prefix;  // of the names of its tensors
  int layer = 0;
  bool first = false;  // of those that hand on MixerStep::shared
};

// One block.
class Mixer {
 public:
  virtual ~Mixer() = default;

  // Appends the block's fields to `layout` and remembers where they lie. A name is the layer's
  // own: a mixer and an MLP of one layer call theirs differently.
  virtual void DeclareState(int layer, StateLayout* layout) = 0;

  // Reads the bound tensors and computes what derives from them, in double precision where the
  // maths wants it.
  virtual absl::Status Prepare(WeightLoader* loader) = 0;

  virtual void Forward(const MixerStep& step) const = 0;
};

// What blocks of one model have in common: the mixer's part of config.json.
class MixerFamily {
 public:
  virtual ~MixerFamily() = default;

  // One line with all that changes a logit; part of the model's fingerprint.
  virtual std::string Describe() const = 0;

  virtual int64_t scratch_floats_per_row() const = 0;
  virtual int64_t shared_floats_per_row() const { return 0; }

  // Multiply-adds of a token in the recurrence, beside the products of matrices, for floors of
  // speed: one in double precision counts as two. 0: not counted, as Mamba's, whose floors are of
  // products alone.
  virtual int64_t scan_operations() const { return 0; }

  // The chunked form of prompts (Prefill of language_model.h): tokens of a chunk, 0 where there is
  // none, and its scratch. What it computes by beside that is prepared where
  // WeightLoader::prepares_chunks() says so. Families that have a form agree on the tokens, as
  // stacks mix them.
  virtual int64_t chunk_tokens() const { return 0; }
  virtual int64_t chunk_scratch_floats_per_row() const { return 0; }

  // The block at `place`. Never null; mismatches go to the binder. A block that was bound with
  // mismatches must not be prepared. The family must outlive the block.
  virtual std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXER_H_
