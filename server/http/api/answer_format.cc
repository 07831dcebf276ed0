// See answer_format.h: what the formats have in common.
#include "server/http/api/answer_format.h"

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"
#include "server/http/api/completion_request.h"
#include "server/http/api/json_out.h"

namespace ssmd::server {
namespace {

double MillisecondsOf(Duration duration) { return Seconds(duration) * 1e3; }

const char* NameOf(StateSource source) {
  switch (source) {
    case StateSource::kFresh:
      return "fresh";
    case StateSource::kResident:
      return "resident";
    case StateSource::kHost:
      return "host";
    case StateSource::kDisk:
      return "disk";
    case StateSource::kRemote:
      return "remote";
    case StateSource::kPrefix:
      return "prefix";
    case StateSource::kReplayed:
      return "replayed";
  }
  return "fresh";
}

}  // namespace

void AnswerFormat::AddUsage(const FinalEvent& final_event, JsonOut* out) const {
  const Usage& usage = final_event.usage;
  out->Begin("usage").Add("prompt_tokens", usage.prompt_tokens);
  out->Add("completion_tokens", usage.generated_tokens);
  out->Add("total_tokens", usage.prompt_tokens + usage.generated_tokens);
  out->Begin("prompt_tokens_details").Add("cached_tokens", usage.reused_tokens).End();
  out->Begin("completion_tokens_details").Add("reasoning_tokens", int64_t{0}).End().End();
}

void AnswerFormat::AddSsmd(const Answer& answer, JsonOut* out) const {
  const FinalEvent& end = answer.final_event;
  const ChoiceFinishedEvent& first = answer.choices.front().finished;
  const bool one = head_.choices == 1;
  out->Begin("ssmd").AddOrNull("session_id", one ? first.session_id : "");
  out->AddUnsigned("revision", one ? first.revision : head_.started.base_revision);
  out->AddOrNull("parent_id", head_.parent_id);
  out->Add("state_source", NameOf(end.state_source));
  out->AddUnsigned("seed", head_.started.seed);
  out->Add("numerics_profile", head_.started.numerics_profile);
  out->AddFlag("replayed", head_.started.replayed);
  out->Add("reused_tokens", end.usage.reused_tokens);
  out->Add("computed_tokens", end.usage.computed_tokens);
  out->Add("recomputed_tokens", end.usage.recomputed_tokens);
  out->Begin("timings_ms").Add("queue", MillisecondsOf(end.timings.queue));
  out->Add("load", MillisecondsOf(end.timings.load));
  out->Add("first_token", MillisecondsOf(end.timings.first_token));
  out->Add("total", MillisecondsOf(end.timings.total)).End();
  out->AddOrNull("request_id", head_.started.request_id).End();
}

void AnswerFormat::AddChoiceSsmd(const char* prefix, const ChoiceFinishedEvent& finished,
                                 JsonOut* out) const {
  if (head_.choices == 1 || finished.session_id.empty()) return;
  out->Begin("ssmd").Add("id", AnswerId(prefix, finished.session_id, finished.revision));
  out->Add("session_id", finished.session_id).AddUnsigned("revision", finished.revision).End();
}

std::string SseEvent(std::string_view json) { return absl::StrCat("data: ", View(json), "\n\n"); }

std::string SseEvent(std::string_view name, std::string_view json) {
  return absl::StrCat("event: ", View(name), "\ndata: ", View(json), "\n\n");
}

std::string SseComment(std::string_view text) { return absl::StrCat(": ", View(text), "\n\n"); }

}  // namespace ssmd::server
