// Runs a loaded model over token ids in tests: one session, segments of any lengths.
#ifndef SSMD_TESTS_SUPPORT_TEST_MODEL_H_
#define SSMD_TESTS_SUPPORT_TEST_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "engine/models/language_model.h"
#include "engine/state/state_pool.h"

namespace ssmd::testing {

using LogitRows = std::vector<std::vector<float>>;

// Appends the logits of all of the last batch's logit_rows, read in tiles.
inline void AppendLogits(LanguageModel& model, const StatePool& pool, int count, LogitRows* rows) {
  const int vocabulary = model.info().vocabulary;
  for (int first = 0; first < count; first += model.max_logit_rows()) {
    const int tile = std::min(model.max_logit_rows(), count - first);
    const auto* logits = reinterpret_cast<const std::byte*>(model.Logits(first, tile));
    const size_t row_bytes = static_cast<size_t>(vocabulary) * sizeof(float);
    for (int i = 0; i < tile; ++i, logits += row_bytes) {
      auto& row = rows->emplace_back(static_cast<size_t>(vocabulary));
      pool.device().Download(reinterpret_cast<std::byte*>(row.data()), logits, row_bytes);
    }
  }
}

// Logits after each of `tokens`, fed to a fresh session in segments of the given lengths (their sum
// is the number of tokens).
inline LogitRows RunInSegments(LanguageModel& model, StatePool& pool,
                               const std::vector<int32_t>& tokens,
                               const std::vector<int>& lengths) {
  LogitRows rows;
  const Slot slot = pool.Acquire();
  int64_t position = 0;
  for (const int length : lengths) {
    Batch batch;
    batch.token_ids.assign(tokens.begin() + position, tokens.begin() + position + length);
    batch.segments.push_back({0, length, slot.index(), slot.index(), position});
    batch.logit_rows.resize(static_cast<size_t>(length));
    std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
    model.Forward(batch, pool);
    AppendLogits(model, pool, length, &rows);
    position += length;
  }
  return rows;
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_TEST_MODEL_H_
