// `ssmctl chat`: a conversation in the terminal. It lives in a session at the server, so that every
// turn costs only its new tokens. Ctrl-C stops the answer, not the program; the session is deleted
// at the end unless it is to be kept. The exit status is that of the last line; with nobody to mend
// them, the lines of a pipe end at the first that fails.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <mutex>
#include <stop_token>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/generation_flags.h"
#include "clients/ssmctl/generation_result.h"
#include "clients/ssmctl/input.h"
#include "clients/ssmctl/interrupt.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kChatExamples = R"(Examples:
  ssmctl chat --temperature 0.8
  ssmctl chat --system "You tell short stories." --max-tokens 200
  ssmctl chat --keep               # prints the session's id at the end
  ssmctl chat --session ID         # goes on with a kept session
  printf 'Hello\nTell me more\n' | ssmctl chat --json
Inside: /help, /info, /stats, /save NAME, /back [N|NAME], /fork, /quit or Ctrl-D.
A pipe's first line that fails ends the chat, with its exit status.)";

constexpr const char* kHelp =
    "/info         what the server holds of this conversation\n"
    "/stats        after each answer, say what its state spared (again: stop)\n"
    "/save NAME    name this place in the conversation\n"
    "/back [N]     take back the last N turns [1]\n"
    "/back NAME    go back to a saved place\n"
    "/fork         leave a copy of the conversation as it is now, and go on\n"
    "/quit         leave (or Ctrl-D)\n"
    "Ctrl-C stops an answer; the conversation is then as it was before your message.";

struct ChatOptions {
  GenerationFlags generation;
  std::string session;
  std::string system;
  bool keep = false;
};

// The stop source of the answer in progress, shared with the thread that sees Ctrl-C.
class Stopper {
 public:
  // A token for the next answer.
  std::stop_token Renew() {
    const std::lock_guard<std::mutex> lock(mutex_);
    source_ = std::stop_source();
    if (leaving_) source_.request_stop();
    return source_.get_token();
  }
  void OnSignal(int signal) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (signal != SIGINT) leaving_ = true;
    source_.request_stop();
  }
  bool leaving() const { return leaving_; }

 private:
  std::mutex mutex_;
  std::stop_source source_;
  std::atomic<bool> leaving_ = false;  // asked to end: SIGTERM or SIGHUP
};

class Chat {
 public:
  Chat(Context& context, const ChatOptions& options, v1::GenerateRequest base,
       std::shared_ptr<client::Client> client, Interrupt* interrupt, Stopper* stopper)
      : context_(context),
        options_(options),
        base_(std::move(base)),
        client_(std::move(client)),
        interrupt_(interrupt),
        stopper_(stopper) {}

  int Run() {
    if (auto error = Open()) return context_.Fail(*error);
    if (interactive_) Note(context_, "Type a message; /help for more, Ctrl-D to leave.");
    std::string line;
    while (!stopper_->leaving()) {
      if (interactive_ && !context_.json) context_.PrintText("> ");
      const auto outcome = reader_.Read(interrupt_->fd(), &line);
      if (outcome == LineReader::Outcome::kEnd) break;
      if (outcome == LineReader::Outcome::kUnreadable) {
        if (!stopper_->leaving()) status_ = context_.FailFile(line);
        break;
      }
      if (outcome == LineReader::Outcome::kWoken) {
        interrupt_->Clear();
        if (!stopper_->leaving()) Note(context_, "\n(Ctrl-D or /quit leaves)");
        continue;
      }
      if (line == "/quit") break;
      status_ = OnLine(line);
      if (status_ != kOk && !interactive_) break;
    }
    Close();
    return status_;
  }

 private:
  std::optional<client::Error> Open() {
    if (!options_.session.empty()) {
      auto session = client_->GetSession(options_.session, context_.CallOptions());
      if (!session.ok()) return session.error();
      session_id_ = session.value().session_id();
      position_ = session.value().position();
      return std::nullopt;
    }
    auto session = client_->CreateSession(base_.model(), context_.CallOptions());
    if (!session.ok()) return session.error();
    session_id_ = session.value().session_id();
    created_ = true;
    return std::nullopt;
  }

  void Close() {
    if (interactive_ && !context_.json) context_.PrintText("\n");
    if (!created_ || options_.keep) {
      Note(context_, "Session kept. Go on with: ssmctl chat --session " + session_id_);
      return;
    }
    if (auto error = client_->DeleteSession(session_id_)) status_ = context_.Fail(*error);
  }

  // These return an exit status.

