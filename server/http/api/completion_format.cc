// /v1/completions and /v1/chat/completions. See answer_format.h.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "engine/text/utf8.h"
#include "server/http/api/answer_format.h"
#include "server/http/api/api_error.h"
#include "server/http/api/json_out.h"

namespace ssmd::server {
namespace {

// A turn that was cut short and kept was cut by its length, in the words that there are.
const char* NameOf(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

// Of text that may begin and end within one: each counts where it begins.
int64_t CharactersIn(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

// A token by its text or, where that is no whole characters, as OpenAI writes it: bytes:\xe2\x80.
std::string TokenName(const std::string& bytes) {
  if (!FindInvalidUtf8(bytes).has_value()) return bytes;
  std::string name = "bytes:";
  for (const char byte : bytes) {
    absl::StrAppend(&name, "\\x", absl::Hex(static_cast<unsigned char>(byte), absl::kZeroPad2));
  }
  return name;
}

// What both have: chunks of choices.
class ChunkedFormat : public AnswerFormat {
 public:
  using AnswerFormat::AnswerFormat;

  std::string Whole(const Answer& answer) override {
    JsonOut out;
    Open(kWhole, &out);
    out.BeginList("choices");
    for (const ChoiceAnswer& choice : answer.choices) {
      out.Begin().Add("index", int64_t{choice.finished.choice});
      AddWhole(choice, &out);
      out.Add("finish_reason", NameOf(choice.finished.reason));
      AddChoiceSsmd(prefix(), choice.finished, &out);
      out.End();
    }
    out.EndList();
    AddUsage(answer.final_event, &out);
    AddSsmd(answer, &out);
    return out.End().Take();
  }

  std::string Ended(const Answer& answer) override {
    std::string text;
    for (const ChoiceAnswer& choice : answer.choices) {
      JsonOut out;
      Open(kPiece, &out);
      out.BeginList("choices").Begin().Add("index", int64_t{choice.finished.choice});
      AddPiece("", {}, {}, choice.finished.choice, &out);
      out.Add("finish_reason", NameOf(choice.finished.reason));
      AddChoiceSsmd(prefix(), choice.finished, &out);
      out.End().EndList();
      const bool last = &choice == &answer.choices.back();
      if (head_.include_usage) {
        out.AddNull("usage");
      } else if (last) {
        AddSsmd(answer, &out);
      }
      text += SseEvent(out.End().Take());
    }
    if (head_.include_usage) {
      JsonOut out;
      Open(kPiece, &out);
      out.BeginList("choices").EndList();
      AddUsage(answer.final_event, &out);
      AddSsmd(answer, &out);
      text += SseEvent(out.End().Take());
    }
    return text + kSseDone;
  }

  std::string Delta(const DeltaEvent& delta) override {
    if (delta.text.empty() && delta.logprobs.empty()) return "";
    JsonOut out;
    Open(kPiece, &out);
    out.BeginList("choices").Begin().Add("index", int64_t{delta.choice});
    AddPiece(delta.text, delta.token_ids, delta.logprobs, delta.choice, &out);
    out.AddNull("finish_reason").End().EndList();
    if (head_.include_usage) out.AddNull("usage");
    return SseEvent(out.End().Take());
  }

  std::string Failed(const absl::Status& status) override { return SseEvent(ErrorJson(status)); }

 protected:
  enum Part : unsigned char { kWhole, kPiece };

  virtual const char* prefix() const = 0;
  virtual const char* object(Part part) const = 0;
  virtual void AddWhole(const ChoiceAnswer& choice, JsonOut* out) = 0;
  virtual void AddPiece(std::string_view text, const std::vector<int32_t>& ids,
                        const std::vector<TokenDetail>& logprobs, int32_t choice, JsonOut* out) = 0;

  void Open(Part part, JsonOut* out) const {
    out->Begin().Add("id", head_.id).Add("object", object(part)).Add("created", head_.created);
    out->Add("model", head_.started.model);
    out->Add("system_fingerprint", head_.started.numerics_profile);
  }
};

class CompletionFormat final : public ChunkedFormat {
 public:
  explicit CompletionFormat(AnswerHead head)
      : ChunkedFormat(std::move(head)), offsets_(static_cast<size_t>(head_.choices)) {}

  std::string Started() override { return ""; }

 private:
  const char* prefix() const override { return kCompletionPrefix; }
  const char* object(Part) const override { return "text_completion"; }
  void AddWhole(const ChoiceAnswer& choice, JsonOut* out) override {
    AddPiece(choice.text, choice.token_ids, choice.logprobs, choice.finished.choice, out);
  }
  void AddPiece(std::string_view text, const std::vector<int32_t>& ids,
                const std::vector<TokenDetail>& logprobs, int32_t choice, JsonOut* out) override {
    out->Add("text", text);
    if (!head_.logprobs) {
      out->AddNull("logprobs");
      return;
    }
    // Of an echo the first token has none.
    const size_t without = ids.size() - std::min(ids.size(), logprobs.size());
    out->Begin("logprobs").BeginList("tokens");
    for (const int32_t id : ids) out->Value(TokenName(head_.token_bytes(id)));
    out->EndList().BeginList("token_logprobs");
    for (size_t i = 0; i < ids.size(); ++i) {
      i < without ? out->Null() : out->Value(logprobs[i - without].logprob);
    }
    out->EndList().BeginList("top_logprobs");
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i < without) {
        out->Null();
        continue;
      }
      out->Begin();
      absl::flat_hash_set<std::string> given;  // of tokens of one name, the most likely
      for (const kernels::TokenLogprob& top : logprobs[i - without].top) {
        const std::string name = TokenName(head_.token_bytes(top.token_id));
        if (given.insert(name).second) out->Add(name, top.logprob);
      }
      out->End();
    }
    out->EndList().BeginList("text_offset");
    int64_t& offset = offsets_[static_cast<size_t>(choice)];
    for (const int32_t id : ids) {
      out->Value(offset);
      offset += CharactersIn(head_.token_bytes(id));
    }
    out->EndList().End();
  }

  std::vector<int64_t> offsets_;  // of the next token, in characters, by choice
};

class ChatFormat final : public ChunkedFormat {
 public:
  using ChunkedFormat::ChunkedFormat;

