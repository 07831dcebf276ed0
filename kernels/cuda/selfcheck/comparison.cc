#include "kernels/cuda/selfcheck/comparison.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace ssmd::kernels::cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

double MeanSize(const float* values, int64_t count, int64_t step) {
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) squares += double{values[i * step]} * values[i * step];
  return count == 0 ? 0 : std::sqrt(squares / static_cast<double>(count));
}

void Comparison::Near(const float* fast, const float* plain, int64_t count, int64_t step,
                      double scale) {
  for (int64_t i = 0; i < count; ++i) {
    const double error = std::abs(double{fast[i * step]} - plain[i * step]);
    // Of zeros all of an error is too much. A NaN is no number below the bound.
    double relative = error == 0 ? 0 : error / scale;
    if (std::isnan(relative)) relative = kInfinity;
    if (relative > largest_) largest_ = relative;
    squares_ += std::isfinite(error) ? error * error : kInfinity;
    scale_squares_ += scale * scale;
  }
}

void Comparison::Same(const float* fast, const float* plain, int64_t count, const char* otherwise) {
  if (std::memcmp(fast, plain, static_cast<size_t>(count) * sizeof(float)) != 0) Break(otherwise);
}

void Comparison::MostlyEqual(const float* fast, const float* plain, int64_t count,
                             const char* otherwise) {
  int64_t differ = 0;
  for (int64_t i = 0; i < count; ++i) differ += fast[i] == plain[i] ? 0 : 1;
  if (8 * differ > count) Break(otherwise);
}

void Comparison::Zeros(const float* fast, const float* plain, int64_t count,
                       const char* otherwise) {
  for (int64_t i = 0; i < count; ++i) {
    if (plain[i] == 0 && fast[i] != 0) return Break(otherwise);
  }
}

std::string Comparison::Problem() const {
  const double mean = squares_ == 0 ? 0 : std::sqrt(squares_ / scale_squares_);
  if (largest_ <= bounds_.element && mean <= bounds_.mean) {
    return broken_ == nullptr ? "" : broken_;
  }
  char text[120];
  std::snprintf(text, sizeof(text),
                "errors are up to %.2g of the usual size of a result, and %.2g of it on average",
                largest_, mean);
  return text;
}

}  // namespace ssmd::kernels::cuda
