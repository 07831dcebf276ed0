#include "clients/bench/http_endpoint.h"

#include <utility>
#include <vector>

#include "clients/bench/sse_reader.h"

namespace ssmd::bench {
namespace {

constexpr size_t kErrorBytesMax = 1 << 16;
constexpr size_t kModelsBytesMax = 1 << 20;
// More than this of one answer is not kept: the next turn could not be sent either.
constexpr size_t kAnswerBytesMax = 1 << 24;
constexpr auto kListTimeout = std::chrono::seconds(10);
constexpr auto kDeleteTimeout = std::chrono::seconds(10);

}  // namespace

// One turn: an answer that is read as it comes.
class HttpEndpoint::Turn {
 public:
  explicit Turn(EventLoop* loop) : loop_(loop) {}

  void OnHeader(int status, std::string_view content_type) {
    status_ = status;
    is_stream_ = content_type.substr(0, 17) == "text/event-stream";
  }

  bool OnBytes(std::string_view bytes) {
    if (status_ != 200 || !is_stream_) {
      body_ += bytes.substr(0, kErrorBytesMax - body_.size());
      return body_.size() < kErrorBytesMax;
    }
    const TimePoint now = loop_->Now();
    const bool fits = events_.Feed(bytes, [&](std::string_view data) { OnEvent(data, now); });
    if (!fits) SetError("MALFORMED", "an event of the stream is too long");
    return times_.result().error.empty();
  }

  void OnEnd(const std::string& error, const std::string& message) {
    TurnResult& result = times_.result();
    if (!over_) result.end = loop_->Now();
    if (!result.error.empty()) return;
    if (status_ != 0 && status_ != 200) {
      SetError("HTTP_" + std::to_string(status_), OpenAiErrorMessage(body_));
    } else if (status_ == 200 && !is_stream_) {
      SetError("MALFORMED", "no event stream: " + OpenAiErrorMessage(body_));
    } else if (!error.empty()) {
      SetError(error, message);
    } else if (!over_ && !finished_) {
      SetError("INCOMPLETE", "the stream ended before the answer did");
    }
    if (result.generated_tokens == 0) result.generated_tokens = times_.tokens();
  }

  TurnResult& result() { return times_.result(); }
  const std::string& answer() const { return answer_; }
  const std::string& answer_id() const { return answer_id_; }
  const std::string& session_id() const { return session_id_; }

 private:
  void SetError(const std::string& code, const std::string& message) {
    times_.result().error = code;
    times_.result().message = message;
  }

  void OnEvent(std::string_view data, TimePoint now) {
    if (over_ || !times_.result().error.empty()) return;
    if (data == "[DONE]") {
      over_ = true;
      times_.result().end = now;
      return;
    }
    auto chunk = ParseOpenAiChunk(data);
    if (!chunk.ok()) {
      return SetError("MALFORMED", "an event of the stream: " + chunk.error().message);
    }
    Take(chunk.value(), now);
  }

  void Take(const OpenAiChunk& chunk, TimePoint now) {
    if (!chunk.error.empty()) return SetError(chunk.error, chunk.error_message);
    if (!chunk.text.empty()) {
      times_.Note(now, 1);
      if (answer_.size() + chunk.text.size() > kAnswerBytesMax) {
        return SetError("MALFORMED", "the answer is too long");
      }
      answer_ += chunk.text;
    }
    finished_ |= chunk.finished;
    if (chunk.prompt_tokens) times_.result().prompt_tokens = *chunk.prompt_tokens;
    if (chunk.completion_tokens) times_.result().generated_tokens = *chunk.completion_tokens;
    if (!chunk.id.empty()) answer_id_ = chunk.id;
    if (!chunk.session_id.empty()) session_id_ = chunk.session_id;
  }

  EventLoop* const loop_;
  SseReader events_;
  TokenTimes times_;
  int status_ = 0;
  bool is_stream_ = false;
  bool over_ = false;
  std::string body_;  // of an answer that is no stream
  std::string answer_;
  std::string answer_id_;
  std::string session_id_;
  bool finished_ = false;  // some event has said why the answer ends
};

class HttpEndpoint::Conversation final : public Dialogue {
 public:
  Conversation(HttpEndpoint* endpoint, const std::string& system, bool goes_on)
      : endpoint_(endpoint), goes_on_(goes_on) {
    if (!system.empty()) messages_.push_back({"system", system});
  }

