#include "kernels/cuda/draws.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/plain_ops.h"

namespace ssmd::kernels::cuda {
namespace {

// Rows that go to the GPU together.
constexpr int64_t kRows = 256;
constexpr size_t kRowBytes = std::max(sizeof(SampleRow), sizeof(LogprobRow));
constexpr size_t kTopBytes = size_t{kMaxTopLogprobs} * sizeof(TokenLogprob);

}  // namespace

// A row has one adjustment a token at most.
bool Draws::Reserve(int64_t vocabulary) {
  if (vocabulary <= vocabulary_) return true;
  vocabulary_ = 0;
  const auto adjustments = static_cast<size_t>(vocabulary) * sizeof(LogitAdjustment);
  results_ = AllocatePinned(gpu_, kRows * (kRowBytes + kTopBytes));
  top_ = AllocateOn(gpu_, kRows * kTopBytes);
  scratch_ = AllocateOn(gpu_, plain::SampleScratchBytes(kRows, vocabulary));
  if (!results_ || !top_ || !scratch_) return false;
  if (!staging_.Reserve(gpu_, kRows * kRowBytes + adjustments)) return false;
  vocabulary_ = vocabulary;
  return true;
}

// Sends rows from `first` on, as many as there is room for with their adjustments, and returns how
// many.
int64_t Draws::SendDraws(const SampleParams& params, int64_t first) {
  std::byte* host = staging_.host();
  auto* rows = reinterpret_cast<SampleRow*>(host);
  size_t end = kRows * sizeof(SampleRow);
  int64_t count = 0;
  for (; first + count < params.row_count && count < kRows; ++count) {
    SampleRow row = params.rows[first + count];
    const auto bytes = static_cast<size_t>(row.adjustment_count) * sizeof(LogitAdjustment);
    if (bytes > staging_.bytes() - end) break;
    if (bytes > 0) std::memcpy(host + end, row.adjustments, bytes);
    row.adjustments = reinterpret_cast<const LogitAdjustment*>(staging_.device() + end);
    rows[count] = row;
    end += bytes;
  }
  staging_.Send(stream_, end);
  return count;
}

void Draws::Sample(const SampleParams& params) {
  for (int64_t first = 0; first < params.row_count;) {
    const int64_t count = SendDraws(params, first);
    auto* rows = reinterpret_cast<SampleRow*>(staging_.device());
    plain::Sample(stream_, params.vocabulary, rows, count, scratch_.data());
    stream_.CopyOut(results_.data(), rows, static_cast<size_t>(count) * sizeof(SampleRow));
    stream_.Synchronize();
    for (int64_t i = 0; i < count; ++i) {
      params.rows[first + i].token_id = results_.as<SampleRow>()[i].token_id;
    }
    first += count;
  }
}

void Draws::Logprobs(const LogprobParams& params) {
  for (int64_t first = 0; first < params.row_count; first += kRows) {
    const int64_t count = std::min(kRows, params.row_count - first);
    auto* sent = reinterpret_cast<LogprobRow*>(staging_.host());
    for (int64_t i = 0; i < count; ++i) {
      sent[i] = params.rows[first + i];
      sent[i].top = top_.as<TokenLogprob>() + i * kMaxTopLogprobs;
    }
    const auto bytes = static_cast<size_t>(count) * sizeof(LogprobRow);
    staging_.Send(stream_, bytes);
    auto* rows = reinterpret_cast<LogprobRow*>(staging_.device());
    plain::Logprobs(stream_, params.vocabulary, rows, count);

    std::byte* top = results_.data() + kRows * kRowBytes;
    stream_.CopyOut(results_.data(), rows, bytes);
    stream_.CopyOut(top, top_.data(), static_cast<size_t>(count) * kTopBytes);
    stream_.Synchronize();
    for (int64_t i = 0; i < count; ++i) {
      LogprobRow& row = params.rows[first + i];
      row.logprob = results_.as<LogprobRow>()[i].logprob;
      const auto* found = reinterpret_cast<const TokenLogprob*>(top) + i * kMaxTopLogprobs;
      std::copy(found, found + row.top_count, row.top);
    }
  }
}

}  // namespace ssmd::kernels::cuda
