// /v1/responses. See answer_format.h.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/api/answer_format.h"
#include "server/http/api/api_error.h"
#include "server/http/api/json_out.h"

namespace ssmd::server {
namespace {

class ResponseFormat final : public AnswerFormat {
 public:
  explicit ResponseFormat(AnswerHead head)
      : AnswerFormat(std::move(head)),
        message_id_(absl::StrCat("msg_", head_.started.request_id)) {}

  std::string Whole(const Answer& answer) override {
    JsonOut out;
    out.Begin();
    AddMembers(StatusOf(answer), &answer, nullptr, &out);
    return out.End().Take();
  }

  std::string Started() override {
    std::string text = OfResponse("response.created", "in_progress", nullptr, nullptr);
    text += OfResponse("response.in_progress", "in_progress", nullptr, nullptr);
    JsonOut item;
    Open("response.output_item.added", &item);
    item.Add("output_index", int64_t{0}).Begin("item");
    AddMessage("in_progress", nullptr, &item);
    text += Close("response.output_item.added", item.End());
    JsonOut part;
    OpenPart("response.content_part.added", &part);
    AddPart("", &part);
    return text + Close("response.content_part.added", part);
  }

  std::string Delta(const DeltaEvent& delta) override {
    if (delta.text.empty()) return "";
    JsonOut out;
    OpenPart("response.output_text.delta", &out);
    out.Add("delta", delta.text).BeginList("logprobs").EndList();
    return Close("response.output_text.delta", out);
  }

  std::string Ended(const Answer& answer) override {
    const std::string& text = answer.choices.front().text;
    JsonOut done;
    OpenPart("response.output_text.done", &done);
    done.Add("text", text).BeginList("logprobs").EndList();
    std::string out = Close("response.output_text.done", done);
    JsonOut part;
    OpenPart("response.content_part.done", &part);
    AddPart(text, &part);
    out += Close("response.content_part.done", part);
    JsonOut item;
    Open("response.output_item.done", &item);
    item.Add("output_index", int64_t{0}).Begin("item");
    AddMessage(StatusOf(answer), &text, &item);
    out += Close("response.output_item.done", item.End());
    const std::string status = StatusOf(answer);
    return out + OfResponse(status == "completed" ? "response.completed" : "response.incomplete",
                            status, &answer, nullptr);
  }

  std::string Failed(const absl::Status& status) override {
    return OfResponse("response.failed", "failed", nullptr, &status);
  }

 private:
  static const char* StatusOf(const Answer& answer) {
    return answer.choices.front().finished.reason == FinishReason::kStop ? "completed"
                                                                         : "incomplete";
  }

  void Open(const char* type, JsonOut* out) {
    out->Begin().Add("type", type).Add("sequence_number", sequence_++);
  }
  void OpenPart(const char* type, JsonOut* out) {
    Open(type, out);
    out->Add("item_id", message_id_).Add("output_index", int64_t{0});
    out->Add("content_index", int64_t{0});
  }
  static std::string Close(const char* type, JsonOut& out) {
    return SseEvent(type, out.End().Take());
  }
  std::string OfResponse(const char* type, const std::string& state, const Answer* answer,
                         const absl::Status* error) {
    JsonOut out;
    Open(type, &out);
    out.Begin("response");
    AddMembers(state, answer, error, &out);
    out.End();
    return Close(type, out);
  }

  void AddMembers(const std::string& state, const Answer* answer, const absl::Status* error,
                  JsonOut* out) const {
    out->Add("id", head_.id).Add("object", "response").Add("created_at", head_.created);
    out->Add("status", state).Add("model", head_.started.model);
    out->AddOrNull("previous_response_id", head_.parent_id);
    if (error != nullptr) {
      out->Begin("error").Add("code", "server_error");
      out->Add("message", std::string(error->message())).End();
    } else {
      out->AddNull("error");
    }
    if (state == "incomplete") {
      out->Begin("incomplete_details").Add("reason", "max_output_tokens").End();
    } else {
      out->AddNull("incomplete_details");
    }
    out->AddOrNull("instructions", head_.instructions).Begin("metadata").End();
    out->Add("temperature", head_.temperature).Add("top_p", head_.top_p);
    if (head_.max_tokens.has_value()) {
      out->Add("max_output_tokens", int64_t{*head_.max_tokens});
    } else {
      out->AddNull("max_output_tokens");
    }
    out->BeginList("tools").EndList().Add("tool_choice", "auto");
    out->AddFlag("parallel_tool_calls", false).AddFlag("store", head_.session);
    out->BeginList("output");
    if (answer != nullptr) {
      out->Begin();
      AddMessage(state, &answer->choices.front().text, out);
      out->End();
    }
    out->EndList();
    if (answer == nullptr) {
      out->AddNull("usage");
      return;
    }
    const Usage& usage = answer->final_event.usage;
    out->Begin("usage").Add("input_tokens", usage.prompt_tokens);
    out->Begin("input_tokens_details").Add("cached_tokens", usage.reused_tokens);
    out->Add("cache_write_tokens", int64_t{0}).End();
    out->Add("output_tokens", usage.generated_tokens);
    out->Begin("output_tokens_details").Add("reasoning_tokens", int64_t{0}).End();
    out->Add("total_tokens", usage.prompt_tokens + usage.generated_tokens).End();
    AddSsmd(*answer, out);
  }
  void AddMessage(const std::string& state, const std::string* text, JsonOut* out) const {
    out->Add("id", message_id_).Add("type", "message").Add("role", "assistant");
    out->Add("status", state).BeginList("content");
    if (text != nullptr) {
      out->Begin();
      AddPartMembers(*text, out);
      out->End();
    }
    out->EndList();
  }
  static void AddPart(const std::string& text, JsonOut* out) {
    out->Begin("part");
    AddPartMembers(text, out);
    out->End();
  }
  static void AddPartMembers(const std::string& text, JsonOut* out) {
    out->Add("type", "output_text").Add("text", text).BeginList("annotations").EndList();
    out->BeginList("logprobs").EndList();
  }

  const std::string message_id_;
  int64_t sequence_ = 0;
};

}  // namespace

std::unique_ptr<AnswerFormat> MakeResponseFormat(AnswerHead head) {
  return std::make_unique<ResponseFormat>(std::move(head));
}

}  // namespace ssmd::server
