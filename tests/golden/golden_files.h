// Expected logits of the golden data, and how those of a model are compared with them.
#ifndef SSMD_TESTS_GOLDEN_GOLDEN_FILES_H_
#define SSMD_TESTS_GOLDEN_GOLDEN_FILES_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/formats/mapped_file.h"
#include "engine/formats/safetensors.h"
#include "kernels/device.h"
#include "tests/support/test_model.h"

namespace ssmd::testing {

// Of a log-probability, in f32 activations against float64: about 10 times what was measured for
// most cases, 3 times for the worst. The logits reach 30.
inline constexpr double kTolerance = 3e-4;

struct Expected {
  std::vector<int32_t> tokens;
  std::vector<std::vector<double>> logits;
};

inline std::vector<std::vector<double>> Widen(const LogitRows& rows) {
  std::vector<std::vector<double>> wide;
  for (const std::vector<float>& row : rows) wide.emplace_back(row.begin(), row.end());
  return wide;
}

// Of a file of make_golden.py or make_gguf_golden.py, which keeps float64's logits in f32.
inline Expected ReadExpected(const std::string& path) {
  const auto file = MappedFile::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  const auto tensors = ParseSafetensors(file->data(), file->size(), "expected");
  EXPECT_TRUE(tensors.ok()) << tensors.status();
  Expected expected;
  for (const TensorInfo& tensor : *tensors) {
    const auto rows = static_cast<size_t>(tensor.shape[0]);
    if (tensor.name == "tokens") {
      expected.tokens.resize(rows);
      std::memcpy(expected.tokens.data(), tensor.data, tensor.bytes);
      continue;
    }
    LogitRows rounded(rows, std::vector<float>(static_cast<size_t>(tensor.shape[1])));
    for (size_t row = 0; row < rows; ++row) {
      const size_t row_bytes = tensor.bytes / rows;
      if (row_bytes != rounded[row].size() * sizeof(float)) {
        ADD_FAILURE() << path << " has no logits in f32";
        return expected;
      }
      std::memcpy(rounded[row].data(), tensor.data + row * row_bytes, row_bytes);
    }
    expected.logits = Widen(rounded);
  }
  return expected;
}

template <typename Row>
std::vector<double> LogSoftmax(const Row& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - largest);
  std::vector<double> result;
  result.reserve(logits.size());
  for (const double logit : logits) result.push_back(logit - largest - std::log(sum));
  return result;
}

// Largest difference of any log-probability.
inline double Distance(const LogitRows& actual, const std::vector<std::vector<double>>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (size_t row = 0; row < expected.size(); ++row) {
    EXPECT_EQ(actual[row].size(), expected[row].size());
    const std::vector<double> a = LogSoftmax(actual[row]);
    const std::vector<double> e = LogSoftmax(expected[row]);
    for (size_t i = 0; i < e.size(); ++i) largest = std::max(largest, std::fabs(a[i] - e[i]));
  }
  return largest;
}

// How far log-probabilities are apart, against how far they spread: root of the mean squares of
// both.
inline double RelativeDistance(const LogitRows& actual,
                               const std::vector<std::vector<double>>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double apart = 0;
  double spread = 0;
  for (size_t row = 0; row < expected.size(); ++row) {
    const std::vector<double> a = LogSoftmax(actual[row]);
    const std::vector<double> e = LogSoftmax(expected[row]);
    const double mean = std::accumulate(e.begin(), e.end(), 0.0) / static_cast<double>(e.size());
    for (size_t i = 0; i < e.size(); ++i) {
      apart += (a[i] - e[i]) * (a[i] - e[i]);
      spread += (e[i] - mean) * (e[i] - mean);
    }
  }
  return std::sqrt(apart / spread);
}

inline void ExpectSameBits(const LogitRows& a, const LogitRows& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t row = 0; row < a.size(); ++row) {
    ASSERT_EQ(std::memcmp(a[row].data(), b[row].data(), a[row].size() * sizeof(float)), 0)
        << "row " << row;
  }
}

// "reference", or "cpu_" and an instruction set; or, in a program with a GPU, "cuda" and
// "cuda_plain" alone.
#if defined(SSMD_TEST_CUDA)
inline std::vector<std::string> CpuNames() { return {"cuda_plain", "cuda"}; }
inline std::vector<std::string> DeviceNames() { return CpuNames(); }
#else
inline std::vector<std::string> CpuNames() {
  std::vector<std::string> names;
  for (const kernels::Isa isa : kernels::SupportedIsas()) {
    names.push_back("cpu_" + std::string(kernels::IsaName(isa)));
  }
  return names;
}
inline std::vector<std::string> DeviceNames() {
  std::vector<std::string> names = CpuNames();
  names.insert(names.begin(), "reference");
  return names;
}
#endif

inline std::unique_ptr<kernels::Device> MakeDevice(const std::string& name, int threads) {
  if (name == "reference") return kernels::MakeReferenceDevice();
#if defined(SSMD_TEST_CUDA)
  if (name.rfind("cuda", 0) == 0) {
    kernels::CudaOptions options;
    options.plain = name == "cuda_plain";
    // Kernels are compared once a shape, not in every test.
    options.check_folder = ::testing::TempDir() + "ssmd_golden_checks";
    std::string error;
    return kernels::MakeCudaDevice(options, &error);
  }
#endif
  kernels::CpuOptions options;
  options.isa = kernels::ParseIsa(name.substr(4));
  options.threads = threads;
  return kernels::MakeCpuDevice(options);
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_GOLDEN_GOLDEN_FILES_H_
