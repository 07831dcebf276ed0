// Draws on which implementations of Sample are easily apart, for the tests of all of them.
#ifndef SSMD_TESTS_UNIT_KERNELS_SAMPLE_CASES_H_
#define SSMD_TESTS_UNIT_KERNELS_SAMPLE_CASES_H_

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "kernels/ops.h"
#include "kernels/random.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {

struct SampleCase {
  Tensor logits;
  SampleRow row;  // without its pointers
  std::vector<LogitAdjustment> adjustments = {};
};

inline std::ostream& operator<<(std::ostream& out, const SampleCase& c) {
  return out << c.logits.size() << " tokens, " << c.adjustments.size() << " adjusted, temperature "
             << c.row.temperature << ", top_k " << c.row.top_k << ", top_p " << c.row.top_p
             << ", min_p " << c.row.min_p << ", seed " << c.row.seed << ", position "
             << c.row.position;
}

inline int32_t SampleOne(Device& device, const SampleCase& c) {
  SampleRow row = c.row;
  row.logits = c.logits.data();
  row.adjustments = c.adjustments.data();
  row.adjustment_count = static_cast<int64_t>(c.adjustments.size());
  device.Sample({static_cast<int64_t>(c.logits.size()), &row, 1});
  return row.token_id;
}

inline void RoundAll(Tensor& logits) {
  for (float& logit : logits) logit = std::round(logit);
}

