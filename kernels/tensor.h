// Plain types shared by every kernel: number formats, memory, packed weights, segments and states.
//
// Nothing here owns a thread or knows a model. Shapes are written (rows, columns), row-major,
// unless a comment says otherwise. Strides count elements, not bytes.
#ifndef SSMD_KERNELS_TENSOR_H_
#define SSMD_KERNELS_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace ssmd::kernels {

// Number format in which a weight matrix is kept. kQ8 and kQ4 are quantised in groups: 32 inputs of
// an output share a scale; in kFp8 all inputs of an output do (quantise.h). Not every device keeps
// each (Device::Keeps). Activations are f32, but for what MatMul (ops.h) does with them where
// weights are not kF32.
enum class WeightFormat : uint8_t { kF32, kBf16, kQ8, kQ4, kF16, kFp8 };

inline constexpr WeightFormat kAllWeightFormats[] = {WeightFormat::kF32, WeightFormat::kBf16,
                                                     WeightFormat::kF16, WeightFormat::kFp8,
                                                     WeightFormat::kQ8,  WeightFormat::kQ4};

// Sides of a matrix beyond which none is packed: no product of sizes overflows below it.
inline constexpr int64_t kMaxMatrixSide = int64_t{1} << 28;

std::string_view WeightFormatName(WeightFormat format);                // "f32", "bf16", …
std::optional<WeightFormat> ParseWeightFormat(std::string_view name);  // inverse of that

// Number format in which the state of a recurrence is kept between tokens; in between it is f32.
// state_format.h says how it is rounded to the narrow ones. kF64 is for recurrences that need it.
enum class StateFormat : uint8_t { kF32, kBf16, kF16, kF64 };

// Those that may be chosen.
inline constexpr StateFormat kAllStateFormats[] = {StateFormat::kF32, StateFormat::kBf16,
                                                   StateFormat::kF16};

std::string_view StateFormatName(StateFormat format);                // "f32", "bf16", "f16"
std::optional<StateFormat> ParseStateFormat(std::string_view name);  // inverse of that
size_t StateFormatBytes(StateFormat format);                         // of an element

// Memory on a device, 64-byte aligned, zeroed when allocated, freed on destruction. An empty Buffer
// (data() == nullptr) is what an allocation that failed returns. The device must outlive it.
class Buffer {
 public:
  using Deleter = void (*)(void* context, std::byte* data);

  Buffer() = default;
  Buffer(std::byte* data, size_t bytes, Deleter deleter, void* context)
      : data_(data), bytes_(bytes), deleter_(deleter), context_(context) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(deleter_, other.deleter_);
    std::swap(context_, other.context_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_ != nullptr) deleter_(context_, data_);
  }

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  Deleter deleter_ = nullptr;
  void* context_ = nullptr;
};

// A weight matrix (outputs, inputs) as a checkpoint holds it: row-major, in host memory, read by
// matrix_source.h. Elements are plain numbers or blocks of quantised ones by `source`. Need not be
// aligned (checkpoint files are mapped as they are).
struct MatrixSource {
  enum class Type : uint8_t { kF32, kF16, kBf16, kQ8_0, kQ4_0, kQ4_K, kQ6_K };
  const std::byte* data = nullptr;
  Type source = Type::kF32;
  int64_t outputs = 0;
  int64_t inputs = 0;
};

// A weight matrix in a device's own order, made by Device::Pack. Immutable; used by Embed (as a
// table with one row a token) and MatMul. `data` is laid out as the device that packed it likes.
struct PackedMatrix {
  int64_t outputs = 0;
  int64_t inputs = 0;
  WeightFormat format = WeightFormat::kF32;
  // Whether MatMul may round activations to 16 bits, where the device has instructions for that
  // (ops.h). Its user says so, who knows what the product feeds.
  bool may_round_inputs = false;
  Buffer data;

  // Bytes that a full pass over the matrix reads: the unit of bandwidth figures.
  size_t bytes() const { return data.bytes(); }
};

// The bytes of a packed matrix, in host memory that is not the device's: kept in a file, say. Only
// a device with the same Device::layout() can make a matrix of them.
struct PackedBytes {
  int64_t outputs = 0;
  int64_t inputs = 0;
  WeightFormat format = WeightFormat::kF32;
  const std::byte* data = nullptr;
  size_t bytes = 0;
};

// Consecutive tokens of one session within a step. A decoding session is a segment of length 1, a
// prompt is prefilled in segments of any length; any mix of the two is one step.
struct Segment {
  int32_t first_row = 0;  // row of the segment's first token in the step's (rows, …) activations
  int32_t length = 0;     // tokens, >= 1
  int32_t src_slot = -1;  // slot whose state precedes the first token
  int32_t dst_slot = -1;  // slot that receives the state after the last token; may equal src_slot.
                          // < 0: a padded segment, which touches no state and writes no row
  int64_t position =
      0;  // tokens that the state in src_slot has consumed; fixes the conv ring's phase
};
// REQUIRES of every op that takes segments: no two segments share a dst_slot, and no segment's
// src_slot is another segment's dst_slot. Rows of different segments do not overlap.

// One state field of one layer in the slab of a StatePool: its bytes in slot i start at
// slab + i * slot_bytes + offset.
struct StateField {
  std::byte* slab = nullptr;
  size_t slot_bytes = 0;
  size_t offset = 0;
  StateFormat format = StateFormat::kF32;
  uint32_t layer = 0;  // in the model: what rounding depends on (state_format.h)

  std::byte* at(int32_t slot) const {
    return slab + static_cast<size_t>(slot) * slot_bytes + offset;
  }
  // REQUIRES: format is kF32.
  float* floats(int32_t slot) const { return reinterpret_cast<float*>(at(slot)); }
  // REQUIRES: format is kF64.
  double* doubles(int32_t slot) const { return reinterpret_cast<double*>(at(slot)); }
};

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_TENSOR_H_