  std::string Started() override {
    std::string text;
    for (int32_t choice = 0; choice < head_.choices; ++choice) {
      JsonOut out;
      Open(kPiece, &out);
      out.BeginList("choices").Begin().Add("index", int64_t{choice});
      out.Begin("delta").Add("role", "assistant").Add("content", "").AddNull("refusal").End();
      out.AddNull("logprobs").AddNull("finish_reason").End().EndList();
      if (head_.include_usage) out.AddNull("usage");
      text += SseEvent(out.End().Take());
    }
    return text;
  }

 private:
  const char* prefix() const override { return kChatPrefix; }
  const char* object(Part part) const override {
    return part == kWhole ? "chat.completion" : "chat.completion.chunk";
  }
  void AddWhole(const ChoiceAnswer& choice, JsonOut* out) override {
    out->Begin("message").Add("role", "assistant").Add("content", choice.text);
    out->AddNull("refusal").End();
    AddLogprobs(choice.logprobs, out);
  }
  void AddPiece(std::string_view text, const std::vector<int32_t>& /*ids*/,
                const std::vector<TokenDetail>& logprobs, int32_t /*choice*/,
                JsonOut* out) override {
    out->Begin("delta");
    if (!text.empty()) out->Add("content", text);
    out->End();
    AddLogprobs(logprobs, out);
  }
  void AddLogprobs(const std::vector<TokenDetail>& logprobs, JsonOut* out) const {
    if (!head_.logprobs) {
      out->AddNull("logprobs");
      return;
    }
    out->Begin("logprobs").BeginList("content");
    for (const TokenDetail& detail : logprobs) {
      out->Begin();
      AddToken(detail.token_id, detail.logprob, out);
      out->BeginList("top_logprobs");
      for (const kernels::TokenLogprob& top : detail.top) {
        out->Begin();
        AddToken(top.token_id, top.logprob, out);
        out->End();
      }
      out->EndList().End();
    }
    out->EndList().AddNull("refusal").End();
  }
  void AddToken(int32_t id, float logprob, JsonOut* out) const {
    const std::string bytes = head_.token_bytes(id);
    out->Add("token", bytes).Add("logprob", logprob).BeginList("bytes");
    for (const char byte : bytes) out->Value(int64_t{static_cast<unsigned char>(byte)});
    out->EndList();
  }
};

}  // namespace

std::unique_ptr<AnswerFormat> MakeCompletionFormat(AnswerHead head) {
  return std::make_unique<CompletionFormat>(std::move(head));
}

std::unique_ptr<AnswerFormat> MakeChatFormat(AnswerHead head) {
  return std::make_unique<ChatFormat>(std::move(head));
}

}  // namespace ssmd::server