// Every setting and many of them together, at some positions.
inline std::vector<SampleCase> SettingsCases(int64_t vocabulary, uint64_t positions) {
  struct Settings {
    float temperature;
    int32_t top_k;
    float top_p;
    float min_p;
  };
  const Settings kSettings[] = {
      {0, 0, 1, 0},           {1, 0, 1, 0},          {0.7f, 0, 1, 0},      {1, 5, 1, 0},
      {1, 0, 0.9f, 0},        {1, 0, 1, 0.05f},      {1.5f, 40, 0.95f, 0}, {10, 100, 0.5f, 0},
      {0.3f, 7, 0.3f, 0.2f},  {1, 1, 1, 0},          {1, 0, 0, 0},         {1, 0, 1, 1},
      {1, 100000, 0.999f, 0}, {0.02f, 0, 1, 0},      {0.002f, 0, 1, 0},    {1e30f, 0, 1, 0},
      {0.01f, 50, 1, 0},      {1e-37f, 20, 0.9f, 0}, {2, 128, 0.8f, 0},    {2, 129, 0.8f, 0},
      {3, 0, 1, 0.5f},        {3, 0, 0.97f, 0.01f},  {0.5f, 0, 0.6f, 0}};
  std::vector<SampleCase> cases;
  for (const Settings& settings : kSettings) {
    for (uint64_t position = 0; position < positions; ++position) {
      SampleCase c{RandomTensor(vocabulary, static_cast<uint32_t>(position), -6, 6), {}};
      if (position % 2 == 0) RoundAll(c.logits);  // so that there are ties at every cut
      c.row.temperature = settings.temperature;
      c.row.top_k = settings.top_k;
      c.row.top_p = settings.top_p;
      c.row.min_p = settings.min_p;
      c.row.seed = 99;
      c.row.choice = 2;
      c.row.position = position;
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

// More tokens than masses are summed together, and a top_p that keeps a few or most.
inline std::vector<SampleCase> LargeVocabularyCases() {
  std::vector<SampleCase> cases;
  for (float top_p : {0.2f, 0.9f, 0.999f}) {
    for (uint64_t position = 0; position < 4; ++position) {
      SampleCase c{RandomTensor(70000, static_cast<uint32_t>(position), -12, 12), {}};
      if (position % 2 == 1) RoundAll(c.logits);
      c.row.top_p = top_p;
      c.row.min_p = position == 3 ? 0.01f : 0;
      c.row.temperature = position == 2 ? 0.5f : 1;
      c.row.position = position;
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

// Scores are rounded after the largest logit is taken off, which may turn round who wins.
inline std::vector<SampleCase> CloseDrawCases(uint64_t positions) {
  constexpr int64_t kVocabulary = 40;
  std::vector<SampleCase> cases;
  for (float temperature : {1.0f, 0.7f, 0.1f, 3.0f}) {
    for (uint64_t position = 0; position < positions; ++position) {
      std::vector<double> gumbel;
      for (int32_t id = 0; id < kVocabulary; ++id) gumbel.push_back(Gumbel({5, 0, position}, id));
      const auto lowest = std::min_element(gumbel.begin(), gumbel.end()) - gumbel.begin();
      const auto level = static_cast<double>(position % 7);
      for (float off : {0.0f, 1e-7f, -1e-7f, 5e-7f, 2e-6f, -1e-5f, 1e-4f}) {
        SampleCase c{Tensor(kVocabulary, -100.0f), {}};
        for (size_t id : {3, 17, 18, 39}) {
          const double key = level + (id == 18 ? double{off} : 0);
          c.logits[id] = static_cast<float>((key - gumbel[id]) * double{temperature});
        }
        // The largest logit, which loses.
        c.logits[static_cast<size_t>(lowest)] = static_cast<float>(
            (level - 0.5 - gumbel[static_cast<size_t>(lowest)]) * double{temperature});
        c.row.temperature = temperature;
        c.row.seed = 5;
        c.row.position = position;
        cases.push_back(std::move(c));
      }
    }
  }
  return cases;
}

// Logits that are apart and whose scores are not, and more equal ones than top_k leaves room for.
inline std::vector<SampleCase> TiedScoreCases(uint64_t positions) {
  std::vector<SampleCase> cases;
  for (int32_t top_k : {1, 3, 100}) {
    for (int tied : {2, 30, 400}) {
      for (uint64_t position = 0; position < positions; ++position) {
        SampleCase c{RandomTensor(1000, static_cast<uint32_t>(position), -6, 6), {}};
        for (float& logit : c.logits) logit = logit * 0.125f - 8;
        c.logits[700] = 512;
        for (int i = 0; i < tied; ++i) {
          // Apart by a quarter of the distance of floats near 511.
          c.logits[static_cast<size_t>(i * 2 + 5)] = 0.5f + static_cast<float>(i % 2) * 0x1p-17f;
        }
        c.row.temperature = position % 2 == 0 ? 300.0f : 1000.0f;
        c.row.top_k = top_k;
        c.row.position = position;
        cases.push_back(std::move(c));
      }
    }
  }
  return cases;
}

// Logits that are apart and whose scores are all 0, so that tokens stay by their ids alone and the
// one with the largest logit may be out of the draw.
inline std::vector<SampleCase> VanishingScoreCases(uint64_t positions) {
  std::vector<SampleCase> cases;
  for (int32_t top_k : {0, 1, 2, 30}) {
    for (float top_p : {1.0f, 0.3f, 0.0f}) {
      for (uint64_t position = 0; position < positions; ++position) {
        SampleCase c{RandomTensor(300, static_cast<uint32_t>(position)), {}};
        for (float& logit : c.logits) logit *= 1e-30f;
        c.row.temperature = 1e30f;
        c.row.top_k = top_k;
        c.row.top_p = top_p;
        c.row.position = position;
        cases.push_back(std::move(c));
      }
    }
  }
  return cases;
}

// Beyond what a float has digits for beside a Gumbel number.
inline std::vector<SampleCase> FarFromZeroCases(uint64_t positions) {
  std::vector<SampleCase> cases;
  for (float level : {-3e6f, 3e6f, 1e30f}) {
    for (uint64_t position = 0; position < positions; ++position) {
      SampleCase c{RandomTensor(500, static_cast<uint32_t>(position), -6, 6), {}};
      for (float& logit : c.logits) logit += level;
      c.row.position = position;
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_SAMPLE_CASES_H_
