// What a model's configuration says of its layers: the residual blocks from embedding to head, with
// the names of their tensors, and the families of mixers that they are of.
//
// A layer of the configuration is one block or two: its mixer, and its MLP, which is a mixer
// without neighbours or a state (or with a small one, as RWKV's channel mixing).
#ifndef SSMD_ENGINE_MODELS_STACK_H_
#define SSMD_ENGINE_MODELS_STACK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/models/mixer.h"

namespace ssmd {

struct BlockPlan {
  std::string norm;    // its tensors are this with ".weight" and, where norms have a mean, ".bias"
  std::string prefix;  // of the names of the mixer's tensors
  int layer = 0;
  const MixerFamily* family = nullptr;
};

// Families and blocks; movable. The names are those that models ask a Checkpoint for.
struct Stack {
  // Any of these, whichever the file has.
  std::vector<std::string> embedding;
  double embedding_scale = 1;  // of what the first block gets of it, and not of a tied head
  std::string embedding_norm;  // as BlockPlan::norm; empty: there is none
  std::vector<BlockPlan> blocks;
  std::string final_norm;
  std::string head;
  std::vector<std::string> ignored;  // tensors that files may have, of no use
  bool centred_norms = false;        // LayerNorm with a bias; else RMS norms

  std::vector<std::unique_ptr<MixerFamily>> families;  // of the blocks

  // A line with all that changes a logit; part of the model's fingerprint.
  std::string Describe() const;
  // The most that a family asks for.
  int64_t scratch_floats_per_row() const;
  int64_t shared_floats_per_row() const;
  int64_t chunk_scratch_floats_per_row() const;
  // Of the chunked form of prompts: what every family that has a form has in common, 0 where none
  // has.
  int64_t chunk_tokens() const;
  // Of all blocks together.
  int64_t scan_operations() const;

 private:
  std::string DescribeBlocks() const;
};

// Of `layers` layers that are all `family`, named as the files of Mamba are: backbone.layers.0.…
Stack UniformStack(std::unique_ptr<MixerFamily> family, int64_t layers);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_STACK_H_
