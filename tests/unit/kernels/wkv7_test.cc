// The recurrence of RWKV-7: close to the double-precision reference and to the formula with whole
// matrices, and the same bits for any cut of a history.
#include <gtest/gtest.h>

#include "tests/unit/kernels/segment_op.h"
#include "tests/unit/kernels/wkv_test_util.h"

namespace ssmd::kernels {
namespace {

using Wkv7Test = KernelTest;

struct Wkv7Shape {
  int64_t heads, head_dim;
};

TEST_P(Wkv7Test, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (const Wkv7Shape& shape :
       Some<Wkv7Shape>({{1, 16}, {3, 32}, {2, 48}, {3, 64}, {2, 80}, {1, 128}, {1, 256}})) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim);
    Wkv7Op ours(shape.heads, shape.head_dim, 23);
    if (shape.heads == 2) ours.v_gate.clear();
    Wkv7Op scalar = ours;
    Wkv7Op reference = ours;
    const Tensor y = ours.Run(*device_, MixedSegments());
    EXPECT_LT(RelativeError(y, reference.Run(*reference_, MixedSegments())), Bound(5e-6));
    EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), Bound(2e-6));
    EXPECT_TRUE(LikeScalar(y, scalar.Run(*scalar_, MixedSegments())));
    EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
  }
}

// One head in double, with whole matrices: S ← S·(diag(w) − κ(κ∘a)ᵀ) + v·kᵀ.
class DenseWkv7 {
 public:
  explicit DenseWkv7(Wkv7Op& op) : op_(op), dim_(op.head_dim), s_(dim_ * dim_) {
    for (int64_t i = 0; i < dim_; ++i) {
      for (int64_t j = 0; j < dim_; ++j) s_[i * dim_ + j] = op.slots.at(0)[j * dim_ + i];
    }
  }

  double state(int64_t i, int64_t j) const { return s_[i * dim_ + j]; }

  // y of token t.
  std::vector<double> Step(int64_t t) {
    const auto at = [&](const Tensor& tensor, int64_t i) -> double {
      return tensor[t * op_.x_stride() + i];
    };
    std::vector<double> w(dim_), a(dim_), kappa(dim_), k(dim_), v(dim_), o(dim_), y(dim_);
    double squares = 0;
    double bonus = 0;
    for (int64_t i = 0; i < dim_; ++i) {
      w[i] = std::exp(-Logistic(at(op_.w_raw, i)) / std::sqrt(std::exp(1.0)));
      a[i] = Logistic(at(op_.a_raw, i));
      kappa[i] = at(op_.k, i) * op_.k_k[i];
      squares += kappa[i] * kappa[i];
      k[i] = at(op_.k, i) * (1 + (a[i] - 1) * op_.k_a[i]);
      const double gate = Logistic(at(op_.v_gate, i));
      v[i] = (1 - gate) * at(op_.v, i) + gate * at(op_.v_first, i);
      bonus += at(op_.r, i) * k[i] * op_.r_k[i];
    }
    for (double& value : kappa) value /= std::sqrt(squares);
    Advance(w, a, kappa, k, v);
    double mean = 0;
    double mean_square = 0;
    for (int64_t i = 0; i < dim_; ++i) {
      for (int64_t j = 0; j < dim_; ++j) o[i] += state(i, j) * at(op_.r, j);
      mean += o[i] / static_cast<double>(dim_);
      mean_square += o[i] * o[i] / static_cast<double>(dim_);
    }
    const double root = std::sqrt(mean_square - mean * mean + 64e-5);
    for (int64_t i = 0; i < dim_; ++i) {
      const double norm = (o[i] - mean) / root * op_.norm_weight[i] + op_.norm_bias[i];
      y[i] = (norm + bonus * v[i]) * at(op_.g, i);
    }
    return y;
  }

 private:
  using Column = std::vector<double>;

  static double Logistic(double x) { return 0.5 + 0.5 * std::tanh(0.5 * x); }

  void Advance(const Column& w, const Column& a, const Column& kappa, const Column& k,
               const Column& v) {
    Column next(s_.size());
    for (int64_t i = 0; i < dim_; ++i) {
      for (int64_t j = 0; j < dim_; ++j) {
        double sum = v[i] * k[j];
        for (int64_t m = 0; m < dim_; ++m) {
          const double transition = (m == j ? w[j] : 0) - kappa[m] * kappa[j] * a[j];
          sum += state(i, m) * transition;
        }
        next[i * dim_ + j] = sum;
      }
    }
    s_ = next;
  }

  Wkv7Op& op_;
  int64_t dim_;
  Column s_;
};

TEST_P(Wkv7Test, IsTheFormulaWithWholeMatrices) {
  for (Device* device : {device_.get(), reference_.get()}) {
    Wkv7Op op(1, 32, 9);
    DenseWkv7 dense(op);
    const Tensor y = op.Run(*device, {{0, 9, 0, 0, 0}});
    for (int64_t t = 0; t < 9; ++t) {
      const std::vector<double> expected = dense.Step(t);
      for (int64_t i = 0; i < 32; ++i) EXPECT_NEAR(y[t * op.y_stride() + i], expected[i], 3e-5);
    }
    for (int64_t i = 0; i < 32; ++i) {
      for (int64_t j = 0; j < 32; ++j) {
        EXPECT_NEAR(op.slots.at(0)[j * 32 + i], dense.state(i, j), 1e-5);
      }
    }
  }
}

TEST_P(Wkv7Test, AKeyOfZerosRemovesNothing) {
  Wkv7Op op(1, 16, 1);
  Fill(op.k, 0);
  Fill(op.w_raw, -100);  // w = 1
  const Tensor before = op.slots.copy(0);
  const Tensor y = op.Run(*device_, {{0, 1, 0, 0, 0}});
  EXPECT_TRUE(SameBits(op.slots.copy(0), before));
  for (int64_t i = 0; i < 16; ++i) EXPECT_TRUE(std::isfinite(y[i]));
}

TEST_P(Wkv7Test, StaysBoundedOverManyTokens) {
  const auto tokens = Few<int32_t>(4000, 200);
  Wkv7Op op(1, 16, tokens);
  Wkv7Op reference = op;
  const std::vector<Segment> segments = {{0, tokens, 0, 0, 0}};
  const Tensor y = op.Run(*device_, segments);
  EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(1e-5));
  EXPECT_LT(RelativeError(op.slots.copy(0), reference.slots.copy(0)), Bound(1e-5));
}

TEST_P(Wkv7Test, CutsOfASegmentDoNotShow) {
  ExpectCutsDoNotShow(*device_, Wkv7Op(2, 80, 20), 20, Some<int32_t>({1, 2, 3, 7, 19}));
}

TEST_P(Wkv7Test, ThreadsDoNotShow) {
  for (int threads : Some<int>({1, 2, 3, 4})) {
    ExpectSameOn(*device_, *Another(threads), Wkv7Op(5, 64, 23));
  }
}

TEST_P(Wkv7Test, NeighboursAndSlotsDoNotShow) {
  ExpectNeighboursDoNotShow(*device_, Wkv7Op(2, 32, 12));
}

TEST_P(Wkv7Test, AnotherTargetSlotLeavesTheSourceUntouched) {
  ExpectSourceSlotUntouched(*device_, Wkv7Op(2, 80, 6));
}

TEST_P(Wkv7Test, APaddedSegmentWritesNothing) {
  ExpectPaddedSegmentWritesNothing(*device_, Wkv7Op(2, 16, 6));
}

INSTANTIATE_KERNEL_TEST(Wkv7Test);

}  // namespace
}  // namespace ssmd::kernels
