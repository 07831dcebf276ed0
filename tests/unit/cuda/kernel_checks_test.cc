// Comparisons of fast kernels with their plain twins: right ones pass, and each kind of fault that
// is planted in one is found.
#include "kernels/cuda/selfcheck/kernel_checks.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/product_fast.h"
#include "kernels/cuda/product_parts.h"
#include "tests/simt/gpu_fixture.h"
#include "tests/unit/cuda/product_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

using testing::HasSubstr;

// An address that is so many floats behind a multiple of 64 bytes. Nothing is there.
float* At(int number, int offset = 0) {
  return reinterpret_cast<float*>(uintptr_t{4096} * static_cast<uintptr_t>(number)) + offset;
}

constexpr char kErrors[] = "errors are up to";
constexpr char kOutsideText[] = "writes outside of its results";
constexpr char kOthersText[] = "depend on the other rows";
constexpr char kTokensText[] = "other bits than its tokens";
constexpr char kStatesText[] = "changes states that are not its own";
constexpr char kPaddingText[] = "padding zero";

// The next float: too small a change for any bound.
void Nudge(float& value) { value = std::nextafter(value, 10.0f); }

class KernelChecks : public simt::GpuTest {
 protected:
  Twins twins() const { return {fast_, plain_}; }

  CheckSpace space_{gpu(), stream()};
  KernelTable fast_ = FastKernels();
  const KernelTable plain_ = PlainKernels();
};

// --- Norms ---

RmsNormParams LikeNorm(bool in_place) {
  RmsNormParams p;
  p.x = At(1);
  p.x_stride = p.out_stride = 44;
  p.weight = At(2);
  p.eps = 1e-5f;
  p.cols = 40;
  p.out = in_place ? At(1) : At(3);
  return p;
}

TEST_F(KernelChecks, NormsAgree) {
  for (const bool in_place : {false, true}) {
    EXPECT_EQ(CheckNorm(space_, twins(), LikeNorm(in_place)), "");
  }
  RmsNormParams odd = LikeNorm(false);
  odd.x = At(1, 3);
  odd.x_stride = 41;
  odd.weight = nullptr;
  const int32_t index = 0;
  odd.row_index = &index;
  EXPECT_EQ(CheckNorm(space_, twins(), odd), "");
}

TEST_F(KernelChecks, WrongNormsAreFound) {
  const struct {
    Launcher<RmsNormParams> norm;
    const char* problem;
  } kFaults[] = {
      {[](Stream& s, const RmsNormParams& p) {
         fast::RmsNorm(s, p);
         s.Synchronize();
         p.out[7] *= -1;
       },
       kErrors},
      {[](Stream& s, const RmsNormParams& p) {
         fast::RmsNorm(s, p);
         s.Synchronize();
         for (int64_t i = 0; i < p.rows * p.out_stride; ++i) {
           if (i % p.out_stride < p.cols) p.out[i] *= 1.01f;
         }
       },
       kErrors},
      {[](Stream& s, const RmsNormParams& p) {
         fast::RmsNorm(s, p);
         s.Synchronize();
         p.out[1] = NAN;
       },
       kErrors},
      {[](Stream& s, const RmsNormParams& p) {
         fast::RmsNorm(s, p);
         s.Synchronize();
         p.out[p.cols] = 0.25f;
       },
       kOutsideText},
      {[](Stream& s, const RmsNormParams& p) {
         fast::RmsNorm(s, p);
         s.Synchronize();
         p.out[-1] = 0.25f;
       },
       kOutsideText},
      {[](Stream& s, const RmsNormParams& p) {
         fast::RmsNorm(s, p);
         s.Synchronize();
         if (p.rows > 1) Nudge(p.out[0]);
       },
       kOthersText},
      // A row too few.
      {[](Stream& s, const RmsNormParams& p) {
         RmsNormParams fewer = p;
         if (fewer.rows > 1) --fewer.rows;
         fast::RmsNorm(s, fewer);
       },
       kErrors},
  };
  for (const auto& fault : kFaults) {
    fast_.rms_norm = fault.norm;
    EXPECT_THAT(CheckNorm(space_, twins(), LikeNorm(false)), HasSubstr(fault.problem));
  }
}

