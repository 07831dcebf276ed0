#include "kernels/reference/state.h"

#include "kernels/number_format.h"
#include "kernels/ops.h"
#include "kernels/state_format.h"

namespace ssmd::kernels::reference {
namespace {

template <typename T>
T* ElementOf(const StateField& field, int32_t slot, int64_t element) {
  return reinterpret_cast<T*>(field.at(slot)) + element;
}

}  // namespace

double ReadState(const StateField& field, int32_t slot, int64_t element) {
  switch (field.format) {
    case StateFormat::kF32:
      return *ElementOf<float>(field, slot, element);
    case StateFormat::kBf16:
      return WidenBf16(*ElementOf<uint16_t>(field, slot, element));
    case StateFormat::kF16:
      return WidenF16(*ElementOf<uint16_t>(field, slot, element));
    case StateFormat::kF64:
      return *ElementOf<double>(field, slot, element);
  }
  return 0;
}

double KeptState(const StateField& field, double value, int64_t position, int64_t element) {
  if (field.format == StateFormat::kF32 || field.format == StateFormat::kF64) return value;
  const uint32_t word =
      RoundingWord(RoundingKey(position, field.layer), static_cast<uint32_t>(element));
  const auto rounded = static_cast<float>(value);
  return field.format == StateFormat::kBf16 ? WidenBf16(RoundStateToBf16(rounded, word))
                                            : WidenF16(RoundStateToF16(rounded, word));
}

void WriteState(const StateField& field, int32_t slot, int64_t element, double value) {
  const auto kept = static_cast<float>(value);
  switch (field.format) {
    case StateFormat::kF32:
      *ElementOf<float>(field, slot, element) = kept;
      return;
    case StateFormat::kBf16:
      *ElementOf<uint16_t>(field, slot, element) = RoundToBf16(kept);
      return;
    case StateFormat::kF16:
      *ElementOf<uint16_t>(field, slot, element) = RoundToF16(kept);
      return;
    case StateFormat::kF64:
      *ElementOf<double>(field, slot, element) = value;
      return;
  }
}

void ClearBlockPadding(const StateField& field, int32_t slot, int64_t channels, int64_t rows) {
  const int64_t last = channels / kChannelBlock * rows;  // row of the block that is not full
  for (int64_t c = channels; c < PaddedChannels(channels); ++c) {
    for (int64_t row = last; row < last + rows; ++row) {
      WriteState(field, slot, row * kChannelBlock + c % kChannelBlock, 0);
    }
  }
}

void ClearRowPadding(const StateField& field, int32_t slot, int64_t channels, int64_t rows) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = channels; c < PaddedLanes(channels); ++c) {
      WriteState(field, slot, row * PaddedLanes(channels) + c, 0);
    }
  }
}

}  // namespace ssmd::kernels::reference
