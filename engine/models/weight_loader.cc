#include "engine/models/weight_loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"
#include "kernels/host_memory.h"
#include "kernels/matrix_source.h"
#include "kernels/number_format.h"
#include "kernels/quantise.h"

namespace ssmd {
namespace {

using kernels::WeightFormat;

constexpr size_t kChunkBytes = size_t{4} << 20;

// Exclusive limits of the bits of a finite value, its sign apart.
constexpr uint32_t kF32Limit = 0x7F800000;
constexpr uint32_t kF32AsBf16Limit = 0x7F7F8000;  // from here on, rounding gives infinity
constexpr uint32_t kF32AsF16Limit = 0x477FF000;   // likewise
constexpr uint32_t kBf16Limit = 0x7F80;
constexpr uint32_t kBf16AsF16Limit = 0x4780;
constexpr uint32_t kF16Limit = 0x7C00;
// The same of a magnitude that is quantised: kMaxQuantisedWeight, 2^15, is the last.
static_assert(kernels::kMaxQuantisedWeight == 32768);
constexpr uint32_t kF32QuantisedLimit = 0x47000001;
constexpr uint32_t kBf16QuantisedLimit = 0x4701;
constexpr uint32_t kF16QuantisedLimit = 0x7801;

// First of `count` elements whose bits, without the sign, reach `limit`; −1 when none does.
template <typename Bits>
int64_t FirstBeyond(const std::byte* data, int64_t count, uint32_t limit) {
  constexpr Bits kMagnitude = static_cast<Bits>(~Bits{0}) >> 1;
  const auto magnitude = [data](int64_t i) {
    Bits bits;
    std::memcpy(&bits, data + static_cast<size_t>(i) * sizeof(Bits), sizeof(Bits));
    return static_cast<Bits>(bits & kMagnitude);
  };
  Bits largest = 0;  // without an early exit, so that the compiler can vectorise
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, magnitude(i));
  if (largest < limit) return -1;
  int64_t first = 0;
  while (magnitude(first) < limit) ++first;
  return first;
}

// First of `count` blocks that has a factor which is not finite; −1 when none does. Finite ones
// give values far within the range of bf16.
int64_t FirstBadBlock(const kernels::SourceBlock& block, const std::byte* data, int64_t count) {
  for (int64_t i = 0; i < count; ++i, data += block.bytes) {
    for (int factor = 0; factor < block.factors; ++factor) {
      if (FirstBeyond<uint16_t>(data + block.factor_offsets[factor], 1, kF16Limit) >= 0) return i;
    }
  }
  return -1;
}

// TensorBinder admits no other types.
kernels::MatrixSource::Type SourceType(TensorType type) {
  using Type = kernels::MatrixSource::Type;
  switch (type) {
    case TensorType::kF32:
      return Type::kF32;
    case TensorType::kBf16:
      return Type::kBf16;
    case TensorType::kQ8_0:
      return Type::kQ8_0;
    case TensorType::kQ4_0:
      return Type::kQ4_0;
    case TensorType::kQ4_K:
      return Type::kQ4_K;
    case TensorType::kQ6_K:
      return Type::kQ6_K;
    default:
      return Type::kF16;
  }
}

// Of `count` blocks, which are single elements where the type is plain.
int64_t FirstNotFinite(TensorType type, WeightFormat kept, const std::byte* data, int64_t count) {
  const bool f16 = kept == WeightFormat::kF16;
  switch (type) {
    case TensorType::kF32:
      return FirstBeyond<uint32_t>(data, count,
                                   kept == WeightFormat::kBf16 ? kF32AsBf16Limit
                                   : f16                       ? kF32AsF16Limit
                                                               : kF32Limit);
    case TensorType::kBf16:
      return FirstBeyond<uint16_t>(data, count, f16 ? kBf16AsF16Limit : kBf16Limit);
    case TensorType::kF16:
      return FirstBeyond<uint16_t>(data, count, kF16Limit);
    default:
      return FirstBadBlock(kernels::BlockOf(SourceType(type)), data, count);
  }
}

// The largest weight that a block with a factor of 1 can hold, both factors taken together.
float LargestOfBlock(TensorType type) {
  switch (type) {
    case TensorType::kQ8_0:
      return 128;
    case TensorType::kQ4_0:
      return 8;
    case TensorType::kQ4_K:
      return 63 * 15 + 63;
    default:  // kQ6_K
      return 128 * 32;
  }
}

int64_t FirstBlockTooLarge(const TensorInfo& tensor) {
  const kernels::SourceBlock& block = kernels::BlockOf(SourceType(tensor.type));
  const float limit = kernels::kMaxQuantisedWeight / LargestOfBlock(tensor.type);
  const std::byte* data = tensor.data;
  for (int64_t i = 0; i < tensor.elements; i += block.inputs, data += block.bytes) {
    for (int factor = 0; factor < block.factors; ++factor) {
      uint16_t half = 0;
      std::memcpy(&half, data + block.factor_offsets[factor], sizeof(half));
      if (std::fabs(kernels::WidenF16(half)) > limit) return i;
    }
  }
  return -1;
}

// What groups of 32 inputs cannot keep, nor f16 where the factors of blocks do not tell how large
// the weights are.
int64_t FirstTooLarge(const TensorInfo& tensor, WeightFormat format) {
  const bool f16_of_blocks = format == WeightFormat::kF16 && TensorTypeBlock(tensor.type) > 1;
  if (!kernels::IsQuantised(format) && !f16_of_blocks) return -1;
  switch (tensor.type) {
    case TensorType::kF32:
      return FirstBeyond<uint32_t>(tensor.data, tensor.elements, kF32QuantisedLimit);
    case TensorType::kBf16:
      return FirstBeyond<uint16_t>(tensor.data, tensor.elements, kBf16QuantisedLimit);
    case TensorType::kF16:
      return FirstBeyond<uint16_t>(tensor.data, tensor.elements, kF16QuantisedLimit);
    default:
      return FirstBlockTooLarge(tensor);
  }
}

absl::Status TooLarge(const std::string& name, int64_t index, kernels::WeightFormat format) {
  return absl::InvalidArgumentError(
      absl::StrCat("weight ", Quoted(name), " is larger than ", kernels::kMaxQuantisedWeight,
                   " at index ", index, ", which ", View(kernels::WeightFormatName(format)),
                   " cannot keep: load it as bf16 or f32"));
}

kernels::MatrixSource SourceOf(const TensorInfo& tensor, int64_t outputs, int64_t inputs) {
  return {tensor.data, SourceType(tensor.type), outputs, inputs};
}

absl::Status NoMemory(const std::string& name, int64_t bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for weight ", Quoted(name), " of ", bytes,
                   " bytes: keep the weights in fewer bits, or use a larger device"));
}

}  // namespace

