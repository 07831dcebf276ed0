#include <vector>

#include "kernels/cuda/selfcheck/kernel_checks.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr int64_t kNormRows = 3;
// Kernels are within 1e-6 of a row's largest.
constexpr Bounds kNormBounds = {1e-3, 1e-4};
const std::vector<bool> kAllNormRows(kNormRows, true);

// Of params that are all made up but for the number of rows; `out` is what they write.
template <typename Params>
std::string CompareNorms(Launcher<Params> fast, Launcher<Params> plain, Params params,
                         CheckSpace& space, CheckRows& out) {
  if (space.out_of_memory()) return "";
  const auto run = [&](Launcher<Params> launch, int64_t rows) {
    out.Reset();
    params.rows = rows;
    launch(space.stream(), params);
    return out.Read();
  };
  const std::vector<float> expected = run(plain, kNormRows);
  const std::vector<float> all = run(fast, kNormRows);
  const std::vector<float> one = run(fast, 1);
  Comparison comparison(kNormBounds);
  out.Compare(all, expected, kAllNormRows, &comparison);
  out.CompareBits(one, all, {true, false, false}, "bits of a row depend on the other rows",
                  &comparison);
  return comparison.Problem();
}

}  // namespace

std::string CheckNorm(CheckSpace& space, const Twins& twins, const RmsNormParams& like) {
  RmsNormParams params = like;
  CheckRows x(space, {kNormRows, like.cols, like.x_stride, like.x}, -3, 5);
  CheckRows own_out(space, {kNormRows, like.cols, like.out_stride, like.out}, -1, 1);
  CheckRows weight(space, {1, like.cols, like.cols, like.weight}, 0.5, 1.5);
  CheckRows& out = like.out == like.x ? x : own_out;
  params.x = x.data();
  params.weight = weight.data();
  params.out = out.data();
  const int32_t index[kNormRows] = {2, 0, 1};
  const Buffer index_memory = space.Allocate(sizeof(index));
  if (like.row_index != nullptr && index_memory) {
    space.stream().CopyIn(index_memory.data(), index, sizeof(index));
    params.row_index = index_memory.as<int32_t>();
  }
  return CompareNorms(twins.fast.rms_norm, twins.plain.rms_norm, params, space, out);
}

std::string CheckGatedNorm(CheckSpace& space, const Twins& twins, const GatedRmsNormParams& like) {
  GatedRmsNormParams params = like;
  CheckRows x(space, {kNormRows, like.cols, like.x_stride, like.x}, -3, 5);
  CheckRows own_out(space, {kNormRows, like.cols, like.out_stride, like.out}, -1, 1);
  CheckRows gate(space, {kNormRows, like.cols, like.gate_stride, like.gate}, -4, 4);
  CheckRows weight(space, {1, like.cols, like.cols, like.weight}, 0.5, 1.5);
  CheckRows& out = like.out == like.x ? x : own_out;
  params.x = x.data();
  params.gate = gate.data();
  params.weight = weight.data();
  params.out = out.data();
  return CompareNorms(twins.fast.gated_rms_norm, twins.plain.gated_rms_norm, params, space, out);
}

}  // namespace ssmd::kernels::cuda
