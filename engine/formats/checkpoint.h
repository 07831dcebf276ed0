// The tensors of a model: of a folder, model.safetensors or the shards that
// model.safetensors.index.json names, or Mistral's consolidated.safetensors, or else those of torch
// (pytorch_model.bin, pytorch_model.bin.index.json, or the only *.pth, which BlinkDL's RWKV models
// are); or those of one file, of GGUF, of rwkv.cpp or of torch. Under the names that models ask
// for.
//
// Shards are plain file names within the folder, and the index must agree with them: each tensor in
// exactly the shard it is mapped to, none twice, none unlisted. The files stay mapped, and must not
// be changed, while the Checkpoint lives. Immutable and thread-safe; move-only.
#ifndef SSMD_ENGINE_FORMATS_CHECKPOINT_H_
#define SSMD_ENGINE_FORMATS_CHECKPOINT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/model_names.h"
#include "engine/formats/tensor_info.h"

namespace ssmd {

inline constexpr size_t kMaxShards = 1024;

// What a model that is one file is, by its first bytes; one that is none of them passes for GGUF.
// An empty one is refused.
enum class ModelFileKind : uint8_t { kGguf, kRwkvCpp, kTorch };
absl::StatusOr<ModelFileKind> KindOfModelFile(const std::string& path);

class Checkpoint {
 public:
  // A folder, or a regular file. NOT_FOUND where the folder holds none of these; INVALID_ARGUMENT
  // where a file is not what it should be, naming the file.
  static absl::StatusOr<Checkpoint> Open(const std::string& path);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // ascending by key()
  const TensorInfo* Find(std::string_view key) const;                  // null when absent
  // What the file calls, or would call, the tensor that models ask for by `key`.
  std::string NameInFile(std::string_view key) const;
  // MappedFile::identity of its files, a line each.
  std::string identity() const;
  // Of its first file.
  const std::string& source() const { return files_.front().name(); }

 private:
  Checkpoint(std::vector<MappedFile> files, std::vector<TensorInfo> tensors);
  static absl::StatusOr<Checkpoint> OpenFile(const std::string& path);
  static absl::StatusOr<Checkpoint> OpenGguf(MappedFile file);
  // Of a folder, or of a file that is not GGUF.
  static Checkpoint WithModelNames(ModelNaming naming, std::vector<MappedFile> files,
                                   std::vector<TensorInfo> tensors);

  std::vector<MappedFile> files_;  // what the tensors point into; at least one
  std::vector<TensorInfo> tensors_;
  std::string gguf_architecture_;  // empty where the files are not GGUF
  ModelNaming naming_ = ModelNaming::kNone;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_CHECKPOINT_H_
