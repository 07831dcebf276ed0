#include "clients/ssmctl/generation_result.h"

#include "clients/ssmctl/enum_names.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

void WriteUsage(const v1::Usage& usage, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("prompt_tokens").Int(usage.prompt_tokens());
  writer->Key("reused_tokens").Int(usage.reused_tokens());
  writer->Key("computed_tokens").Int(usage.computed_tokens());
  writer->Key("recomputed_tokens").Int(usage.recomputed_tokens());
  writer->Key("generated_tokens").Int(usage.generated_tokens());
  writer->EndObject();
}

void WriteTimings(const v1::Timings& timings, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("queue").Double(timings.queue_ms());
  writer->Key("load").Double(timings.load_ms());
  writer->Key("first_token").Double(timings.first_token_ms());
  writer->Key("total").Double(timings.total_ms());
  writer->EndObject();
}

void WriteFinished(const v1::ChoiceFinished& finished, JsonWriter* writer) {
  writer->Key("finish_reason").String(FinishReasonName(finished.finish_reason()));
  writer->Key("stop_reason").String(finished.stop_reason());
  writer->Key("session_id").String(finished.session_id());
  writer->Key("revision").Unsigned(finished.revision());
  writer->Key("history_token_ids").Ids(finished.history_token_ids());
}

void WritePassage(const Passage& passage, bool with_logprobs, JsonWriter* writer) {
  writer->Key("text").String(passage.text);
  writer->Key("token_ids").Ids(passage.token_ids);
  if (!with_logprobs) return;
  writer->Key("logprobs");
  WriteTokenDetails(passage.logprobs, writer);
}

// What all choices of a request have in common.
void WriteShared(const GenerationResult& result, JsonWriter* writer) {
  writer->Key("model").String(result.started.model());
  writer->Key("request_id").String(result.started.request_id());
  writer->Key("seed").Unsigned(result.started.seed());
  writer->Key("numerics_profile").String(result.started.numerics_profile());
  writer->Key("state_source").String(StateSourceName(SourceOf(result)));
  if (result.final.reuse_miss() != v1::REUSE_MISS_UNSPECIFIED) {
    writer->Key("reuse_miss").String(ReuseMissName(result.final.reuse_miss()));
  }
  if (result.started.replayed()) writer->Key("replayed").Bool(true);
  writer->Key("timings_ms");
  WriteTimings(result.final.timings(), writer);
}

void WriteChoice(const GenerationResult& result, const ChoiceResult& choice, bool with_logprobs,
                 const v1::Usage& usage, JsonWriter* writer) {
  WritePassage(choice.answer, with_logprobs, writer);
  WriteFinished(choice.finished, writer);
  if (!choice.echo.token_ids.empty()) {
    writer->Key("echo").BeginObject();
    WritePassage(choice.echo, with_logprobs, writer);
    writer->EndObject();
  }
  WriteShared(result, writer);
  writer->Key("usage");
  WriteUsage(usage, writer);
}

void WriteDelta(const v1::Delta& delta, JsonWriter* writer) {
  writer->Key("choice").Int(delta.choice_index());
  writer->Key("text").String(delta.text());
  writer->Key("token_ids").Ids(delta.token_ids());
  if (delta.echo()) writer->Key("echo").Bool(true);
  if (delta.logprobs().empty()) return;
  writer->Key("logprobs");
  WriteTokenDetails({delta.logprobs().begin(), delta.logprobs().end()}, writer);
}

void WriteStarted(const v1::Started& started, JsonWriter* writer) {
  writer->Key("request_id").String(started.request_id());
  writer->Key("model").String(started.model());
  writer->Key("session_id").String(started.session_id());
  writer->Key("base_revision").Unsigned(started.base_revision());
  writer->Key("state_source").String(StateSourceName(started.state_source()));
  writer->Key("seed").Unsigned(started.seed());
  writer->Key("numerics_profile").String(started.numerics_profile());
  writer->Key("replayed").Bool(started.replayed());
}

}  // namespace

void Passage::Add(const v1::Delta& delta) {
  text += delta.text();
  token_ids.insert(token_ids.end(), delta.token_ids().begin(), delta.token_ids().end());
  logprobs.insert(logprobs.end(), delta.logprobs().begin(), delta.logprobs().end());
}

void GenerationResult::Add(const v1::GenerateResponse& event) {
  if (event.has_started()) started = event.started();
  if (event.has_final()) final = event.final();
  if (event.has_choice_finished()) {
    choices[event.choice_finished().choice_index()].finished = event.choice_finished();
  }
  if (event.has_delta()) {
    ChoiceResult& choice = choices[event.delta().choice_index()];
    (event.delta().echo() ? choice.echo : choice.answer).Add(event.delta());
  }
}