GatedRmsNormParams LikeGatedNorm(GateOrder order) {
  GatedRmsNormParams p;
  p.x = p.out = At(1);
  p.x_stride = p.out_stride = 64;
  p.gate = At(2);
  p.gate_stride = 100;
  p.weight = order == GateOrder::kGateOnly ? nullptr : At(3);
  p.order = order;
  p.eps = 1e-5f;
  p.cols = 60;
  p.groups = 3;
  return p;
}

TEST_F(KernelChecks, GatedNormsAgreeUnlessTheyAreWrong) {
  for (const GateOrder order :
       {GateOrder::kGateFirst, GateOrder::kNormFirst, GateOrder::kGateOnly}) {
    EXPECT_EQ(CheckGatedNorm(space_, twins(), LikeGatedNorm(order)), "");
  }
  fast_.gated_rms_norm = [](Stream& s, const GatedRmsNormParams& p) {
    GatedRmsNormParams one = p;
    one.groups = 1;
    fast::GatedRmsNorm(s, one);
  };
  EXPECT_THAT(CheckGatedNorm(space_, twins(), LikeGatedNorm(GateOrder::kGateFirst)),
              HasSubstr(kErrors));
}

// --- Recurrences ---

ConvSiluParams LikeConv() {
  ConvSiluParams p;
  p.channels = 36;
  p.width = 4;
  p.x = At(1);
  p.x_stride = 72;
  p.weight = At(2);
  p.bias = At(3);
  p.out = At(4);
  p.out_stride = 36;
  return p;
}

SelectiveScanParams LikeScan() {
  SelectiveScanParams p;
  p.channels = 36;
  p.state_size = 6;
  p.x = p.y = At(1);
  p.x_stride = p.y_stride = 36;
  p.dt = At(2);
  p.dt_stride = 36;
  p.b = At(3, 2);
  p.c = At(3, 8);
  p.b_stride = p.c_stride = 14;
  p.z = At(4);
  p.z_stride = 72;
  p.a = At(5);
  p.d = At(6);
  return p;
}

SsdScanParams LikeSsd(bool chunks) {
  SsdScanParams p;
  p.heads = 2;
  p.head_dim = 20;
  p.state_size = 16;
  p.x = p.y = At(1);
  p.b = At(1, 40);
  p.c = At(1, 56);
  p.x_stride = p.b_stride = p.c_stride = p.y_stride = 72;
  p.dt = At(2, 2);
  p.dt_stride = 114;
  p.dt_bias = At(3);
  p.dt_max = std::numeric_limits<float>::infinity();
  p.a = At(4);
  p.d = At(5);
  if (chunks) p.chunk_scratch = At(6);
  return p;
}

TEST_F(KernelChecks, RecurrencesAgree) {
  EXPECT_EQ(CheckConv(space_, twins(), LikeConv()), "");
  ConvSiluParams pointwise = LikeConv();
  pointwise.width = 1;
  pointwise.bias = nullptr;
  EXPECT_EQ(CheckConv(space_, twins(), pointwise), "");

  EXPECT_EQ(CheckScan(space_, twins(), LikeScan()), "");
  SelectiveScanParams lone = LikeScan();
  lone.channels = lone.state_size = 1;
  lone.y = At(7, 1);
  EXPECT_EQ(CheckScan(space_, twins(), lone), "");

  EXPECT_EQ(CheckSsd(space_, twins(), LikeSsd(false)), "");
  EXPECT_EQ(CheckSsd(space_, twins(), LikeSsd(true)), "");
  SsdScanParams bare = LikeSsd(false);
  bare.dt = bare.dt_bias = bare.d = nullptr;
  EXPECT_EQ(CheckSsd(space_, twins(), bare), "");
}

constexpr StateFormat kNarrow[] = {StateFormat::kBf16, StateFormat::kF16};

