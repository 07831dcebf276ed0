// `ssmctl sessions create|list|get|delete`.
#include <chrono>

#include "clients/ssmctl/input.h"
#include "clients/ssmctl/session_commands.h"
#include "clients/ssmctl/session_output.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

constexpr int32_t kPageSize = 1000;
// What a tree on a screen may hold.
constexpr size_t kListedMax = 100000;

// What is wrong with the flags, or nothing.
std::optional<std::string> ApplySource(const SessionOptions& options,
                                       v1::CreateSessionRequest* request) {
  if (!options.from.empty()) {
    const size_t at = options.from.find('@');
    request->mutable_fork()->set_session_id(options.from.substr(0, at));
    if (at == std::string::npos) return std::nullopt;
    if (at + 1 == options.from.size()) return "--from takes ID or ID@CHECKPOINT";
    request->mutable_fork()->set_checkpoint(options.from.substr(at + 1));
  } else if (!options.tokens.empty()) {
    const auto ids = ParseTokenIds(options.tokens);
    if (!ids) return "--tokens takes token ids like 1,2,3, got '" + options.tokens + "'";
    request->mutable_token_ids()->mutable_ids()->Assign(ids->begin(), ids->end());
  } else if (options.text.has_value()) {
    std::optional<std::string> text = options.text;
    if (auto problem = ResolveText("--text", &text)) return problem;
    request->set_text(*text);
  }
  return std::nullopt;
}

v1::ListSessionsRequest ListRequest(const SessionOptions& options) {
  v1::ListSessionsRequest request;
  request.set_model(options.model);
  request.set_parent_id(options.parent);
  request.set_page_size(options.page_size);
  request.set_page_token(options.page_token);
  return request;
}

int ListPage(Context& context, client::Client* client, const SessionOptions& options) {
  const auto page = client->ListSessions(ListRequest(options), context.CallOptions());
  if (!page.ok()) return context.Fail(page.error());
  JsonWriter writer;
  writer.BeginObject().Key("sessions").BeginArray();
  for (const v1::Session& session : page.value().sessions()) WriteSession(session, &writer);
  writer.EndArray().Key("next_page_token").String(page.value().next_page_token()).EndObject();
  context.PrintJson(writer);
  return kOk;
}

int ListTree(Context& context, client::Client* client, const SessionOptions& options) {
  v1::ListSessionsRequest request = ListRequest(options);
  const bool one_page = options.page_size > 0;
  if (!one_page) request.set_page_size(kPageSize);
  std::vector<v1::Session> sessions;
  do {
    const auto page = client->ListSessions(request, context.CallOptions());
    if (!page.ok()) return context.Fail(page.error());
    sessions.insert(sessions.end(), page.value().sessions().begin(), page.value().sessions().end());
    request.set_page_token(page.value().next_page_token());
  } while (!request.page_token().empty() && !one_page && sessions.size() < kListedMax);
  if (sessions.empty() && request.page_token().empty()) {
    Note(context, "no sessions");
    return kOk;
  }
  for (const std::string& line : SessionTree(sessions, NowUnixMs())) context.PrintLine(line);
  if (!request.page_token().empty()) {
    Note(context, "there are more: --page-token " + request.page_token());
  }
  return kOk;
}

}  // namespace

void ApplyLifetime(const SessionOptions& options, v1::SessionLifetime* lifetime) {
  if (options.ttl_seconds) lifetime->set_ttl_seconds(*options.ttl_seconds);
  if (options.idle_seconds) lifetime->set_idle_seconds(*options.idle_seconds);
}

int PrintSessionId(const Context& context, const v1::Session& session) {
  if (context.json) return PrintSession(context, session);
  context.PrintLine(LossyUtf8(session.session_id()));
  return kOk;
}

int PrintSession(const Context& context, const v1::Session& session) {
  if (context.json) {
    JsonWriter writer;
    WriteSession(session, &writer);
    context.PrintJson(writer);
    return kOk;
  }
  for (const std::string& line : DescribeSession(session, NowUnixMs())) context.PrintLine(line);
  return kOk;
}

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int CreateSession(Context& context, const SessionOptions& options) {
  v1::CreateSessionRequest request;
  request.set_model(options.model);
  if (options.parse_special) request.set_parse_special(true);
  ApplyLifetime(options, request.mutable_lifetime());
  if (auto problem = ApplySource(options, &request)) return context.FailUsage(*problem);
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto session = client->CreateSession(request, context.CallOptions());
  return session.ok() ? PrintSessionId(context, session.value()) : context.Fail(session.error());
}

int ListSessions(Context& context, const SessionOptions& options) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  return context.json ? ListPage(context, client.get(), options)
                      : ListTree(context, client.get(), options);
}

int GetSession(Context& context, const SessionOptions& options) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto session = client->GetSession(options.id, context.CallOptions());
  return session.ok() ? PrintSession(context, session.value()) : context.Fail(session.error());
}

int DeleteSession(Context& context, const SessionOptions& options) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto error =
      client->DeleteSession(options.id, options.expected_revision, context.CallOptions());
  if (error.has_value()) return context.Fail(*error);
  if (context.json) {
    JsonWriter writer;
    writer.BeginObject().Key("session_id").String(options.id);
    context.PrintJson(writer.Key("deleted").Bool(true).EndObject());
  }
  return kOk;
}

}  // namespace ssmd::ctl
