// What a fast kernel gave beside what its plain twin gave: pure arithmetic on the host.
//
// Two questions are asked of numbers that should be near each other. Each of them: is its error,
// against a scale of its neighbourhood, within what rounding can do to one number? That finds
// what is misplaced, or missing, be it a single element. All of them: is the root of their mean
// square? Rounding averages out there, so the bound is much lower, and what is systematically
// wrong by a hundredth is found. A NaN is a difference.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_COMPARISON_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_COMPARISON_H_

#include <cstdint>
#include <string>

namespace ssmd::kernels::cuda {

struct Bounds {
  double element = 0;
  double mean = 0;  // root of the mean square
};

// Root of the mean square of `count` numbers that are `step` apart.
double MeanSize(const float* values, int64_t count, int64_t step = 1);

class Comparison {
 public:
  explicit Comparison(const Bounds& bounds) : bounds_(bounds) {}

  // `count` numbers, `step` apart, whose errors count against `scale`.
  void Near(const float* fast, const float* plain, int64_t count, int64_t step, double scale);
  // Bits are equal; `otherwise` says what it means if not.
  void Same(const float* fast, const float* plain, int64_t count, const char* otherwise);
  // But for an eighth of them they are equal.
  void MostlyEqual(const float* fast, const float* plain, int64_t count, const char* otherwise);
  // What is zero is zero.
  void Zeros(const float* fast, const float* plain, int64_t count, const char* otherwise);

  // What is wrong, errors before rules; "" where nothing is.
  std::string Problem() const;

 private:
  void Break(const char* rule) {
    if (broken_ == nullptr) broken_ = rule;
  }

  const Bounds bounds_;
  double largest_ = 0;  // infinite once a NaN was seen
  double squares_ = 0, scale_squares_ = 0;
  const char* broken_ = nullptr;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_COMPARISON_H_
