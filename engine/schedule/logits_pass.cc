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

kernels::SampleRow ToSampleRow(const Draw& draw) {
  kernels::SampleRow row;
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

// Whether a log-probability is wanted of the row, or nothing, and then it is checked as for one.
bool IsScored(const RowJob& job) { return job.scored != nullptr || job.draws.empty(); }

// Jobs of entries [first, first + jobs.size()) of the batch's logit_rows.
void RunTile(LanguageModel* model, int first, absl::Span<RowJob> jobs, kernels::Device* device) {
  RowDraws samples;
  std::vector<std::pair<RowJob*, Draw*>> drawn_by;
  for (size_t i = 0; i < jobs.size(); ++i) {
    RowJob& job = jobs[i];
    bool keep = IsScored(job);
    for (Draw& draw : job.draws) {
      keep |= draw.top_logprobs.has_value();
      samples.draws.push_back(ToSampleRow(draw));
      samples.rows.push_back(static_cast<int>(i));
      drawn_by.emplace_back(&job, &draw);
    }
    samples.keep.push_back(keep ? 1 : 0);
  }
  const int64_t vocabulary = model->info().vocabulary;
  const float* logits = model->Sample(first, static_cast<int>(jobs.size()), &samples);
  std::vector<Wanted> scores;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const RowJob& job = jobs[i];
    const float* row = logits + static_cast<int64_t>(i) * vocabulary;
    if (IsScored(job)) scores.push_back({row, job.target, job.top, job.scored, job.not_finite});
  }
  for (size_t i = 0; i < drawn_by.size(); ++i) {
    const auto [job, draw] = drawn_by[i];
    const kernels::SampleRow& sample = samples.draws[i];
    draw->drawn = TokenDetail{sample.token_id, 0, {}};
    if (sample.token_id == kernels::kNotFinite) {
      *job->not_finite = true;
    } else if (draw->top_logprobs.has_value()) {
      scores.push_back(
          {sample.logits, sample.token_id, *draw->top_logprobs, &draw->drawn, job->not_finite});
    }
  }
  RunLogprobs(scores, vocabulary, device);
}

bool WantsLogits(const RowJob& job) { return job.hidden == nullptr; }

// Jobs from entry `first` of the batch's logit_rows on.
void ReadHidden(LanguageModel* model, size_t first, absl::Span<const RowJob> jobs) {
  if (jobs.empty()) return;
  const auto width = static_cast<size_t>(model->info().d_model);
  std::vector<float> rows(jobs.size() * width);
  model->Hidden(static_cast<int>(first), static_cast<int>(jobs.size()), rows.data());
  for (size_t i = 0; i < jobs.size(); ++i) {
    std::copy_n(rows.data() + i * width, width, jobs[i].hidden);
  }
}

}  // namespace

void OrderJobs(absl::Span<RowJob> jobs) {
  std::stable_partition(jobs.begin(), jobs.end(), WantsLogits);
}

void RunLogitsPass(LanguageModel* model, kernels::Device* device, absl::Span<RowJob> jobs) {
  const auto logits = static_cast<size_t>(
      std::partition_point(jobs.begin(), jobs.end(), WantsLogits) - jobs.begin());
  ReadHidden(model, logits, jobs.subspan(logits));
  const auto tile = static_cast<size_t>(model->max_logit_rows());
  for (size_t first = 0; first < logits; first += tile) {
    RunTile(model, static_cast<int>(first), jobs.subspan(first, std::min(tile, logits - first)),
            device);
  }
}

}  // namespace ssmd