  int OnLine(const std::string& line) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) return status_;
    if (FirstInvalidUtf8(line)) return context_.FailUsage("the message is not UTF-8");
    return line[0] == '/' ? OnCommand(line) : Answer(line);
  }

  int OnCommand(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/info") return Info();
    if (name == "/save") return Save(argument);
    if (name == "/back") return Back(argument.empty() ? "1" : argument);
    if (name == "/fork") return Fork();
    if (name == "/help") {
      context_.PrintLine(kHelp);
    } else if (name == "/stats") {
      stats_ = !stats_;
    } else {
      return context_.FailUsage("no such command; /help lists them");
    }
    return kOk;
  }

  int Save(const std::string& name) {
    v1::CheckpointSessionRequest request;
    request.set_session_id(session_id_);
    request.set_name(name);
    const auto session = client_->CheckpointSession(request, context_.CallOptions());
    if (!session.ok()) return context_.Fail(session.error());
    Note(context_, "(saved; /back " + name + " comes back here)");
    return kOk;
  }

  // `to`: a number of turns, or the name of a saved place.
  int Back(const std::string& to) {
    v1::RewindSessionRequest request;
    request.set_session_id(session_id_);
    request.set_allow_recompute(true);
    int turns = 0;
    if (absl::SimpleAtoi(to, &turns)) {
      request.set_turns(turns);
    } else {
      request.set_checkpoint(to);
    }
    const auto session = client_->RewindSession(request, context_.CallOptions());
    if (!session.ok()) return context_.Fail(session.error());
    position_ = session.value().position();
    Note(context_, absl::StrFormat("(back at %d tokens of history)", position_));
    return kOk;
  }

  int Fork() {
    v1::ForkSessionRequest request;
    request.set_session_id(session_id_);
    const auto children = client_->ForkSession(request, context_.CallOptions());
    if (!children.ok()) return context_.Fail(children.error());
    if (!children.value().empty()) {
      Note(context_, "A copy stays: ssmctl chat --session " + children.value()[0].session_id());
    }
    return kOk;
  }

  int Info() {
    auto session = client_->GetSession(session_id_, context_.CallOptions());
    if (!session.ok()) return context_.Fail(session.error());
    const v1::Session& info = session.value();
    context_.PrintLine(absl::StrFormat("session %s of %s: revision %d, %d tokens of history",
                                       info.session_id(), info.model(), info.revision(),
                                       info.position()));
    return kOk;
  }

  v1::GenerateRequest RequestFor(const std::string& message) const {
    v1::GenerateRequest request = base_;
    request.set_session_id(session_id_);
    auto* messages = request.mutable_messages();
    if (!options_.system.empty() && position_ == 0) {
      auto* system = messages->add_messages();
      system->set_role(v1::CHAT_ROLE_SYSTEM);
      system->set_content(options_.system);
    }
    auto* user = messages->add_messages();
    user->set_role(v1::CHAT_ROLE_USER);
    user->set_content(message);
    return request;
  }

  int Answer(const std::string& message) {
    client::CallOptions call = context_.CallOptions();
    call.cancel = stopper_->Renew();
    GenerationResult result;
    const auto error = client_->Generate(RequestFor(message), call, [&](const auto& event) {
      result.Add(event);
      if (!context_.json && event.has_delta()) context_.PrintText(event.delta().text());
    });
    if (!context_.json) context_.PrintText("\n");
    if (!error.has_value()) {
      position_ += result.final.usage().computed_tokens() + result.final.usage().generated_tokens();
      if (context_.json) PrintResult(result);
      if (stats_) Note(context_, "(" + ReuseLine(result) + ")");
      return kOk;
    }
    if (call.cancel.stop_requested()) {
      interrupt_->Clear();
      Note(context_, "(stopped; your message and the answer are forgotten)");
      return interactive_ ? kOk : kInterrupted;
    }
    return context_.Fail(*error);
  }

  void PrintResult(const GenerationResult& result) const {
    JsonWriter writer;
    WriteResult(result, false, &writer);
    context_.PrintJson(writer);
  }

  Context& context_;
  const ChatOptions& options_;
  const v1::GenerateRequest base_;  // everything but the session and the messages
  const std::shared_ptr<client::Client> client_;
  Interrupt* const interrupt_;
  Stopper* const stopper_;
  const bool interactive_ = ::isatty(STDIN_FILENO) == 1;
  LineReader reader_;
  std::string session_id_;
  int64_t position_ = 0;  // of the session's history; 0: nothing was said yet
  bool created_ = false;
  bool stats_ = false;  // say what each answer's state spared
  int status_ = kOk;
};

int Run(Context& context, const ChatOptions& options) {
  v1::GenerateRequest request;
  if (auto problem = options.generation.Apply(&request)) return context.FailUsage(*problem);
  if (FirstInvalidUtf8(options.system)) return context.FailUsage("--system is not UTF-8");
  Stopper stopper;
  Interrupt interrupt({SIGINT, SIGTERM, SIGHUP}, [&](int signal) { stopper.OnSignal(signal); });
  auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  return Chat(context, options, std::move(request), std::move(client), &interrupt, &stopper).Run();
}

}  // namespace

void AddChatCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<ChatOptions>();
  CLI::App* command = app.add_subcommand("chat", "Talk with the model; the server keeps the state");
  command->footer(kChatExamples);
  command->add_option("-s,--session", options->session, "Go on with this session");
  command->add_option("--system", options->system, "What the model is told first");
  command->add_flag("--keep", options->keep, "Do not delete the session at the end");
  options->generation.AddTo(command);
  command->callback([&context, options] { context.exit_code = Run(context, *options); });
}

}  // namespace ssmd::ctl
