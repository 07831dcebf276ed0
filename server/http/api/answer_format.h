// How a turn's events are written as the answer of one of OpenAI's endpoints: whole, or as the
// server-sent events of a stream.
//
// A stream's pieces are, in this order: Started, Delta…, Ended; or Failed, at any time. `ssmd`, the
// object that OpenAI's clients pass over, says what became of the session and where time went.
#ifndef SSMD_SERVER_HTTP_API_ANSWER_FORMAT_H_
#define SSMD_SERVER_HTTP_API_ANSWER_FORMAT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/schedule/request.h"

namespace ssmd::server {

class JsonOut;

// What an answer says of itself in each of its pieces.
struct AnswerHead {
  std::string id;
  int64_t created = 0;  // seconds since 1970
  StartedEvent started;
  int32_t choices = 1;
  bool logprobs = false;
  bool include_usage = false;  // in a stream
  bool session = false;        // the answer is kept, or changes a session
  std::string parent_id;       // the answer that it goes on from
  // What was asked for, as a response says again.
  float temperature = 1;
  float top_p = 1;
  std::optional<int32_t> max_tokens;
  std::string instructions;
  // The bytes of a token of its model.
  std::function<std::string(int32_t)> token_bytes;
};

// All of one choice.
struct ChoiceAnswer {
  std::string text;
  std::vector<int32_t> token_ids;  // echoed ones too
  std::vector<TokenDetail> logprobs;
  ChoiceFinishedEvent finished;
};
struct Answer {
  std::vector<ChoiceAnswer> choices;
  FinalEvent final_event;
};

class AnswerFormat {
 public:
  explicit AnswerFormat(AnswerHead head) : head_(std::move(head)) {}
  virtual ~AnswerFormat() = default;
  AnswerFormat(const AnswerFormat&) = delete;
  AnswerFormat& operator=(const AnswerFormat&) = delete;

  virtual std::string Whole(const Answer& answer) = 0;
  virtual std::string Started() = 0;
  // Empty where there is nothing to say.
  virtual std::string Delta(const DeltaEvent& delta) = 0;
  // `answer.choices` have their text, too.
  virtual std::string Ended(const Answer& answer) = 0;
  virtual std::string Failed(const absl::Status& status) = 0;

 protected:
  // "ssmd": {…}; and of one of several choices.
  void AddSsmd(const Answer& answer, JsonOut* out) const;
  void AddUsage(const FinalEvent& final_event, JsonOut* out) const;
  void AddChoiceSsmd(const char* prefix, const ChoiceFinishedEvent& finished, JsonOut* out) const;

  const AnswerHead head_;
};

// `prefix` of ids: what OpenAI's have.
inline constexpr char kCompletionPrefix[] = "cmpl-";
inline constexpr char kChatPrefix[] = "chatcmpl-";
inline constexpr char kResponsePrefix[] = "resp_";
std::unique_ptr<AnswerFormat> MakeCompletionFormat(AnswerHead head);
std::unique_ptr<AnswerFormat> MakeChatFormat(AnswerHead head);
std::unique_ptr<AnswerFormat> MakeResponseFormat(AnswerHead head);

// One server-sent event.
std::string SseEvent(std::string_view json);
std::string SseEvent(std::string_view name, std::string_view json);
std::string SseComment(std::string_view text);
inline constexpr char kSseDone[] = "data: [DONE]\n\n";

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_ANSWER_FORMAT_H_
