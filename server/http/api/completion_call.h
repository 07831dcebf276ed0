// One request of OpenAI's endpoints that generate: from its JSON through the engine to its answer.
//
// On the HTTP thread, but for what may wait (making a session, and submitting long prompts, whose
// tokenisation takes its time), which is done on the BlockingPool. States: prepared → perhaps a
// session is made → submitted → events are pulled one by one, each when the transport has taken the
// one before (so that a caller that does not read stops its own generation) → ended. A caller that
// goes away cancels the turn; a session that was made for a turn that did not come to its end goes,
// too.
#ifndef SSMD_SERVER_HTTP_API_COMPLETION_CALL_H_
#define SSMD_SERVER_HTTP_API_COMPLETION_CALL_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/schedule/output_stream.h"
#include "server/access/admission.h"
#include "server/http/api/answer_format.h"
#include "server/http/api/completion_request.h"
#include "server/http/exchange.h"
#include "server/services.h"

namespace ssmd::server {

// What makes one endpoint of the three.
struct CompletionEndpoint {
  const char* method;  // in logs
  const char* prefix;  // of ids
  absl::StatusOr<CompletionRequest> (*parse)(JsonValue body);
  std::unique_ptr<AnswerFormat> (*format)(AnswerHead head);
};
extern const CompletionEndpoint kCompletionsEndpoint;
extern const CompletionEndpoint kChatEndpoint;
extern const CompletionEndpoint kResponsesEndpoint;

class CompletionCall : public std::enable_shared_from_this<CompletionCall> {
 public:
  // `services` and `endpoint` outlive the call, which keeps itself until it has ended.
  static void Start(const ServiceContext& services, const CompletionEndpoint& endpoint,
                    HttpRequest request, const Caller& caller, std::shared_ptr<Exchange> exchange);

 private:
  CompletionCall(const ServiceContext& services, const CompletionEndpoint& endpoint, CallInfo info,
                 std::shared_ptr<Exchange> exchange);

  absl::Status Prepare(HttpRequest request);
  // On the BlockingPool: with a new session, if one is asked for.
  void MakeSessionAndSubmit();
  absl::StatusOr<SessionInfo> MakeSession();
  absl::StatusOr<SessionInfo> ForkParent();
  void Submit();

  void Pump();
  // False where the transport goes on with it.
  bool Take(const GenerateEvent& event);
  void Begin(const StartedEvent& started);
  void Collect(const DeltaEvent& delta);
  // Sends a piece of the stream and pumps on.
  void Send(std::string piece);
  void EndWith(const absl::Status& end);
  bool IsTooLarge() const;
  absl::Status InOurWords(const absl::Status& status) const;
  void OnGone();
  // The session that was made for this turn, unless the turn has changed it.
  void DropSession();

  const ServiceContext& services_;
  const CompletionEndpoint& endpoint_;
  const std::shared_ptr<Exchange> exchange_;
  const CallInfo info_;
  Admission::Ticket ticket_;
  CompletionRequest request_;
  GenerateRequest turn_;
  std::optional<SessionInfo> made_;    // for this turn
  std::vector<std::string> children_;  // sessions of several answers, that nobody wants
  std::shared_ptr<OutputStream> stream_;
  std::unique_ptr<AnswerFormat> format_;  // once started
  Answer answer_;
  int64_t collected_bytes_ = 0;  // of an answer that is no stream, as JSON, about
  bool writing_ = false;
  bool gone_ = false;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_COMPLETION_CALL_H_