kernels::WeightFormat KeptFormat(WeightFormat asked, MatrixRole role) {
  const bool rounded = kernels::IsQuantised(asked) || asked == WeightFormat::kFp8;
  if (!rounded || role == MatrixRole::kProjection) return asked;
  return role == MatrixRole::kSelection ? WeightFormat::kBf16 : WeightFormat::kQ8;
}

WeightLoader::WeightLoader(kernels::Device* device, kernels::WeightFormat format,
                           int64_t bytes_total, Progress progress)
    : device_(device), format_(format), bytes_total_(bytes_total), progress_(std::move(progress)) {}

absl::Status WeightLoader::NotFinite(const std::string& name, int64_t index) {
  return absl::InvalidArgumentError(
      absl::StrCat("weight ", Quoted(name), " is not finite at index ", index));
}

absl::Status WeightLoader::Examine(const TensorInfo& tensor, WeightFormat kept) {
  const size_t block_bytes = TensorTypeBytes(tensor.type);
  const size_t chunk_bytes = kChunkBytes / block_bytes * block_bytes;
  Sha256Hasher hasher;
  for (size_t done = 0; done < tensor.bytes;) {
    const size_t bytes = std::min(chunk_bytes, tensor.bytes - done);
    const std::byte* chunk = tensor.data + done;
    const int64_t bad =
        FirstNotFinite(tensor.type, kept, chunk, static_cast<int64_t>(bytes / block_bytes));
    if (bad >= 0) {
      const int64_t block = static_cast<int64_t>(done / block_bytes) + bad;
      return NotFinite(tensor.name, block * TensorTypeBlock(tensor.type));
    }
    hasher.Add(chunk, bytes);
    done += bytes;
    ReportProgress(bytes);
  }
  digests_[tensor.name] = hasher.Finish();
  return absl::OkStatus();
}

void WeightLoader::UseCache(const PackedCache* cache, PackedCacheWriter* writer) {
  cache_ = cache;
  writer_ = writer;
}

absl::StatusOr<kernels::PackedMatrix> WeightLoader::Matrix(const TensorInfo& tensor,
                                                           MatrixRole role) {
  const kernels::WeightFormat kept = KeptFormat(format_, role);
  SSMD_ASSIGN_OR_RETURN(std::optional<kernels::PackedMatrix> matrix, FromCache(tensor, kept));
  if (!matrix) {
    SSMD_ASSIGN_OR_RETURN(matrix, Pack(tensor, kept));
  }
  matrix->may_round_inputs = role != MatrixRole::kSelection;
  Count(*matrix, role);
  return *std::move(matrix);
}

absl::StatusOr<std::optional<kernels::PackedMatrix>> WeightLoader::FromCache(
    const TensorInfo& tensor, kernels::WeightFormat format) {
  const CachedMatrix* cached = cache_ != nullptr ? cache_->Find(tensor.name) : nullptr;
  if (cached == nullptr || cached->packed.format != format ||
      cached->packed.outputs != tensor.shape[0] || cached->packed.inputs != tensor.shape[1]) {
    return std::nullopt;
  }
  kernels::PackedMatrix matrix = device_->Restore(cached->packed);
  if (!matrix.data) return NoMemory(tensor.name, static_cast<int64_t>(cached->packed.bytes));
  digests_[tensor.name] = cached->source;
  ReportProgress(tensor.bytes);
  return matrix;
}

