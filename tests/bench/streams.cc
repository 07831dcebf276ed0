#include "tests/bench/streams.h"

#include <algorithm>

namespace ssmd::bench {

Streams::Streams(int count, LanguageModel& model, StatePool& pool)
    : model_(model), pool_(pool), next_(static_cast<size_t>(count), 0) {
  for (int i = 0; i < count; ++i) slots_.push_back(pool.Acquire());
}

void Streams::Prefill(size_t stream, int tokens, int most_rows) {
  for (int done = 0; done < tokens;) {
    const int length = std::min(tokens - done, most_rows);
    Batch batch;
    for (int i = 0; i < length; ++i) batch.token_ids.push_back(PromptToken(stream, done + i));
    AddSegment(stream, 0, length, done, batch);
    done += length;
    if (done == tokens) batch.logit_rows = {length - 1};
    model_.Forward(batch, pool_);
    if (done == tokens) Sample({stream});
  }
  position_ = tokens;
}

void Streams::Decode() {
  const auto budget = static_cast<size_t>(std::min(model_.max_rows(), model_.max_logit_rows()));
  for (size_t first = 0; first < slots_.size(); first += budget) {
    Batch batch;
    std::vector<size_t> streams;
    for (size_t i = first; i < std::min(first + budget, slots_.size()); ++i) {
      const auto row = static_cast<int32_t>(streams.size());
      batch.token_ids.push_back(next_[i]);
      batch.logit_rows.push_back(row);
      AddSegment(i, row, 1, position_, batch);
      streams.push_back(i);
    }
    model_.Forward(batch, pool_);
    Sample(streams);
  }
  ++position_;
}

int32_t Streams::PromptToken(size_t stream, int i) const {
  return static_cast<int32_t>((stream * 7919 + static_cast<size_t>(i) * 104729 + 1) %
                              static_cast<size_t>(model_.info().vocabulary));
}

void Streams::AddSegment(size_t stream, int32_t row, int length, int64_t position,
                         Batch& batch) const {
  const int32_t slot = slots_[stream].index();
  batch.segments.push_back({row, length, slot, slot, position});
}

void Streams::Sample(const std::vector<size_t>& streams) {
  RowDraws draws;
  draws.draws.resize(streams.size());
  draws.keep.resize(streams.size());
  for (size_t i = 0; i < streams.size(); ++i) {
    draws.draws[i].temperature = 0;
    draws.rows.push_back(static_cast<int>(i));
  }
  model_.Sample(0, static_cast<int>(streams.size()), &draws);
  for (size_t i = 0; i < streams.size(); ++i) {
    next_[streams[i]] = std::max(0, draws.draws[i].token_id);
  }
}

}  // namespace ssmd::bench
