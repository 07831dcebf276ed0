// A language model ready to run: embedding → N × (norm → mixer → residual) → norm → head, over the
// ops of a kernels::Device, with the activations of one step.
//
// Thread-compatible: after loading, the thread that owns the device calls it.
#ifndef SSMD_ENGINE_MODELS_LANGUAGE_MODEL_H_
#define SSMD_ENGINE_MODELS_LANGUAGE_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/file_system.h"
#include "engine/models/batch.h"
#include "engine/models/memory_config.h"
#include "engine/state/layout.h"
#include "engine/state/state_pool.h"
#include "kernels/device.h"

namespace ssmd {

// How prompts go through the recurrence. kExact steps token by token, so that no cut of a prompt
// shows in a bit. kChunked takes whole chunks of ModelInfo::chunk_tokens as matrix products, for
// which the mixer must have a form (Mamba-2, RetNet, HiPPO-LegT): faster, with other rounding, and
// bits depend on which chunks a step has whole. Chunks begin at multiples of chunk_tokens of a
// history, so cuts there do not show. kFast is whichever was measured to be the faster one: chunks
// where the mixers have them, else exact.
enum class Prefill : uint8_t { kExact, kChunked, kFast };
std::optional<Prefill> ParsePrefill(absl::string_view name);  // "exact", "chunked", "fast"

struct ModelInfo {
  std::string architecture;  // "mamba", "rwkv7" and the like
  std::string weights;       // "f32", "bf16", "f16", "fp8", "q8", "q4": how matrices are kept
  std::string state;         // "f32", "bf16", "f16": how a recurrence's state is kept
  int64_t chunk_tokens = 0;  // of the chunked prefill; 0: prompts are exact
  int64_t parameters = 0;
  int64_t weight_bytes = 0;  // as kept
  // Multiply-adds of a token in the layers: their matrices, and MixerFamily::scan_operations().
  int64_t matrix_elements = 0;
  int64_t scan_operations = 0;
  int layers = 0;
  int d_model = 0;
  int vocabulary = 0;                   // rows of the head: token ids are in [0, vocabulary)
  std::optional<int32_t> bos_token_id;  // of config.json
  std::vector<int32_t> eos_token_ids;   // of generation_config.json, else config.json; may be empty
  std::vector<std::string> warnings;    // what the files say that is ignored, a line each
  std::string weight_cache;  // the file that keeps the quantised weights; empty: there is none
  bool weights_from_cache = false;  // read from there, not quantised anew
  // Of a memory, whose tokens are samples of a signal (memory_model.h): it has no logits. Absent: a
  // language model.
  std::optional<MemoryConfig> memory;
  std::string
      fingerprint;  // hex digest of configuration, tensors (names, shapes, bytes) and weight format
};

struct ModelLoadOptions {
  std::optional<kernels::WeightFormat> weights;  // absent: as the file has them (FormatOfFile)
  Prefill prefill = Prefill::kExact;
  // Of the recurrences between tokens (kernels/state_format.h). Narrow ones halve the bytes of a
  // session and of a step's states, and are rounded after each token.
  kernels::StateFormat state = kernels::StateFormat::kF32;
  // Where matrices that were quantised are kept, so that the next load only reads them: a folder.
  // Empty: nowhere. What cannot be kept is a warning (ModelInfo::warnings).
  std::string cache_dir;
  FileSystem* cache_files = nullptr;  // that cache_dir is written through; null: the system's
  int max_rows = 512;       // most rows of a Batch (the token budget); activations are sized for it
  int max_logit_rows = 64;  // most rows of one Logits call
  // Called now and then while loading, on the loading thread.
  std::function<void(int64_t bytes_done, int64_t bytes_total)> progress;
};

// Tokens to draw from rows of logits.
struct RowDraws {
  std::vector<kernels::SampleRow> draws;  // `logits` are the model's to set, `token_id` the result
  // Of each draw: the row of logits, counted from the first that is asked for.
  std::vector<int> rows;
  std::vector<uint8_t> keep;  // of each row: 1 where its logits are wanted as well
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual const ModelInfo& info() const = 0;
  virtual const StateLayout& state_layout() const = 0;
  virtual int max_rows() const = 0;
  virtual int max_logit_rows() const = 0;

  // Runs one step: advances the states of the batch's segments in `pool` and keeps the normalised
  // final hidden vectors of batch.logit_rows for the calls below. REQUIRES: 1 <= batch.rows() <=
  // max_rows(); `pool` was made with state_layout().
  virtual void Forward(const Batch& batch, StatePool& pool) = 0;

  // Those vectors of entries [first, first + count), as (count, d_model), into host memory.
  virtual void Hidden(int first, int count, float* hidden) = 0;

  // Logits of entries [first, first + count) of the last batch's logit_rows, as (count,
  // vocabulary), valid until the next call. REQUIRES: 1 <= count <= max_logit_rows().
  virtual const float* Logits(int first, int count) = 0;

  // Draws from those logits. Returns them as Logits() does, but only rows to keep are there.
  // REQUIRES: as Logits(); draws->keep has `count` elements.
  virtual const float* Sample(int first, int count, RowDraws* draws) = 0;
};

// Reads a checkpoint folder (config.json, or Mistral's params.json where there is none, and what
// Checkpoint::Open finds) or a file: GGUF, or an RWKV model of rwkv.cpp or torch, whose tensors say
// what it is (as they do in a folder without a configuration). INVALID_ARGUMENT names the file and
// everything that is missing, surplus, mis-shaped, mis-typed or not finite; NOT_FOUND where a file
// is absent; RESOURCE_EXHAUSTED where memory is.
absl::StatusOr<std::unique_ptr<LanguageModel>> LoadLanguageModel(const std::string& path,
                                                                 const ModelLoadOptions& options,
                                                                 kernels::Device* device);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_LANGUAGE_MODEL_H_