TEST_F(KernelChecks, RecurrencesWithNarrowStatesAgree) {
  for (const StateFormat format : kNarrow) {
    SCOPED_TRACE(StateFormatName(format));
    SelectiveScanParams scan = LikeScan();
    scan.state.format = format;
    scan.state.layer = 3;
    EXPECT_EQ(CheckScan(space_, twins(), scan), "");
    for (const bool chunks : {false, true}) {
      SsdScanParams ssd = LikeSsd(chunks);
      ssd.state.format = format;
      EXPECT_EQ(CheckSsd(space_, twins(), ssd), "");
    }
  }
}

// Errors of rounding are no greater for it.
TEST_F(KernelChecks, NarrowStatesRoundedByOtherDrawsAreFound) {
  fast_.ssd_step = fast_.ssd_prompt = [](Stream& s, const SsdScanParams& p) {
    SsdScanParams other = p;
    other.state.layer += 1;
    fast::SsdStep(s, other);
  };
  for (const StateFormat format : kNarrow) {
    SsdScanParams ssd = LikeSsd(false);
    ssd.state.format = format;
    EXPECT_THAT(CheckSsd(space_, twins(), ssd), HasSubstr("other draws"));
  }
}

TEST_F(KernelChecks, WrongConvolutionsAreFound) {
  // The ring's newest column is lost.
  fast_.conv_step = [](Stream& s, const ConvSiluParams& p) {
    fast::ConvStep(s, p);
    s.Synchronize();
    const Segment& segment = p.segments[0];
    if (segment.dst_slot >= 0) {
      p.ring.floats(segment.dst_slot)[segment.position % (p.width - 1) * p.channels] = 0;
    }
  };
  EXPECT_THAT(CheckConv(space_, twins(), LikeConv()), HasSubstr(kErrors));
  // A step that is right, but not by the bits of a prompt.
  fast_.conv_step = [](Stream& s, const ConvSiluParams& p) {
    fast::ConvStep(s, p);
    s.Synchronize();
    for (int64_t i = 0; i < p.segment_count; ++i) {
      if (p.segments[i].dst_slot >= 0) Nudge(p.out[p.segments[i].first_row * p.out_stride]);
    }
  };
  EXPECT_THAT(CheckConv(space_, twins(), LikeConv()), HasSubstr(kTokensText));
}

struct ScanFault {
  Launcher<SelectiveScanParams> step, prompt;
  const char* problem;
};

const ScanFault kScanFaults[] = {
    // B and C are mixed up.
    {[](Stream& s, const SelectiveScanParams& p) {
       SelectiveScanParams mixed = p;
       std::swap(mixed.b, mixed.c);
       fast::ScanStep(s, mixed);
     },
     fast::ScanPrompt, kErrors},
    {fast::ScanStep,
     [](Stream& s, const SelectiveScanParams& p) {
       SelectiveScanParams mixed = p;
       std::swap(mixed.b, mixed.c);
       fast::ScanPrompt(s, mixed);
     },
     kErrors},
    // A row too far.
    {[](Stream& s, const SelectiveScanParams& p) {
       SelectiveScanParams shifted = p;
       shifted.dt += p.dt_stride;
       fast::ScanStep(s, shifted);
     },
     fast::ScanPrompt, kErrors},
    // One state of one segment.
    {[](Stream& s, const SelectiveScanParams& p) {
       fast::ScanStep(s, p);
       s.Synchronize();
       if (p.segment_count > 7) p.state.floats(p.segments[7].dst_slot)[9] += 0.01f;
     },
     fast::ScanPrompt, kErrors},
    // The source of a state is changed as well.
    {[](Stream& s, const SelectiveScanParams& p) {
       fast::ScanStep(s, p);
       s.Synchronize();
       if (p.segment_count > 7) Nudge(p.state.floats(p.segments[7].src_slot)[9]);
     },
     fast::ScanPrompt, kStatesText},
    // Padded segments write a row.
    {fast::ScanStep,
     [](Stream& s, const SelectiveScanParams& p) {
       fast::ScanPrompt(s, p);
       s.Synchronize();
       p.y[p.segments[2].first_row * p.y_stride] = 0;
     },
     kOutsideText},
    {[](Stream& s, const SelectiveScanParams& p) {
       fast::ScanStep(s, p);
       s.Synchronize();
       p.state.floats(p.segments[0].dst_slot)[40] = 1e-10f;
     },
     fast::ScanPrompt, kPaddingText},
    // Kernels that are right, each by itself.
    {[](Stream& s, const SelectiveScanParams& p) {
       fast::ScanStep(s, p);
       s.Synchronize();
       if (p.segment_count > 1) Nudge(p.y[p.segments[1].first_row * p.y_stride + 3]);
     },
     fast::ScanPrompt, kOthersText},
    {fast::ScanStep, plain::SelectiveScan, kTokensText},
};