  void Run(const PlannedTurn& turn, std::function<void(TurnResult)> done) override {
    const AskOptions& ask = endpoint_->ask_;
    prompt_ += turn.text;
    if (ask.chat) messages_.push_back({"user", turn.text});
    const std::string body = OpenAiRequest(ask, turn, prompt_, messages_, state());
    const auto answer = std::make_shared<Turn>(endpoint_->loop_);
    endpoint_->http_->Send(
        {"POST", ask.chat ? "/chat/completions" : "/completions", body}, ask.timeout,
        {[answer](int status, std::string_view type) { answer->OnHeader(status, type); },
         [answer](std::string_view bytes) { return answer->OnBytes(bytes); },
         [this, answer, done = std::move(done)](const std::string& error,
                                                const std::string& message) {
           answer->OnEnd(error, message);
           if (goes_on_ && answer->result().error.empty()) Remember(answer.get());
           done(std::move(answer->result()));
         }});
  }

  void Close(std::function<void()> done) override {
    if (sessions_.empty()) return done();
    const std::string id = sessions_.back();
    sessions_.pop_back();
    endpoint_->http_->Send(
        {"DELETE", "/sessions/" + id, ""}, kDeleteTimeout,
        {[](int, std::string_view) {}, [](std::string_view) { return true; },
         [this, done = std::move(done)](const std::string&, const std::string&) { Close(done); }});
  }

 private:
  WireState state() const {
    WireState state;
    if (!goes_on_ || endpoint_->history_ == History::kResend) return state;
    if (sessions_.empty()) {
      state.store = true;
    } else if (endpoint_->history_ == History::kSession) {
      state.session_id = sessions_.back();
    } else {
      state.parent_id = last_answer_;
    }
    return state;
  }

  // What the next turn has to say of this one.
  void Remember(Turn* turn) {
    if (endpoint_->history_ == History::kResend) {
      prompt_ += turn->answer();
      if (endpoint_->ask_.chat) messages_.push_back({"assistant", turn->answer()});
      return;
    }
    prompt_.clear();
    messages_.clear();
    last_answer_ = turn->answer_id();
    if (turn->session_id().empty()) {
      turn->result().error = "MALFORMED";
      turn->result().message = "the answer names no session: is this an ssmd? --history resend";
    } else if (sessions_.empty() || sessions_.back() != turn->session_id()) {
      sessions_.push_back(turn->session_id());
    }
  }

  HttpEndpoint* const endpoint_;
  const bool goes_on_;
  std::string prompt_;                 // that is sent next, up to what is asked
  std::vector<WireMessage> messages_;  // likewise, of a chat
  std::vector<std::string> sessions_;  // that the server keeps, the last one last
  std::string last_answer_;
};

std::unique_ptr<Dialogue> HttpEndpoint::Open(const std::string& system, size_t turns) {
  return std::make_unique<Conversation>(this, system, turns > 1);
}

client::Result<OpenAiModels> ListHttpModels(EventLoop* loop, HttpClient* http) {
  int status = 0;
  std::string body;
  std::string code;
  std::string reason;
  http->Send({"GET", "/models", ""}, kListTimeout,
             {[&](int header_status, std::string_view) { status = header_status; },
              [&](std::string_view bytes) {
                body += bytes;
                return body.size() <= kModelsBytesMax;
              },
              [&](const std::string& error, const std::string& message) {
                code = error;
                reason = message;
                loop->Stop();
              }});
  loop->Run();
  if (!code.empty()) return client::Error{grpc::StatusCode::UNAVAILABLE, reason, "", std::nullopt};
  if (status == 401 || status == 403) {
    return client::Error{grpc::StatusCode::UNAUTHENTICATED, OpenAiErrorMessage(body), "",
                         std::nullopt};
  }
  auto models = ParseOpenAiModels(body);
  if (status == 200 && models.ok()) return models;
  return client::Error{grpc::StatusCode::UNIMPLEMENTED, "the server lists no models", "",
                       std::nullopt};
}

}  // namespace ssmd::bench
