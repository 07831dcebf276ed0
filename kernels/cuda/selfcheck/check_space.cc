#include "kernels/cuda/selfcheck/check_space.h"

#include <algorithm>
#include <utility>

#include "kernels/cuda/staging.h"
#include "kernels/number_format.h"
#include "kernels/random.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr size_t kGuard = 64;  // floats before and behind operands
constexpr size_t kAlignedFloats = 16;
constexpr char kOutside[] = "it writes outside of its results";

// Floats from a multiple of 64 bytes to there.
size_t OffsetOf(const float* at) { return reinterpret_cast<uintptr_t>(at) / sizeof(float) % 16; }

size_t FloatsOf(const RowsShape& shape) {
  return shape.like == nullptr ? 1 : static_cast<size_t>(shape.rows * shape.stride);
}

int64_t SlotStride(int64_t elements) {
  const auto aligned = static_cast<int64_t>(kAlignedFloats);
  return (elements + aligned - 1) / aligned * aligned + aligned;
}

std::vector<float> RandomStates(CheckSpace& space, int slots, int64_t elements,
                                const std::function<bool(int64_t)>& padding) {
  const int64_t stride = SlotStride(elements);
  std::vector<float> values = space.Random(static_cast<size_t>(slots * stride) + kGuard, -1, 1);
  if (padding == nullptr) return values;
  for (int slot = 0; slot < slots; ++slot) {
    float* state = values.data() + kGuard + slot * stride;
    for (int64_t i = 0; i < elements; ++i) {
      if (padding(i)) state[i] = 0;
    }
  }
  return values;
}

// Numbers as they lie in memory, and back. An even count of narrow ones.
std::vector<float> MemoryOf(std::vector<float> numbers, StateFormat format) {
  if (format == StateFormat::kF32) return numbers;
  std::vector<float> memory(numbers.size() / 2);
  for (size_t i = 0; i < memory.size(); ++i) {
    const auto narrow = [&](float number) -> uint32_t {
      return format == StateFormat::kBf16 ? RoundToBf16(number) : RoundToF16(number);
    };
    memory[i] = FloatFromBits(narrow(numbers[2 * i]) | narrow(numbers[2 * i + 1]) << 16);
  }
  return memory;
}

}  // namespace

std::vector<float> CheckStates::NumbersOf(const std::vector<float>& memory) const {
  if (format_ == StateFormat::kF32) return memory;
  std::vector<float> numbers;
  numbers.reserve(2 * memory.size());
  for (const float pair : memory) {
    for (const uint32_t bits : {BitsOfFloat(pair) & 0xFFFF, BitsOfFloat(pair) >> 16}) {
      const auto narrow = static_cast<uint16_t>(bits);
      numbers.push_back(format_ == StateFormat::kBf16 ? WidenBf16(narrow) : WidenF16(narrow));
    }
  }
  return numbers;
}

Buffer CheckSpace::Allocate(size_t bytes) {
  Buffer buffer = AllocateOn(gpu_, bytes);
  if (!buffer) out_of_memory_ = true;
  return buffer;
}

std::vector<float> CheckSpace::Random(size_t count, float low, float high) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i += 4) {
    const auto words = Philox4x32(
        {static_cast<uint32_t>(drawn_), static_cast<uint32_t>(drawn_ >> 32), 0, 0}, {0, 0});
    ++drawn_;
    for (size_t j = 0; j < std::min<size_t>(4, count - i); ++j) {
      values[i + j] = low + (high - low) * (static_cast<float>(words[j] >> 8) * 0x1p-24f);
    }
  }
  return values;
}

CheckFloats::CheckFloats(CheckSpace& space, std::vector<float> initial, size_t first,
                         const float* like)
    : space_(space),
      initial_(std::move(initial)),
      first_(OffsetOf(like)),
      memory_(space.Allocate((initial_.size() + first_) * sizeof(float))) {
  if (!memory_) return;
  data_ = memory_.as<float>() + first_ + first;
  Reset();
}

void CheckFloats::Reset() {
  space_.stream().CopyIn(memory_.as<float>() + first_, initial_.data(),
                         initial_.size() * sizeof(float));
}

std::vector<float> CheckFloats::Read() {
  std::vector<float> values(initial_.size());
  space_.stream().CopyOut(values.data(), memory_.as<float>() + first_,
                          values.size() * sizeof(float));
  space_.stream().Synchronize();
  return values;
}

