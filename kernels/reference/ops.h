// The reference implementation of every op in the contract: double precision inside, plain loops,
// one thread. It is the oracle of the tests: clarity goes before speed, and nothing is shared with
// the implementations that it judges, except the definition of the random numbers
// (kernels/random.h).
#ifndef SSMD_KERNELS_REFERENCE_OPS_H_
#define SSMD_KERNELS_REFERENCE_OPS_H_

#include <vector>

#include "kernels/linear_ops.h"
#include "kernels/memory_ops.h"
#include "kernels/ops.h"
#include "kernels/row_ops.h"
#include "kernels/wkv_ops.h"

namespace ssmd::kernels::reference {

// Row-major, as in the source, in the kept format.
PackedMatrix Pack(const MatrixSource& source, WeightFormat format);
// Bytes of such a matrix; 0 for sizes that no matrix has.
size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format);
// Element (output, input) of a matrix made by Pack.
double Weight(const PackedMatrix& matrix, int64_t output, int64_t input);

void Embed(const EmbedParams& params);
void RmsNorm(const RmsNormParams& params);
void MatMul(const MatMulParams& params);
void ConvSilu(const ConvSiluParams& params);
void SelectiveScan(const SelectiveScanParams& params);
void SsdScan(const SsdScanParams& params);
void GatedRmsNorm(const GatedRmsNormParams& params);
void Sample(const SampleParams& params);
void SampleHead(const SampleHeadParams& params);
void Logprobs(const LogprobParams& params);
void ModalScan(const ModalScanParams& params);
void ComplexScan(const ComplexScanParams& params);
void DifferenceScan(const DifferenceScanParams& params);
void DenseScan(const DenseScanParams& params);
void LegsScan(const LegsScanParams& params);
void MemoryScan(const MemoryScanParams& params);

// Gauss–Legendre quadrature on [0, 1], exact for polynomials of degree below 2 · size.
struct LegsRule {
  explicit LegsRule(int64_t size);
  std::vector<double> nodes;
  std::vector<double> weights;
};
// The token at `position` of a channel of LegsScan; h are its coefficients. `rule`: of as many
// nodes.
void StepLegs(LegsStep step, const LegsRule& rule, int64_t position, double u,
              std::vector<double>& h);

void GroupNorm(const GroupNormParams& params);
void Pointwise(const PointwiseParams& params);
void TokenShift(const TokenShiftParams& params);
void Rotate(const RotateParams& params);
void Wkv4(const Wkv4Params& params);
void Wkv6(const Wkv6Params& params);
void Wkv7(const Wkv7Params& params);

double Sigmoid(double x);
double Silu(double x);
double Softplus(double x);

}  // namespace ssmd::kernels::reference

#endif  // SSMD_KERNELS_REFERENCE_OPS_H_
