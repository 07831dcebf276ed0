#include "kernels/cpu/pack_quantised.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/quantised_layout.h"
#include "kernels/host_memory.h"
#include "kernels/number_format.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kGroupCodesBytes = kGroupQuads * kQuadBytes;
static_assert(kGroupInputs == 4 * kGroupQuads && kBlockInputs == kBlockGroups * kGroupInputs);

int64_t BlockBytes(WeightFormat format) {
  return format == WeightFormat::kQ4 ? kQ4BlockBytes : kQ8BlockBytes;
}

// Where an input's code lies among those of its group.
int64_t CodeOffset(int64_t input) { return input % kGroupQuads * kQuadBytes + input / kGroupQuads; }

// Where one group of one output of a block lies.
struct Place {
  std::byte* scale;
  std::byte* minimum;
  std::byte* codes;  // of its first quad
  bool high_half;
};
Place PlaceOf(std::byte* panel, int64_t output, int64_t group, WeightFormat format) {
  std::byte* block = panel + group / kBlockGroups * BlockBytes(format);
  const int64_t half = group % kBlockGroups;
  const int64_t scale = (half * kTileOutputs + output) * 2;
  if (format == WeightFormat::kQ4) {
    return {block + scale, block + kScaleBytes + scale, block + 2 * kScaleBytes + output * 4,
            half == 1};
  }
  return {block + scale, nullptr, block + kScaleBytes + half * kGroupCodesBytes + output * 4,
          false};
}

void StoreGroup(const QuantisedGroup& group, const Place& place) {
  std::memcpy(place.scale, &group.scale, sizeof(group.scale));
  if (place.minimum != nullptr) {
    std::memcpy(place.minimum, &group.minimum, sizeof(group.minimum));
  }
  for (int64_t i = 0; i < kGroupInputs; ++i) {
    std::byte& code = place.codes[CodeOffset(i)];
    const auto bits = static_cast<std::byte>(group.codes[i]);
    code = place.high_half ? code | bits << 4 : bits;
  }
}

QuantisedGroup LoadGroup(const Place& place) {
  QuantisedGroup group = {};
  std::memcpy(&group.scale, place.scale, sizeof(group.scale));
  if (place.minimum != nullptr) {
    std::memcpy(&group.minimum, place.minimum, sizeof(group.minimum));
  }
  for (int64_t i = 0; i < kGroupInputs; ++i) {
    const auto bits = std::to_integer<uint8_t>(place.codes[CodeOffset(i)]);
    const bool packed_halves = place.minimum != nullptr;
    group.codes[i] = !packed_halves ? bits : place.high_half ? bits >> 4 : bits & 0xF;
  }
  return group;
}

// Room for a row of the source, and for its groups.
struct RowScratch {
  float* row;
  QuantisedGroup* groups;
};

void PackQuantisedPanel(const MatrixSource& source, int64_t panel, const RowScratch& scratch,
                        PackedMatrix& matrix) {
  const WeightFormat format = matrix.format;
  std::byte* bytes = matrix.data.data() + panel * QuantisedPanelBytes(source.inputs, format);
  const int64_t first = panel * kTileOutputs;
  const int64_t outputs = std::min(kTileOutputs, source.outputs - first);
  for (int64_t output = 0; output < outputs; ++output) {
    QuantiseSourceRow(source, first + output, format, scratch.row, scratch.groups);
    for (int64_t group = 0; group < GroupCount(source.inputs); ++group) {
      StoreGroup(scratch.groups[group], PlaceOf(bytes, output, group, format));
    }
  }
}

}  // namespace

int64_t QuantisedPanelCount(int64_t outputs) { return (outputs + kTileOutputs - 1) / kTileOutputs; }

int64_t QuantisedPanelBytes(int64_t inputs, WeightFormat format) {
  return (inputs + kBlockInputs - 1) / kBlockInputs * BlockBytes(format);
}

bool PackQuantised(const MatrixSource& source, ThreadPool& pool, PackedMatrix& matrix) {
  const int64_t panels = QuantisedPanelCount(source.outputs);
  const auto threads = static_cast<size_t>(pool.threads());
  const auto row_floats = static_cast<size_t>(source.inputs);
  const auto row_groups = static_cast<size_t>(GroupCount(source.inputs));
  const Buffer rows = AllocateHost(threads * row_floats * sizeof(float));
  const Buffer groups = AllocateHost(threads * row_groups * sizeof(QuantisedGroup));
  if (!rows || !groups) return false;
  const int chunks = pool.ChunksFor(panels);
  pool.Run(chunks, [&](int chunk, int thread) {
    const auto i = static_cast<size_t>(thread);
    const RowScratch scratch = {rows.as<float>() + i * row_floats,
                                groups.as<QuantisedGroup>() + i * row_groups};
    const Range share = ShareOf(panels, chunk, chunks);
    for (int64_t panel = share.begin; panel < share.end; ++panel) {
      PackQuantisedPanel(source, panel, scratch, matrix);
    }
  });
  return true;
}

void UnpackQuantisedRow(const PackedMatrix& matrix, int64_t output, float* out) {
  std::byte* panel = matrix.data.data() +
                     output / kTileOutputs * QuantisedPanelBytes(matrix.inputs, matrix.format);
  for (int64_t group = 0; group < GroupCount(matrix.inputs); ++group) {
    const QuantisedGroup codes =
        LoadGroup(PlaceOf(panel, output % kTileOutputs, group, matrix.format));
    const int64_t begin = group * kGroupInputs;
    const int64_t count = std::min(kGroupInputs, matrix.inputs - begin);
    for (int64_t i = 0; i < count; ++i) {
      out[begin + i] = static_cast<float>(DequantisedWeight(codes, i, matrix.format));
    }
  }
}

}  // namespace ssmd::kernels::cpu
