#include "kernels/cpu/rounded_rows.h"

#include "kernels/cpu/pack.h"
#include "kernels/host_memory.h"

namespace ssmd::kernels::cpu {
namespace {

// Words that a rounded row takes.
int64_t RoundedRowWords(int64_t inputs) {
  return (inputs + kRoundedRowUnit - 1) / kRoundedRowUnit * (kRoundedRowUnit / 2);
}

}  // namespace

bool RoundedRows::Takes(const PackedMatrix& w) const {
  return kernels_.round_row != nullptr && w.format == WeightFormat::kBf16 && w.may_round_inputs;
}

bool RoundedRows::Reserve(int64_t inputs) {
  const auto words = static_cast<size_t>(kMaxRoundedRows * RoundedRowWords(inputs));
  return GrowHost(pairs_, words * sizeof(uint32_t));
}

int64_t RoundedRows::BlockRows(int64_t rows) {
  const int64_t blocks = (rows + kMaxRoundedRows - 1) / kMaxRoundedRows;
  return (rows + blocks - 1) / blocks;
}

void RoundedRows::Round(const MatMulParams& params, Range block, Range share) {
  const int64_t inputs = params.w->inputs;
  for (int64_t r = share.begin; r < share.end; ++r) {
    kernels_.round_row({params.x + (block.begin + r) * params.x_stride, inputs,
                        pairs_.as<uint32_t>() + r * RoundedRowWords(inputs)});
  }
}

void RoundedRows::Multiply(const MatMulParams& params, Range block, Range panels,
                           const ProductOutput& to) const {
  const PackedMatrix& w = *params.w;
  RoundedProduct product = {};
  product.x = pairs_.as<uint32_t>();
  product.x_stride = RoundedRowWords(w.inputs);
  product.rows = block.end - block.begin;
  product.inputs = w.inputs;
  product.panel_bytes = PanelBytes(w.inputs, w.format);
  product.weights = w.data.data() + panels.begin * product.panel_bytes;
  product.to = to;
  kernels_.multiply_rounded(product);
}

}  // namespace ssmd::kernels::cpu