CheckRows::CheckRows(CheckSpace& space, const RowsShape& shape, float low, float high)
    : shape_(shape),
      floats_(space, space.Random(FloatsOf(shape) + 2 * kGuard, low, high), kGuard, shape.like) {}

const float* CheckRows::RowOf(const std::vector<float>& values, int64_t row) const {
  return values.data() + kGuard + row * shape_.stride;
}

void CheckRows::Compare(const std::vector<float>& fast, const std::vector<float>& plain,
                        const std::vector<bool>& written, Comparison* comparison) const {
  // A row of few numbers may be small by chance.
  const double least =
      MeanSize(plain.data() + kGuard, static_cast<int64_t>(plain.size() - 2 * kGuard)) / 4;
  for (int64_t row = 0; row < shape_.rows; ++row) {
    if (!written[static_cast<size_t>(row)]) continue;
    const float* expected = RowOf(plain, row);
    comparison->Near(RowOf(fast, row), expected, shape_.cols, 1,
                     std::max(MeanSize(expected, shape_.cols), least));
  }
  CompareUntouched(fast, written, comparison);
}

void CheckRows::CompareUntouched(const std::vector<float>& fast, const std::vector<bool>& written,
                                 Comparison* comparison) const {
  const std::vector<float>& before = floats_.initial();
  comparison->Same(fast.data(), before.data(), kGuard, kOutside);
  for (int64_t row = 0; row < shape_.rows; ++row) {
    const int64_t from = written[static_cast<size_t>(row)] ? shape_.cols : 0;
    comparison->Same(RowOf(fast, row) + from, RowOf(before, row) + from, shape_.stride - from,
                     kOutside);
  }
  comparison->Same(RowOf(fast, shape_.rows), RowOf(before, shape_.rows), kGuard, kOutside);
}

void CheckRows::CompareBits(const std::vector<float>& a, const std::vector<float>& b,
                            const std::vector<bool>& written, const char* otherwise,
                            Comparison* comparison) const {
  for (int64_t row = 0; row < shape_.rows; ++row) {
    if (written[static_cast<size_t>(row)]) {
      comparison->Same(RowOf(a, row), RowOf(b, row), shape_.cols, otherwise);
    }
  }
}

CheckStates::CheckStates(CheckSpace& space, const StateField& like, int slots, int64_t elements,
                         const std::function<bool(int64_t)>& padding)
    : format_(like.format),
      layer_(like.layer),
      slots_(slots),
      elements_(elements),
      floats_(space, MemoryOf(RandomStates(space, slots, elements, padding), format_), 0, nullptr) {
}

StateField CheckStates::field() const {
  const size_t bytes = StateFormatBytes(format_);
  return {reinterpret_cast<std::byte*>(floats_.data()),
          static_cast<size_t>(SlotStride(elements_)) * bytes, kGuard * bytes, format_, layer_};
}

const float* CheckStates::SlotOf(const std::vector<float>& values, int slot) const {
  return values.data() + kGuard + slot * SlotStride(elements_);
}

void CheckStates::Compare(const std::vector<float>& fast, const std::vector<float>& plain,
                          const std::vector<bool>& written, Comparison* comparison) const {
  const std::vector<float> before = NumbersOf(floats_.initial());
  comparison->Same(fast.data(), before.data(), kGuard, kOutside);
  for (int slot = 0; slot < slots_; ++slot) {
    const float* state = SlotOf(fast, slot);
    int64_t from = 0;
    if (written[static_cast<size_t>(slot)]) {
      const float* expected = SlotOf(plain, slot);
      comparison->Near(state, expected, elements_, 1, MeanSize(expected, elements_));
      comparison->Zeros(state, expected, elements_, "it does not keep a state's padding zero");
      if (format_ != StateFormat::kF32) {
        comparison->MostlyEqual(state, expected, elements_, "it rounds states by other draws");
      }
      from = elements_;
    }
    comparison->Same(state + from, SlotOf(before, slot) + from, SlotStride(elements_) - from,
                     "it changes states that are not its own");
  }
}

void CheckStates::CompareBits(const std::vector<float>& a, const std::vector<float>& b, int slot,
                              const char* otherwise, Comparison* comparison) const {
  comparison->Same(SlotOf(a, slot), SlotOf(b, slot), elements_, otherwise);
}

}  // namespace ssmd::kernels::cuda