TEST_F(KernelChecks, WrongScansAreFound) {
  int number = 0;
  for (const ScanFault& fault : kScanFaults) {
    fast_.scan_step = fault.step;
    fast_.scan_prompt = fault.prompt;
    EXPECT_THAT(CheckScan(space_, twins(), LikeScan()), HasSubstr(fault.problem)) << number;
    ++number;
  }
}

TEST_F(KernelChecks, WrongSsdIsFoundInAnyOfItsForms) {
  const auto wrong = [](Stream& s, const SsdScanParams& p) {
    plain::SsdScan(s, p);
    s.Synchronize();
    p.y[p.segments[0].first_row * p.y_stride + 21] *= 2;
  };
  for (Launcher<SsdScanParams> KernelTable::*form :
       {&KernelTable::ssd_step, &KernelTable::ssd_prompt, &KernelTable::ssd_chunks}) {
    fast_ = FastKernels();
    fast_.*form = wrong;
    EXPECT_THAT(CheckSsd(space_, twins(), LikeSsd(true)), HasSubstr(kErrors));
  }
}

// --- Products ---

struct ProductFormat {
  WeightFormat format;
  bool may_round;
};
constexpr ProductFormat kProductFormats[] = {
    {WeightFormat::kBf16, true}, {WeightFormat::kBf16, false}, {WeightFormat::kF16, true},
    {WeightFormat::kFp8, true},  {WeightFormat::kQ8, true},    {WeightFormat::kQ4, true}};
constexpr int64_t kOutputs = 70, kInputs = 520;

class ProductChecks : public KernelChecks {
 protected:
  PackedMatrix Pack(const ProductFormat& format, int64_t outputs = kOutputs,
                    int64_t inputs = kInputs) {
    const Tensor weights = RandomTensor(outputs * inputs, 1, -0.02f, 0.02f);
    PackedMatrix w = PackForGpu(SourceOf(weights, outputs, inputs), format.format);
    w.may_round_inputs = format.may_round;
    return w;
  }
  MatMulParams Like(const PackedMatrix& w) const {
    MatMulParams p;
    p.x = At(1);
    p.x_stride = w.inputs;
    p.w = &w;
    p.add = p.out = At(2);
    p.add_stride = p.out_stride = w.outputs;
    return p;
  }
};

TEST_F(ProductChecks, ProductsAgree) {
  for (const ProductFormat& format : kProductFormats) {
    const PackedMatrix w = Pack(format);
    EXPECT_EQ(CheckProduct(space_, twins(), Like(w), 64), "") << WeightFormatName(format.format);
  }
  const PackedMatrix w = Pack({WeightFormat::kBf16, true}, 3, 5);
  MatMulParams odd = Like(w);
  odd.x = At(1, 1);
  odd.x_stride = 7;
  odd.bias = At(3);
  odd.add = At(4);
  odd.out_stride = 5;
  EXPECT_EQ(CheckProduct(space_, twins(), odd, 64), "");
  odd.bias = odd.add = nullptr;
  EXPECT_EQ(CheckProduct(space_, twins(), odd, 64), "");
}