absl::StatusOr<kernels::PackedMatrix> WeightLoader::Pack(const TensorInfo& tensor,
                                                         kernels::WeightFormat format) {
  SSMD_RETURN_IF_ERROR(Examine(tensor, format));
  SSMD_ASSIGN_OR_RETURN(kernels::PackedMatrix packed, PackFinite(tensor, format));
  if (writer_ != nullptr && writing_.ok()) writing_ = Keep(tensor.name, packed);
  return packed;
}

absl::StatusOr<kernels::PackedMatrix> WeightLoader::PackFinite(const TensorInfo& tensor,
                                                               kernels::WeightFormat format) {
  const int64_t index = FirstTooLarge(tensor, format);
  if (index >= 0) return TooLarge(tensor.name, index, format);
  kernels::PackedMatrix packed =
      device_->Pack(SourceOf(tensor, tensor.shape[0], tensor.shape[1]), format);
  if (!packed.data) return NoMemory(tensor.name, tensor.elements * 4);
  return packed;
}

absl::StatusOr<kernels::PackedMatrix> WeightLoader::Derived(const std::string& name,
                                                            std::vector<float> values,
                                                            int64_t outputs, int64_t inputs,
                                                            MatrixRole role) {
  const kernels::WeightFormat kept = KeptFormat(format_, role);
  TensorInfo tensor;
  tensor.name = name;
  tensor.shape = {outputs, inputs};
  tensor.elements = outputs * inputs;
  tensor.data = reinterpret_cast<const std::byte*>(values.data());
  tensor.bytes = values.size() * sizeof(float);
  const int64_t bad = FirstNotFinite(tensor.type, kept, tensor.data, tensor.elements);
  if (bad >= 0) return NotFinite(name, bad);
  SSMD_ASSIGN_OR_RETURN(kernels::PackedMatrix matrix, PackFinite(tensor, kept));
  matrix.may_round_inputs = role != MatrixRole::kSelection;
  Count(matrix, role);
  return matrix;
}

// What the device has packed need not lie where the host can read it.
absl::Status WeightLoader::Keep(const std::string& name, const kernels::PackedMatrix& matrix) {
  const kernels::Buffer bytes = kernels::AllocateHost(matrix.bytes());
  if (!bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory to keep weight ", Quoted(name), " in the cache"));
  }
  device_->Download(bytes.data(), matrix.data.data(), matrix.bytes());
  if (const std::string failure = device_->failure(); !failure.empty()) {
    return absl::UnavailableError(failure);
  }
  return writer_->Add(name, digests_.at(name),
                      {matrix.outputs, matrix.inputs, matrix.format, bytes.data(), matrix.bytes()});
}

void WeightLoader::Count(const kernels::PackedMatrix& matrix, MatrixRole role) {
  bytes_kept_ += static_cast<int64_t>(matrix.bytes());
  if (role != MatrixRole::kVocabulary) layer_matrix_elements_ += matrix.outputs * matrix.inputs;
}

void WeightLoader::ReportProgress(size_t bytes) {
  bytes_done_ += static_cast<int64_t>(bytes);
  if (progress_) progress_(bytes_done_, bytes_total_);
}

absl::StatusOr<std::vector<float>> WeightLoader::Values(const TensorInfo& tensor) {
  SSMD_RETURN_IF_ERROR(Examine(tensor, WeightFormat::kF32));
  const kernels::MatrixSource source = SourceOf(tensor, 1, tensor.elements);
  std::vector<float> values(static_cast<size_t>(tensor.elements));
  kernels::ReadSourceRow(source, 0, values.data());
  return values;
}

absl::StatusOr<kernels::Buffer> WeightLoader::Vector(const TensorInfo& tensor) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, Values(tensor));
  return Upload(values, tensor.name);
}

absl::StatusOr<kernels::Buffer> WeightLoader::Upload(const std::vector<float>& values,
                                                     const std::string& name) {
  return UploadBytes(values.data(), values.size() * sizeof(float), name);
}

absl::StatusOr<kernels::Buffer> WeightLoader::Upload(const std::vector<double>& values,
                                                     const std::string& name) {
  return UploadBytes(values.data(), values.size() * sizeof(double), name);
}

absl::StatusOr<kernels::Buffer> WeightLoader::UploadBytes(const void* values, size_t bytes,
                                                          const std::string& name) {
  kernels::Buffer buffer = device_->Allocate(bytes);
  if (!buffer) return NoMemory(name, static_cast<int64_t>(bytes));
  device_->Upload(buffer.data(), static_cast<const std::byte*>(values), bytes);
  bytes_kept_ += static_cast<int64_t>(bytes);
  return buffer;
}

}  // namespace ssmd
