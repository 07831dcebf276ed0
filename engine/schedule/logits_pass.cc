#include "engine/schedule/logits_pass.h"

#include <algorithm>
#include <cmath>

namespace ssmd {
namespace {

// A log-probability wanted of a row, and where the answer goes.
struct Wanted {
  const float* logits;
  int32_t token_id;
  int32_t top;
  TokenDetail* detail;  // may be null
  bool* not_finite;
};

void RunLogprobs(const std::vector<Wanted>& wanted, int64_t vocabulary, kernels::Device* device) {
  if (wanted.empty()) return;
  std::vector<kernels::LogprobRow> rows(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    rows[i].logits = wanted[i].logits;
    rows[i].token_id = wanted[i].token_id;
    if (TokenDetail* detail = wanted[i].detail; detail != nullptr) {
      rows[i].top_count = static_cast<int32_t>(std::min<int64_t>(wanted[i].top, vocabulary));
      detail->top.resize(static_cast<size_t>(rows[i].top_count));
      rows[i].top = detail->top.data();
    }
  }
  device->Logprobs({vocabulary, rows.data(), static_cast<int64_t>(rows.size())});
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(rows[i].logprob)) *wanted[i].not_finite = true;
    if (TokenDetail* detail = wanted[i].detail; detail != nullptr) {
      detail->token_id = rows[i].token_id;
      detail->logprob = rows[i].logprob;
    }
  }
}

kernels::SampleRow ToSampleRow(const Draw& draw, const float* logits) {
  kernels::SampleRow row;
  row.logits = logits;
  row.adjustments = draw.adjustments.data();
  row.adjustment_count = static_cast<int64_t>(draw.adjustments.size());
  row.repetition_penalty = draw.sampling->penalties.repetition;
  row.temperature = draw.sampling->temperature;
  row.top_k = draw.sampling->top_k;
  row.top_p = draw.sampling->top_p;
  row.min_p = draw.sampling->min_p;
  row.seed = draw.seed;
  row.choice = draw.choice;
  row.position = draw.position;
  return row;
}

void RunTile(absl::Span<RowJob> jobs, const float* logits, int64_t vocabulary,
             kernels::Device* device) {
  std::vector<Wanted> scores;
  std::vector<kernels::SampleRow> samples;
  std::vector<std::pair<RowJob*, Draw*>> drawn_by;
  for (size_t i = 0; i < jobs.size(); ++i) {
    RowJob& job = jobs[i];
    const float* row = logits + static_cast<int64_t>(i) * vocabulary;
    if (job.scored != nullptr || job.draws.empty()) {
      scores.push_back({row, job.target, job.top, job.scored, job.not_finite});
    }
    for (Draw& draw : job.draws) {
      samples.push_back(ToSampleRow(draw, row));
      drawn_by.emplace_back(&job, &draw);
    }
  }
  if (!samples.empty()) {
    device->Sample({vocabulary, samples.data(), static_cast<int64_t>(samples.size())});
  }
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto [job, draw] = drawn_by[i];
    draw->drawn = TokenDetail{samples[i].token_id, 0, {}};
    if (samples[i].token_id == kernels::kNotFinite) {
      *job->not_finite = true;
    } else if (draw->top_logprobs.has_value()) {
      scores.push_back({samples[i].logits, samples[i].token_id, *draw->top_logprobs, &draw->drawn,
                        job->not_finite});
    }
  }
  RunLogprobs(scores, vocabulary, device);
}

}  // namespace

void RunLogitsPass(LanguageModel* model, kernels::Device* device, absl::Span<RowJob> jobs) {
  const auto tile = static_cast<size_t>(model->max_logit_rows());
  for (size_t first = 0; first < jobs.size(); first += tile) {
    const absl::Span<RowJob> part = jobs.subspan(first, tile);
    const float* logits = model->Logits(static_cast<int>(first), static_cast<int>(part.size()));
    RunTile(part, logits, model->info().vocabulary, device);
  }
}

}  // namespace ssmd
