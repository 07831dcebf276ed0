#include "kernels/cpu/quantised_rows.h"

#include <algorithm>

#include "kernels/cpu/pack_quantised.h"
#include "kernels/cpu/quantised_layout.h"
#include "kernels/host_memory.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cpu {

// Words that the codes of a row take.
int64_t QuantisedRows::CodeWords(int64_t inputs, WeightFormat format) const {
  const int64_t parts = format == WeightFormat::kQ4 ? 1 : kernels_.q8_words_per_quad;
  return GroupCount(inputs) * kGroupQuads * parts;
}

bool QuantisedRows::Reserve(int64_t inputs) {
  const int64_t words = kMaxQuantisedRows * CodeWords(inputs, WeightFormat::kQ8);
  const int64_t groups = kMaxQuantisedRows * GroupCount(inputs);
  return GrowHost(codes_, static_cast<size_t>(words) * sizeof(uint32_t)) &&
         GrowHost(groups_, static_cast<size_t>(groups) * sizeof(GroupScale));
}

int64_t QuantisedRows::BlockRows(int64_t rows) const {
  const int64_t tile = kernels_.max_tile_rows;
  const int64_t most = kMaxQuantisedRows / tile * tile;
  const int64_t blocks = (rows + most - 1) / most;
  const int64_t tiles = (rows + tile - 1) / tile;
  return (tiles + blocks - 1) / blocks * tile;
}

// Rows of a tile, where a block is cut into tiles of nearly equal height.
int64_t QuantisedRows::TileRows(Range block) const {
  const int64_t rows = block.end - block.begin;
  const int64_t tiles = (rows + kernels_.max_tile_rows - 1) / kernels_.max_tile_rows;
  return (rows + tiles - 1) / tiles;
}

void QuantisedRows::Round(const MatMulParams& params, Range block, Range share) {
  const PackedMatrix& w = *params.w;
  const int64_t words = CodeWords(w.inputs, w.format);
  const int64_t tile_rows = TileRows(block);
  RowToQuantise row = {};
  row.inputs = w.inputs;
  row.q4 = w.format == WeightFormat::kQ4;
  for (int64_t r = share.begin; r < share.end; ++r) {
    const int64_t tile_first = r / tile_rows * tile_rows;
    row.stride = std::min(tile_rows, block.end - block.begin - tile_first);
    row.x = params.x + (block.begin + r) * params.x_stride;
    row.codes = codes_.as<uint32_t>() + tile_first * words + r % tile_rows;
    row.groups = groups_.as<GroupScale>() + tile_first * GroupCount(w.inputs) + r % tile_rows;
    kernels_.quantise_row(row);
  }
}

void QuantisedRows::Multiply(const MatMulParams& params, Range block, Range panels,
                             const ProductOutput& to) const {
  const PackedMatrix& w = *params.w;
  QuantisedProduct product = {};
  product.q4 = w.format == WeightFormat::kQ4;
  product.codes = codes_.as<uint32_t>();
  product.groups = groups_.as<GroupScale>();
  product.rows = block.end - block.begin;
  product.tile_rows = TileRows(block);
  product.inputs = w.inputs;
  product.panel_bytes = QuantisedPanelBytes(w.inputs, w.format);
  product.weights = w.data.data() + panels.begin * product.panel_bytes;
  product.to = to;
  kernels_.multiply_quantised(product);
}

}  // namespace ssmd::kernels::cpu
