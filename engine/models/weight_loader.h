// Moves bound tensors from a checkpoint to a device: the one place where weights are checked,
// converted, packed and counted.
//
// Each tensor is read once for its check and digest and once more, from memory by then, to be
// packed or copied. A value that is not finite in the format in which it is kept is
// INVALID_ARGUMENT and named by tensor and index; memory that runs out is RESOURCE_EXHAUSTED. One
// thread, at load time.
#ifndef SSMD_ENGINE_MODELS_WEIGHT_LOADER_H_
#define SSMD_ENGINE_MODELS_WEIGHT_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/formats/tensor_info.h"
#include "engine/models/fingerprint.h"
#include "engine/models/packed_cache.h"
#include "kernels/device.h"

namespace ssmd {

// What a matrix is for, which decides how it is kept where matrices are quantised.
enum class MatrixRole : uint8_t {
  kProjection,  // in and out of a layer: as asked for
  kSelection,   // makes Δ, B and C, which feed the recurrence: bf16, and activations stay f32
  kVocabulary,  // embedding and head: not below q8
};
kernels::WeightFormat KeptFormat(kernels::WeightFormat asked, MatrixRole role);

class WeightLoader {
 public:
  using Progress = std::function<void(int64_t bytes_done, int64_t bytes_total)>;

  // `format` is how matrices are kept, but for what their role makes of it; everything else is kept
  // as f32. `progress` may be null.
  WeightLoader(kernels::Device* device, kernels::WeightFormat format, int64_t bytes_total,
               Progress progress);

  // A matrix (outputs, inputs), packed. INVALID_ARGUMENT where a weight is too large to be
  // quantised. REQUIRES: two dimensions.
  absl::StatusOr<kernels::PackedMatrix> Matrix(const TensorInfo& tensor, MatrixRole role);

  // The same of values that were computed from tensors, which Values() has read: (outputs, inputs),
  // row-major. `name` is for errors.
  absl::StatusOr<kernels::PackedMatrix> Derived(const std::string& name, std::vector<float> values,
                                                int64_t outputs, int64_t inputs, MatrixRole role);

  // All elements as f32, in host memory, for what is computed at load time.
  absl::StatusOr<std::vector<float>> Values(const TensorInfo& tensor);

  // Elements as f32 on the device, in the tensor's order.
  absl::StatusOr<kernels::Buffer> Vector(const TensorInfo& tensor);

  // `values` on the device; `name` is for errors.
  absl::StatusOr<kernels::Buffer> Upload(const std::vector<float>& values, const std::string& name);
  absl::StatusOr<kernels::Buffer> Upload(const std::vector<double>& values,
                                         const std::string& name);

  // Whether prompts will be taken in chunks (Prefill), which some mixers prepare for.
  void set_prepares_chunks(bool prepares) { prepares_chunks_ = prepares; }
  bool prepares_chunks() const { return prepares_chunks_; }

  // Takes matrices from `cache` where it has them, and adds those that are packed to `writer`.
  // Either may be null; both outlive the loader's use.
  void UseCache(const PackedCache* cache, PackedCacheWriter* writer);
  // The first error of `writer`, after which nothing more was added.
  const absl::Status& writing() const { return writing_; }

  // Checks that an element derived from a weight is finite: INVALID_ARGUMENT otherwise.
  static absl::Status NotFinite(const std::string& name, int64_t index);

  kernels::WeightFormat format() const { return format_; }
  int64_t bytes_kept() const { return bytes_kept_; }
  // Of all matrices but embedding and head.
  int64_t layer_matrix_elements() const { return layer_matrix_elements_; }
  // Digest of every tensor that was loaded, by name.
  const std::map<std::string, Sha256>& digests() const { return digests_; }

 private:
  // The matrix out of the cache; absent where that has none of this name, sizes and format.
  absl::StatusOr<std::optional<kernels::PackedMatrix>> FromCache(const TensorInfo& tensor,
                                                                 kernels::WeightFormat format);
  absl::StatusOr<kernels::PackedMatrix> Pack(const TensorInfo& tensor,
                                             kernels::WeightFormat format);
  // The matrix of a tensor whose elements are known to be finite.
  absl::StatusOr<kernels::PackedMatrix> PackFinite(const TensorInfo& tensor,
                                                   kernels::WeightFormat format);
  // Adds it to the writer, unless that has failed.
  absl::Status Keep(const std::string& name, const kernels::PackedMatrix& matrix);
  absl::StatusOr<kernels::Buffer> UploadBytes(const void* values, size_t bytes,
                                              const std::string& name);
  void Count(const kernels::PackedMatrix& matrix, MatrixRole role);
  void ReportProgress(size_t bytes);

  // Checks and digests a tensor's bytes.
  absl::Status Examine(const TensorInfo& tensor, kernels::WeightFormat kept);

  kernels::Device* device_;
  kernels::WeightFormat format_;
  int64_t bytes_total_;
  Progress progress_;
  bool prepares_chunks_ = false;
  int64_t bytes_done_ = 0;
  int64_t bytes_kept_ = 0;
  int64_t layer_matrix_elements_ = 0;
  std::map<std::string, Sha256> digests_;
  const PackedCache* cache_ = nullptr;
  PackedCacheWriter* writer_ = nullptr;
  absl::Status writing_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_WEIGHT_LOADER_H_
