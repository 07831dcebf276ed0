#include "tests/unit/schedule/oracle.h"

#include <algorithm>

#include "engine/sample/penalties.h"
#include "engine/text/detokenizer.h"
#include "tests/unit/schedule/fake_model.h"
#include "tests/unit/schedule/fake_tokenizer.h"

namespace ssmd::testing {
namespace {

const FakeTokenizer& Tokens() {
  static const FakeTokenizer tokenizer;
  return tokenizer;
}

std::string BytesOf(int32_t id) {
  return Tokens().IsSpecial(id) ? std::string() : std::string(Tokens().TokenBytes(id));
}

FakeState StateAfter(const TokenLog& history) {
  FakeState state;
  for (const LoggedToken& token : history) state.Consume(token.token_id());
  return state;
}

std::vector<float> LogitsAfter(const TokenLog& history) {
  std::vector<float> logits(FakeModel::kVocabulary);
  FakeModel::FillLogits({StateAfter(history), false}, logits.data());
  return logits;
}

struct Found {
  size_t begin;
  std::string stop;
};

// The stop string that ends first; of several that end together, the longest.
std::optional<Found> FindStop(const std::string& text, const std::vector<std::string>& stops) {
  std::optional<Found> best;
  size_t best_end = 0;
  for (const std::string& stop : stops) {
    const size_t begin = text.find(stop);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (!best || end < best_end || (end == best_end && begin < best->begin)) {
      best = {begin, stop};
      best_end = end;
    }
  }
  return best;
}

std::vector<int32_t> Retokenise(std::string bytes) {
  if (auto ids = Tokens().Encode(bytes, {}); ids.ok()) return *ids;
  std::vector<int32_t> ids;
  while (!bytes.empty()) {  // longest token first, as for text
    int32_t best = -1;
    for (int32_t id = 0; id < Tokens().size(); ++id) {
      const std::string token = BytesOf(id);
      if (token.empty() || bytes.compare(0, token.size(), token) != 0) continue;
      if (best < 0 || token.size() > BytesOf(best).size()) best = id;
    }
    ids.push_back(best);
    bytes.erase(0, BytesOf(best).size());
  }
  return ids;
}

}  // namespace

Oracle::Oracle() : device_(kernels::MakeCpuDevice({std::nullopt, 1})) {}

int32_t Oracle::Draw(const GenerateRequest& request, const TokenLog& history, int choice) {
  const std::vector<float> logits = LogitsAfter(history);
  const auto adjustments = LogitAdjustments(request.sampling.penalties, history);
  kernels::SampleRow row;
  row.logits = logits.data();
  row.adjustments = adjustments.data();
  row.adjustment_count = static_cast<int64_t>(adjustments.size());
  row.repetition_penalty = request.sampling.penalties.repetition;
  row.temperature = request.sampling.temperature;
  row.top_k = request.sampling.top_k;
  row.top_p = request.sampling.top_p;
  row.min_p = request.sampling.min_p;
  row.seed = *request.sampling.seed;
  row.choice = static_cast<uint32_t>(choice);
  row.position = history.size();
  device_->Sample({FakeModel::kVocabulary, &row, 1});
  return row.token_id;
}

OracleChoice Oracle::Run(const GenerateRequest& request, const OracleSession& before,
                         const std::vector<int32_t>& prompt, int choice) {
  OracleChoice result;
  TokenLog history = before.history;
  for (const int32_t id : prompt) history.emplace_back(id, false);
  const TokenLog with_prompt = history;
  std::string bytes;
  std::vector<size_t> starts;
  std::optional<Found> found;
  int64_t pending = 1;
  size_t kept = 0;
  while (result.generated < request.max_tokens) {
    const int32_t id = Draw(request, history, choice);
    ++result.generated;
    const auto& stops = request.stop.token_ids;
    if ((id == FakeModel::kEos && !request.stop.ignore_eos) ||
        std::find(stops.begin(), stops.end(), id) != stops.end()) {
      result.reason = FinishReason::kStop;
      Detokenizer name;
      result.stop_reason = name.Push(Tokens().TokenBytes(id));
      result.stop_reason += name.Flush();
      pending = 0;
      break;
    }
    if (request.top_logprobs.has_value()) result.logprobs.push_back(Logprob(history, id));
    history.emplace_back(id, true);
    result.token_ids.push_back(id);
    starts.push_back(bytes.size());
    bytes += BytesOf(id);
    kept = result.token_ids.size();
    if ((found = FindStop(bytes, request.stop.strings))) break;
  }
  std::vector<int32_t> retokenised;
  if (found) {
    result.reason = FinishReason::kStop;
    result.stop_reason = found->stop;
    if (request.stop.history == StopHistory::kTrim) {
      while (starts[kept - 1] > found->begin) --kept;
      // Now token kept − 1 starts at or before the stop string; tokens without bytes do not hold
      // it.
      while (starts[kept - 1] + BytesOf(result.token_ids[kept - 1]).size() <= found->begin) ++kept;
      --kept;
      retokenised = Retokenise(bytes.substr(starts[kept], found->begin - starts[kept]));
      pending = static_cast<int64_t>(retokenised.size());
    }
  }
  result.history_token_ids.assign(result.token_ids.begin(),
                                  result.token_ids.begin() + static_cast<std::ptrdiff_t>(kept));
  result.history_token_ids.insert(result.history_token_ids.end(), retokenised.begin(),
                                  retokenised.end());
  result.after.history = with_prompt;
  for (const int32_t id : result.history_token_ids) result.after.history.emplace_back(id, true);
  result.after.pending = pending;

  // The text: what the whole history reads like, from where the answer begins.
  Detokenizer reader;
  for (const LoggedToken& token : with_prompt) reader.Push(BytesOf(token.token_id()));
  result.text = reader.Push(found ? bytes.substr(0, found->begin) : bytes);
  if (request.session_id.empty()) result.text += reader.Flush();
  return result;
}

std::vector<float> Oracle::Hidden(const TokenLog& history) const {
  std::vector<float> hidden(FakeModel::kWidth);
  FakeModel::FillHidden({StateAfter(history), false}, hidden.data());
  return hidden;
}

std::vector<float> Oracle::Encoded(const std::vector<int32_t>& ids, Pooling pooling) const {
  std::vector<double> sum(FakeModel::kWidth);
  std::vector<float> last;
  std::vector<float> largest;
  TokenLog history;
  for (const int32_t id : ids) {
    history.emplace_back(id, false);
    last = Hidden(history);
    if (largest.empty()) largest = last;
    for (size_t i = 0; i < last.size(); ++i) {
      sum[i] += last[i];
      largest[i] = std::max(largest[i], last[i]);
    }
  }
  if (pooling == Pooling::kMax) return largest;
  if (pooling == Pooling::kLast) return last;
  std::vector<float> mean;
  const double scale = 1.0 / static_cast<double>(ids.size());
  for (const double value : sum) mean.push_back(static_cast<float>(value * scale));
  return mean;
}

float Oracle::Logprob(const TokenLog& history, int32_t token_id) {
  const std::vector<float> logits = LogitsAfter(history);
  kernels::LogprobRow row;
  row.logits = logits.data();
  row.token_id = token_id;
  device_->Logprobs({FakeModel::kVocabulary, &row, 1});
  return row.logprob;
}

}  // namespace ssmd::testing
