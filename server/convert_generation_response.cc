// GenerationService's responses: engine to protobuf. See convert.h.
#include <type_traits>

#include "server/convert.h"
#include "server/convert_enums.h"

namespace ssmd::server {
namespace {

double Milliseconds(Duration duration) { return Seconds(duration) * 1e3; }

v1::FinishReason Convert(FinishReason finish_reason) {
  switch (finish_reason) {
    case FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kPartial:
      return v1::FINISH_REASON_PARTIAL;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

v1::ReuseMiss Convert(PrefixMiss miss) {
  switch (miss) {
    case PrefixMiss::kNone:
      return v1::REUSE_MISS_UNSPECIFIED;
    case PrefixMiss::kNoState:
      return v1::REUSE_MISS_NO_STATE;
    case PrefixMiss::kEvicted:
      return v1::REUSE_MISS_EVICTED;
    case PrefixMiss::kDisabled:
      return v1::REUSE_MISS_DISABLED;
  }
  return v1::REUSE_MISS_UNSPECIFIED;
}

void Fill(const Usage& in, v1::Usage* out) {
  out->set_prompt_tokens(in.prompt_tokens);
  out->set_reused_tokens(in.reused_tokens);
  out->set_computed_tokens(in.computed_tokens);
  out->set_recomputed_tokens(in.recomputed_tokens);
  out->set_generated_tokens(in.generated_tokens);
}

void Fill(int32_t token_id, float logprob, const TokenText& token_text, v1::TokenLogprob* out) {
  out->set_token_id(token_id);
  out->set_logprob(logprob);
  out->set_token(token_text(token_id));
}

void Fill(const TokenDetail& in, const TokenText& token_text, v1::TokenDetail* out) {
  Fill(in.token_id, in.logprob, token_text, out->mutable_token());
  for (const kernels::TokenLogprob& top : in.top) {
    Fill(top.token_id, top.logprob, token_text, out->add_top());
  }
}

void Fill(const StartedEvent& in, v1::Started* out) {
  out->set_request_id(in.request_id);
  out->set_model(in.model);
  out->set_session_id(in.session_id);
  out->set_base_revision(in.base_revision);
  out->set_state_source(ToWire(in.state_source));
  out->set_seed(in.seed);
  out->set_numerics_profile(in.numerics_profile);
  out->set_replayed(in.replayed);
}

void Fill(const DeltaEvent& in, const TokenText& token_text, v1::Delta* out) {
  out->set_choice_index(in.choice);
  out->set_text(in.text);
  out->mutable_token_ids()->Add(in.token_ids.begin(), in.token_ids.end());
  for (const TokenDetail& detail : in.logprobs) Fill(detail, token_text, out->add_logprobs());
  out->set_echo(in.echo);
}

void Fill(const ChoiceFinishedEvent& in, v1::ChoiceFinished* out) {
  out->set_choice_index(in.choice);
  out->set_finish_reason(Convert(in.reason));
  out->set_stop_reason(in.stop_reason);
  out->mutable_history_token_ids()->Add(in.history_token_ids.begin(), in.history_token_ids.end());
  out->set_session_id(in.session_id);
  out->set_revision(in.revision);
  Fill(in.usage, out->mutable_usage());
}

void Fill(const FinalEvent& in, v1::Final* out) {
  Fill(in.usage, out->mutable_usage());
  v1::Timings* timings = out->mutable_timings();
  timings->set_queue_ms(Milliseconds(in.timings.queue));
  timings->set_first_token_ms(Milliseconds(in.timings.first_token));
  timings->set_total_ms(Milliseconds(in.timings.total));
  timings->set_load_ms(Milliseconds(in.timings.load));
  out->set_state_source(ToWire(in.state_source));
  out->set_reuse_miss(Convert(in.miss));
}

}  // namespace

void ToProto(const GenerateEvent& event, const TokenText& token_text, v1::GenerateResponse* out) {
  std::visit(
      [&](const auto& in) {
        using Event = std::decay_t<decltype(in)>;
        if constexpr (std::is_same_v<Event, StartedEvent>) {
          Fill(in, out->mutable_started());
        } else if constexpr (std::is_same_v<Event, ProgressEvent>) {
          out->mutable_progress()->set_done_tokens(in.done_tokens);
          out->mutable_progress()->set_total_tokens(in.total_tokens);
        } else if constexpr (std::is_same_v<Event, DeltaEvent>) {
          Fill(in, token_text, out->mutable_delta());
        } else if constexpr (std::is_same_v<Event, ChoiceFinishedEvent>) {
          Fill(in, out->mutable_choice_finished());
        } else {
          static_assert(std::is_same_v<Event, FinalEvent>);
          Fill(in, out->mutable_final());
        }
      },
      event);
}

void ToProto(const ScoreResult& result, const TokenText& token_text, v1::ScoreResponse* out) {
  out->mutable_token_ids()->Add(result.token_ids.begin(), result.token_ids.end());
  for (const TokenDetail& detail : result.logprobs) Fill(detail, token_text, out->add_logprobs());
  out->set_numerics_profile(result.numerics_profile);
}

void ToProto(const EncodeResult& result, v1::EncodeResponse* out) {
  out->mutable_values()->Add(result.values.begin(), result.values.end());
  out->set_tokens(result.tokens);
  out->set_numerics_profile(result.numerics_profile);
}

}  // namespace ssmd::server
