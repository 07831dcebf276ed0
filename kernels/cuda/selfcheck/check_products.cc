// Products with the model's own weights.
//
// The plain twin keeps inputs as they are, or rounds groups of 32 to int8 with quantised weights;
// fast products round them to 16 bits where they may. Such errors are independent of each other,
// so where one of them is e of the usual size of an input, that of a sum is e of the usual size of
// the sum, which is that of its output over many rows: sqrt(Σ x²w²). Of inputs that are evenly
// spread, e is below 2^−9 in 16 bits, and 1/264 in int8. Errors of many terms are spread like a
// normal distribution, and of some millions none is beyond six times their usual size.
#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "kernels/cuda/product_fast.h"
#include "kernels/cuda/selfcheck/kernel_checks.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cuda {
namespace {

// Products of other numbers of rows are compared with these, bit for bit.
constexpr int64_t kProductRows = kProductCheckRows;
constexpr float kSpread = 1.7320508f;  // of even numbers whose mean square is 1

Bounds BoundsOf(const PackedMatrix& w) {
  if (IsQuantised(w.format)) return {0.06, 0.0075};
  if (w.may_round_inputs) return {0.03, 0.003};
  return {1e-3, 1e-4};
}

using Multiply = OtherProduct;

// Rows of a product's results. Those beyond the rows of a run are left alone.
std::vector<float> Multiplied(CheckSpace& space, const Multiply& multiply, MatMulParams params,
                              int64_t rows, CheckRows& out) {
  const Buffer scratch = space.Allocate(std::max(size_t{1}, ProductScratch(rows, *params.w)));
  if (!scratch) return {};
  out.Reset();
  params.rows = rows;
  multiply(space.stream(), params, scratch.data());
  return out.Read();
}

std::vector<bool> FirstRows(int64_t rows, int64_t of) {
  std::vector<bool> first(static_cast<size_t>(of));
  std::fill_n(first.begin(), rows, true);
  return first;
}

// The usual size of each output without what is added to it.
std::vector<double> SizesOf(CheckSpace& space, const Multiply& multiply, MatMulParams params) {
  const int64_t outputs = params.w->outputs;
  CheckRows out(space, {kProductRows, outputs, params.out_stride, params.out}, 0, 0);
  params.bias = params.add = nullptr;
  params.out = out.data();
  if (space.out_of_memory()) return {};
  const std::vector<float> sums = Multiplied(space, multiply, params, kProductRows, out);
  std::vector<double> sizes;
  for (int64_t o = 0; o < outputs && !sums.empty(); ++o) {
    sizes.push_back(MeanSize(out.RowOf(sums, 0) + o, kProductRows, params.out_stride));
  }
  return sizes;
}

// What is added is of the outputs' size, so that it hides no error and is seen if it is missing.
class ProductCheck {
 public:
  ProductCheck(CheckSpace& space, const MatMulParams& params, std::vector<double> sizes,
               int64_t rows)
      : space_(space),
        params_(params),
        sizes_(std::move(sizes)),
        rows_(rows),
        size_(static_cast<float>(*std::max_element(sizes_.begin(), sizes_.end()))),
        in_place_(params.add == params.out),
        out_(space, {rows, outputs(), params.out_stride, params.out}, -size_, size_),
        bias_(space, {1, outputs(), outputs(), params.bias}, -size_, size_),
        add_(space, {rows, outputs(), params.add_stride, in_place_ ? nullptr : params.add}, -size_,
             size_) {
    params_.out = out_.data();
    params_.bias = bias_.data();
    params_.add = in_place_ ? out_.data() : add_.data();
  }

  std::string Run(const Multiply& multiply_plain, const Multiply& multiply_fast,
                  const std::vector<int64_t>& row_counts) {
    Comparison comparison(BoundsOf(*params_.w));
    const std::vector<float> plain = Result(multiply_plain, kProductRows);
    const std::vector<float> fast = Result(multiply_fast, kProductRows);
    if (space_.out_of_memory()) return "";
    for (int64_t o = 0; o < outputs(); ++o) {
      // Beside what is added a sum may be as small as its rounding.
      const double scale = std::max(sizes_[static_cast<size_t>(o)], size_ * 1e-3);
      comparison.Near(out_.RowOf(fast, 0) + o, out_.RowOf(plain, 0) + o, kProductRows,
                      params_.out_stride, scale);
    }
    out_.CompareUntouched(fast, FirstRows(kProductRows, rows_), &comparison);
    for (const int64_t rows : row_counts) {
      const std::vector<float> others = Result(multiply_fast, rows);
      if (space_.out_of_memory()) return "";
      out_.CompareBits(others, fast, FirstRows(std::min(rows, kProductRows), rows_),
                       "bits of a row depend on the number of rows", &comparison);
      out_.CompareUntouched(others, FirstRows(rows, rows_), &comparison);
    }
    return comparison.Problem();
  }

 private:
  int64_t outputs() const { return params_.w->outputs; }
  std::vector<float> Result(const Multiply& multiply, int64_t rows) {
    if (space_.out_of_memory()) return {};
    return Multiplied(space_, multiply, params_, rows, out_);
  }

  CheckSpace& space_;
  MatMulParams params_;
  const std::vector<double> sizes_;
  const int64_t rows_;
  const float size_;
  const bool in_place_;
  CheckRows out_, bias_, add_;
};

// `row_counts`: besides kProductRows.
std::string CheckProductOf(CheckSpace& space, const Multiply& plain, const Multiply& fast,
                           const MatMulParams& like, const std::vector<int64_t>& row_counts) {
  const int64_t rows =
      row_counts.empty() ? kProductRows : std::max(kProductRows, row_counts.back());
  MatMulParams params = like;
  CheckRows x(space, {rows, like.w->inputs, like.x_stride, like.x}, -kSpread, kSpread);
  params.x = x.data();
  if (space.out_of_memory()) return "";
  std::vector<double> sizes = SizesOf(space, plain, params);
  if (space.out_of_memory()) return "";
  return ProductCheck(space, params, std::move(sizes), rows).Run(plain, fast, row_counts);
}

Multiply ProductOf(const KernelTable& table, const fast::ProductOptions& options) {
  return [&table, options](Stream& stream, const MatMulParams& p, std::byte* scratch) {
    table.mat_mul(options, stream, p, scratch);
  };
}

}  // namespace

std::string CheckProduct(CheckSpace& space, const Twins& twins, const MatMulParams& like,
                         int64_t most_rows) {
  return CheckProductOf(space, ProductOf(twins.plain, twins.product),
                        ProductOf(twins.fast, twins.product), like,
                        fast::RowCountsOfAllWays(*like.w, most_rows));
}

std::string CheckLibraryProduct(CheckSpace& space, const KernelTable& plain,
                                const MatMulParams& like, const OtherProduct& other) {
  return CheckProductOf(space, ProductOf(plain, {}), other, like, {});
}

}  // namespace ssmd::kernels::cuda
