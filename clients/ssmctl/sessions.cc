// `ssmctl sessions`: create, list, get and delete them.
#include <memory>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/generation_flags.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kExamples = R"(Examples:
  id=$(ssmctl sessions create)
  ssmctl generate --session $id --prompt "Once upon a time"
  ssmctl sessions get $id
  ssmctl sessions delete $id)";

struct Options {
  std::string model;
  std::string id;
  std::optional<uint64_t> expected_revision;
  int32_t page_size = 0;
  std::string page_token;
};

void WriteSession(const v1::Session& session, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("session_id").String(session.session_id());
  writer->Key("model").String(session.model());
  writer->Key("revision").Unsigned(session.revision());
  writer->Key("position").Int(session.position());
  writer->Key("pending_tokens").Int(session.pending_tokens());
  writer->Key("last_token_ids").Ids(session.last_token_ids());
  writer->Key("running").Bool(session.running());
  writer->Key("resident").Bool(session.resident());
  writer->Key("created_unix_ms").Int(session.created_unix_ms());
  writer->Key("used_unix_ms").Int(session.used_unix_ms());
  writer->EndObject();
}

std::string Time(int64_t unix_ms) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

std::string TokenList(const v1::Session& session) {
  std::string list;
  for (const int32_t id : session.last_token_ids()) {
    list += (list.empty() ? "" : ",") + std::to_string(id);
  }
  return list.empty() ? "none" : list;
}

void PrintSession(const Context& context, const v1::Session& session) {
  context.PrintLine("session      " + session.session_id());
  context.PrintLine("model        " + session.model());
  context.PrintLine("revision     " + std::to_string(session.revision()));
  context.PrintLine(absl::StrFormat("history      %d tokens, %d of them pending",
                                    session.position(), session.pending_tokens()));
  context.PrintLine("last tokens  " + TokenList(session));
  context.PrintLine(std::string("state        ") + (session.running()    ? "a turn is running"
                                                    : session.resident() ? "in its slot"
                                                                         : "empty"));
  context.PrintLine("created      " + Time(session.created_unix_ms()) + " UTC");
  context.PrintLine("used         " + Time(session.used_unix_ms()) + " UTC");
}

int Create(Context& context, const Options& options) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto session = client->CreateSession(options.model, context.CallOptions());
  if (!session.ok()) return context.Fail(session.error());
  if (!context.json) {
    context.PrintLine(session.value().session_id());
    return kOk;
  }
  JsonWriter writer;
  WriteSession(session.value(), &writer);
  context.PrintJson(writer);
  return kOk;
}

int Get(Context& context, const Options& options) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto session = client->GetSession(options.id, context.CallOptions());
  if (!session.ok()) return context.Fail(session.error());
  if (!context.json) {
    PrintSession(context, session.value());
    return kOk;
  }
  JsonWriter writer;
  WriteSession(session.value(), &writer);
  context.PrintJson(writer);
  return kOk;
}

void PrintList(const Context& context, const v1::ListSessionsResponse& page) {
  if (page.sessions().empty()) Note(context, "no sessions");
  for (const v1::Session& session : page.sessions()) {
    context.PrintLine(absl::StrFormat("%s  %-16s revision %-4d %8d tokens  used %s",
                                      session.session_id(), session.model(), session.revision(),
                                      session.position(), Time(session.used_unix_ms())));
  }
  if (!page.next_page_token().empty()) {
    Note(context, "there are more: --page-token " + page.next_page_token());
  }
}

int List(Context& context, const Options& options) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  v1::ListSessionsRequest request;
  request.set_model(options.model);
  request.set_page_size(options.page_size);
  request.set_page_token(options.page_token);
  const auto page = client->ListSessions(request, context.CallOptions());
  if (!page.ok()) return context.Fail(page.error());
  if (!context.json) {
    PrintList(context, page.value());
    return kOk;
  }
  JsonWriter writer;
  writer.BeginObject().Key("sessions").BeginArray();
  for (const v1::Session& session : page.value().sessions()) WriteSession(session, &writer);
  writer.EndArray().Key("next_page_token").String(page.value().next_page_token()).EndObject();
  context.PrintJson(writer);
  return kOk;
}

int Delete(Context& context, const Options& options) {
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

// Arguments are sent as they are, and the wire takes nothing but UTF-8.
bool AllUtf8(const Options& options) {
  return !FirstInvalidUtf8(options.id) && !FirstInvalidUtf8(options.model) &&
         !FirstInvalidUtf8(options.page_token);
}

}  // namespace

void AddSessionsCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("sessions", "Conversations that the server holds");
  command->footer(kExamples);
  command->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& help,
                       int (*run)(Context&, const Options&)) {
    CLI::App* action = command->add_subcommand(name, help)->fallthrough();
    action->callback([&context, options, run] {
      context.exit_code = AllUtf8(*options) ? run(context, *options)
                                            : context.FailUsage("an argument is not UTF-8");
    });
    return action;
  };
  CLI::App* create = add("create", "A new session; prints its id", Create);
  create->add_option("-m,--model", options->model, "Name of the model");
  CLI::App* list = add("list", "Your sessions, ordered by id", List);
  list->add_option("-m,--model", options->model, "Only those of this model");
  list->add_option("--page-size", options->page_size, "At most so many [100]");
  list->add_option("--page-token", options->page_token, "Where the page before ended");
  CLI::App* get = add("get", "What is known of one", Get);
  get->add_option("ID", options->id, "The session")->required();
  CLI::App* remove = add("delete", "Free one; a turn in progress is cancelled", Delete);
  remove->add_option("ID", options->id, "The session")->required();
  remove
      ->add_option("--expected-revision", options->expected_revision,
                   "Refuse unless it is at this revision")
      ->check(Unsigned64());
}

}  // namespace ssmd::ctl