TEST_F(ProductChecks, WrongProductsAreFoundInEveryFormat) {
  const auto run = [](Stream& s, const MatMulParams& p, std::byte* scratch) {
    fast::MatMul(s, p, scratch);
    s.Synchronize();
  };
  const struct {
    decltype(KernelTable::mat_mul) multiply;
    const char* problem;
  } kFaults[] = {
      // What is added apart, sums are a hundredth too large.
      {[&](const fast::ProductOptions&, Stream& s, const MatMulParams& p, std::byte* scratch) {
         MatMulParams bare = p;
         Tensor sums(static_cast<size_t>(p.rows * p.out_stride));
         bare.add = nullptr;
         bare.out = sums.data();
         run(s, bare, scratch);
         run(s, p, scratch);
         for (size_t i = 0; i < sums.size(); ++i) p.out[i] += 0.01f * sums[i];
       },
       kErrors},
      // Two outputs are mixed up.
      {[&](const fast::ProductOptions&, Stream& s, const MatMulParams& p, std::byte* scratch) {
         run(s, p, scratch);
         for (int64_t r = 0; r < p.rows; ++r) {
           std::swap(p.out[r * p.out_stride], p.out[r * p.out_stride + 1]);
         }
       },
       kErrors},
      // One element.
      {[&](const fast::ProductOptions&, Stream& s, const MatMulParams& p, std::byte* scratch) {
         run(s, p, scratch);
         if (p.rows == 130) p.out[129 * p.out_stride + 9] *= 1.5f;
       },
       kErrors},
      // What is there is not added to.
      {[&](const fast::ProductOptions&, Stream& s, const MatMulParams& p, std::byte* scratch) {
         MatMulParams bare = p;
         bare.add = nullptr;
         run(s, bare, scratch);
       },
       kErrors},
      // Some numbers of rows are computed another way.
      {[&](const fast::ProductOptions&, Stream& s, const MatMulParams& p, std::byte* scratch) {
         run(s, p, scratch);
         if (p.rows == 24) Nudge(p.out[5 * p.out_stride + 5]);
       },
       "depend on the number of rows"},
      // Rows are padded to eight.
      {[&](const fast::ProductOptions&, Stream& s, const MatMulParams& p, std::byte* scratch) {
         run(s, p, scratch);
         if (p.rows == 5) p.out[7 * p.out_stride] = 0;
       },
       kOutsideText},
      {[&](const fast::ProductOptions&, Stream& s, const MatMulParams& p, std::byte* scratch) {
         run(s, p, scratch);
         p.out[p.rows * p.out_stride - 1] = NAN;
       },
       kErrors},
  };
  for (const ProductFormat& format : kProductFormats) {
    SCOPED_TRACE(WeightFormatName(format.format));
    const PackedMatrix w = Pack(format, 10, 64);
    int number = 0;
    for (const auto& fault : kFaults) {
      fast_.mat_mul = fault.multiply;
      EXPECT_THAT(CheckProduct(space_, twins(), Like(w), 64), HasSubstr(fault.problem)) << number;
      ++number;
    }
  }
}

// The numbers of rows reach the sums that one block makes of all segments, too.
TEST_F(ProductChecks, RowCountsTakeEveryWay) {
  const std::vector<int64_t> six = {1, 5, 12, 24, 48, 130};
  const PackedMatrix one_segment = Pack({WeightFormat::kBf16, true}, 70, 130);
  EXPECT_EQ(fast::RowCountsOfAllWays(one_segment, 8192), six);
  const PackedMatrix segments = Pack({WeightFormat::kBf16, true}, 1200, 520);
  EXPECT_EQ(fast::RowCountsOfAllWays(segments, 512), six);
  const std::vector<int64_t> seven = fast::RowCountsOfAllWays(segments, 8192);
  ASSERT_EQ(seven.size(), 7u);
  EXPECT_LE(130, fast::SplitRows(segments));
  EXPECT_GT(seven.back(), fast::SplitRows(segments));
}

// --- Memory ---

TEST_F(KernelChecks, WithoutMemoryThereIsNoVerdict) {
  for (int64_t n = 1; n < 20; ++n) {
    CheckSpace space(gpu(), stream());
    simt::FailAllocation(n);
    fast_.scan_step = plain::SelectiveScan;
    const std::string problem = CheckScan(space, twins(), LikeScan());
    if (!space.out_of_memory()) break;
    EXPECT_EQ(problem, "");
    EXPECT_LT(n, 19);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
