#include "kernels/matrix_source.h"

#include <cstring>

#include "kernels/number_format.h"

namespace ssmd::kernels {
namespace {

using Type = MatrixSource::Type;

constexpr SourceBlock kF32Block = {1, 4, 0, {}};
constexpr SourceBlock kHalfBlock = {1, 2, 0, {}};
constexpr SourceBlock kQ8_0Block = {32, 34, 1, {0}};
constexpr SourceBlock kQ4_0Block = {32, 18, 1, {0}};
constexpr SourceBlock kQ4_KBlock = {256, 144, 2, {0, 2}};
constexpr SourceBlock kQ6_KBlock = {256, 210, 1, {208}};

// Files are mapped as they are, so nothing is aligned.
uint16_t HalfAt(const std::byte* data) {
  uint16_t half;
  std::memcpy(&half, data, sizeof(half));
  return half;
}

float FloatAt(const std::byte* data) {
  float value;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

int U8(std::byte byte) { return std::to_integer<int>(byte); }
int I8(std::byte byte) { return static_cast<int8_t>(byte); }

void ReadQ8_0(const std::byte* block, float* out) {
  const float d = WidenF16(HalfAt(block));
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(I8(block[2 + i]));
}

// Byte i holds inputs i and i + 16.
void ReadQ4_0(const std::byte* block, float* out) {
  const float d = WidenF16(HalfAt(block));
  for (int i = 0; i < 16; ++i) {
    const int pair = U8(block[2 + i]);
    out[i] = d * static_cast<float>((pair & 0xF) - 8);
    out[i + 16] = d * static_cast<float>((pair >> 4) - 8);
  }
}

// Scale s and minimum t of the eight runs of 32 in twelve bytes: six bits each for the first four,
// whose top two bits hold those of the last four.
struct RunFactors {
  int scale;
  int minimum;
};
RunFactors FactorsOfRun(const std::byte* packed, int run) {
  if (run < 4) return {U8(packed[run]) & 63, U8(packed[run + 4]) & 63};
  const int low = U8(packed[run + 4]);
  return {(low & 0xF) | U8(packed[run - 4]) >> 6 << 4, low >> 4 | U8(packed[run]) >> 6 << 4};
}

// Two runs share 32 bytes: the first has their low halves, the second their high ones.
void ReadQ4_K(const std::byte* block, float* out) {
  const float d = WidenF16(HalfAt(block));
  const float m = WidenF16(HalfAt(block + 2));
  for (int run = 0; run < 8; ++run) {
    const RunFactors factors = FactorsOfRun(block + 4, run);
    const float scale = d * static_cast<float>(factors.scale);
    const float minimum = m * static_cast<float>(factors.minimum);
    const std::byte* q = block + 16 + run / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int value = U8(q[i]) >> (run % 2 * 4) & 0xF;
      out[run * 32 + i] = scale * static_cast<float>(value) - minimum;
    }
  }
}

// Each half of a block has four runs of 32: their low four bits in 64 bytes (runs 0 and 2 share the
// first 32), their high two in 32. A scale serves sixteen inputs.
void ReadQ6_K(const std::byte* block, float* out) {
  const float d = WidenF16(HalfAt(block + 208));
  for (int run = 0; run < 8; ++run) {
    const int half = run / 4;
    const std::byte* low = block + half * 64 + run % 2 * 32;
    const std::byte* high = block + 128 + half * 32;
    const std::byte* scales = block + 192 + run * 2;
    for (int i = 0; i < 32; ++i) {
      const int value = (U8(low[i]) >> (run % 4 / 2 * 4) & 0xF) | (U8(high[i]) >> (run % 4 * 2) & 3)
                                                                      << 4;
      out[run * 32 + i] =
          d * static_cast<float>(I8(scales[i / 16])) * static_cast<float>(value - 32);
    }
  }
}

template <void Read(const std::byte*, float*)>
void ReadBlocks(const SourceBlock& block, const std::byte* data, int64_t inputs, float* out) {
  for (int64_t i = 0; i < inputs; i += block.inputs, data += block.bytes) Read(data, out + i);
}

}  // namespace

const SourceBlock& BlockOf(MatrixSource::Type type) {
  switch (type) {
    case Type::kF32:
      return kF32Block;
    case Type::kF16:
    case Type::kBf16:
      return kHalfBlock;
    case Type::kQ8_0:
      return kQ8_0Block;
    case Type::kQ4_0:
      return kQ4_0Block;
    case Type::kQ4_K:
      return kQ4_KBlock;
    case Type::kQ6_K:
      return kQ6_KBlock;
  }
  return kF32Block;
}

void ReadSourceRow(const MatrixSource& source, int64_t row, float* out) {
  const SourceBlock& block = BlockOf(source.source);
  const int64_t inputs = source.inputs;
  const std::byte* data = source.data + static_cast<size_t>(row) *
                                            static_cast<size_t>(inputs / block.inputs) *
                                            block.bytes;
  switch (source.source) {
    case Type::kF32:
      for (int64_t i = 0; i < inputs; ++i) out[i] = FloatAt(data + i * 4);
      return;
    case Type::kF16:
      for (int64_t i = 0; i < inputs; ++i) out[i] = WidenF16(HalfAt(data + i * 2));
      return;
    case Type::kBf16:
      for (int64_t i = 0; i < inputs; ++i) out[i] = WidenBf16(HalfAt(data + i * 2));
      return;
    case Type::kQ8_0:
      return ReadBlocks<ReadQ8_0>(block, data, inputs, out);
    case Type::kQ4_0:
      return ReadBlocks<ReadQ4_0>(block, data, inputs, out);
    case Type::kQ4_K:
      return ReadBlocks<ReadQ4_K>(block, data, inputs, out);
    case Type::kQ6_K:
      return ReadBlocks<ReadQ6_K>(block, data, inputs, out);
  }
}

}  // namespace ssmd::kernels