void WriteResult(const GenerationResult& result, bool with_logprobs, JsonWriter* writer) {
  writer->BeginObject();
  if (result.choices.size() == 1) {
    const ChoiceResult& choice = result.choices.begin()->second;
    WriteChoice(result, choice, with_logprobs, result.final.usage(), writer);
    writer->EndObject();
    return;
  }
  WriteShared(result, writer);
  writer->Key("usage");
  WriteUsage(result.final.usage(), writer);
  writer->Key("choices").BeginArray();
  for (const auto& [index, choice] : result.choices) {
    writer->BeginObject().Key("index").Int(index);
    WriteChoice(result, choice, with_logprobs, choice.finished.usage(), writer);
    writer->EndObject();
  }
  writer->EndArray().EndObject();
}

bool WriteEvent(const v1::GenerateResponse& event, JsonWriter* writer) {
  if (event.event_case() == v1::GenerateResponse::EVENT_NOT_SET) return false;
  writer->BeginObject().Key("event");
  if (event.has_started()) {
    writer->String("started");
    WriteStarted(event.started(), writer);
  } else if (event.has_progress()) {
    writer->String("progress");
    writer->Key("done_tokens").Int(event.progress().done_tokens());
    writer->Key("total_tokens").Int(event.progress().total_tokens());
  } else if (event.has_delta()) {
    writer->String("delta");
    WriteDelta(event.delta(), writer);
  } else if (event.has_choice_finished()) {
    writer->String("choice_finished");
    writer->Key("choice").Int(event.choice_finished().choice_index());
    WriteFinished(event.choice_finished(), writer);
    writer->Key("usage");
    WriteUsage(event.choice_finished().usage(), writer);
  } else {
    writer->String("final").Key("usage");
    WriteUsage(event.final().usage(), writer);
    writer->Key("state_source").String(StateSourceName(event.final().state_source()));
    if (event.final().reuse_miss() != v1::REUSE_MISS_UNSPECIFIED) {
      writer->Key("reuse_miss").String(ReuseMissName(event.final().reuse_miss()));
    }
    writer->Key("timings_ms");
    WriteTimings(event.final().timings(), writer);
  }
  writer->EndObject();
  return true;
}

std::string StateSourceName(v1::StateSource source) {
  return ShortName(v1::StateSource_Name(source), "STATE_SOURCE_", source);
}

std::string ReuseMissName(v1::ReuseMiss miss) {
  return ShortName(v1::ReuseMiss_Name(miss), "REUSE_MISS_", miss);
}

std::string FinishReasonName(v1::FinishReason reason) {
  return LowerCase(ShortName(v1::FinishReason_Name(reason), "FINISH_REASON_", reason));
}

v1::StateSource SourceOf(const GenerationResult& result) {
  const v1::StateSource source = result.final.state_source();
  return source != v1::STATE_SOURCE_UNSPECIFIED ? source : result.started.state_source();
}

std::string ReuseLine(const GenerationResult& result) {
  const v1::Usage& usage = result.final.usage();
  std::string line = "state " + StateSourceName(SourceOf(result)) + ": " +
                     std::to_string(usage.reused_tokens()) + " tokens reused, " +
                     std::to_string(usage.computed_tokens()) + " computed";
  if (usage.recomputed_tokens() > 0) {
    line += ", " + std::to_string(usage.recomputed_tokens()) + " recomputed";
  }
  if (result.final.reuse_miss() != v1::REUSE_MISS_UNSPECIFIED) {
    line += " (more could not be: " + ReuseMissName(result.final.reuse_miss()) + ")";
  }
  return result.started.replayed() ? "answered before; " + line : line;
}

void WriteTokenLogprob(const v1::TokenLogprob& token, JsonWriter* writer) {
  writer->Key("token_id").Int(token.token_id());
  writer->Key("logprob").Float(token.logprob());
  if (token.token().empty()) return;
  writer->Key("token").String(token.token());
  if (!FirstInvalidUtf8(token.token()).has_value()) return;
  // Part of a character: its bytes say what "token" cannot.
  writer->Key("bytes").BeginArray();
  for (const char byte : token.token()) writer->Int(static_cast<unsigned char>(byte));
  writer->EndArray();
}

void WriteTokenDetails(const std::vector<v1::TokenDetail>& details, JsonWriter* writer) {
  writer->BeginArray();
  for (const v1::TokenDetail& detail : details) {
    writer->BeginObject();
    WriteTokenLogprob(detail.token(), writer);
    if (!detail.top().empty()) {
      writer->Key("top").BeginArray();
      for (const v1::TokenLogprob& token : detail.top()) {
        writer->BeginObject();
        WriteTokenLogprob(token, writer);
        writer->EndObject();
      }
      writer->EndArray();
    }
    writer->EndObject();
  }
  writer->EndArray();
}

}  // namespace ssmd::ctl
