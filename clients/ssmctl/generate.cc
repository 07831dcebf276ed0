// `ssmctl generate`: one turn. Text streams to standard output as it arrives; Ctrl-C cancels the
// turn at the server, says so and exits 130.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <stop_token>

#include "absl/strings/str_format.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/generation_flags.h"
#include "clients/ssmctl/generation_result.h"
#include "clients/ssmctl/input.h"
#include "clients/ssmctl/interrupt.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kGenerateExamples = R"(Examples:
  ssmctl generate --prompt "Once upon a time" --temperature 0.8 --top-p 0.95
  cat story.txt | ssmctl generate --max-tokens 100            # the prompt from a pipe
  ssmctl generate --tokens 0,17,4 --temperature 0 --json      # token ids in, one JSON object out
  ssmctl generate --session ID --prompt " And then"           # continue a session
  ssmctl generate --session ID --prompt "…" --request-id a1   # safe to try again, whatever happened
  ssmctl generate --session ID --prompt "…" --commit partial  # Ctrl-C keeps what has arrived
  ssmctl generate --prompt "Hello" --json --stream            # one JSON event a line)";

struct GenerateOptions {
  GenerationFlags generation;
  std::optional<std::string> prompt;
  std::string tokens;
  std::string session;
  std::optional<uint64_t> expected_revision;
  bool parse_special = false;
  std::optional<int32_t> n;
  bool echo = false;
  std::optional<int32_t> logprobs;
  bool stream = false;
  bool verbose = false;
  // Of a turn on a session.
  std::string commit;      // "", "complete" or "partial"
  std::string durability;  // "", "process", "power" or "replicated"
  std::string request_id;
  bool wait = false;
};

std::optional<std::string> ApplyPrompt(GenerateOptions* options, v1::GenerateRequest* request) {
  if (!options->tokens.empty()) {
    const auto ids = ParseTokenIds(options->tokens);
    if (!ids) return "--tokens takes token ids like 1,2,3, got '" + options->tokens + "'";
    for (const int32_t id : *ids) request->mutable_token_ids()->add_ids(id);
    return std::nullopt;
  }
  // A session may go on without a prompt, so that no pipe is read for it unasked.
  if (!options->prompt.has_value() && !options->session.empty()) return std::nullopt;
  if (auto problem = ResolveText("--prompt", &options->prompt)) return problem;
  if (!options->prompt) return "nothing to read: give --prompt TEXT, --tokens 1,2,3 or a pipe";
  request->set_text(*options->prompt);
  return std::nullopt;
}

void ApplyTurn(const GenerateOptions& options, v1::GenerateRequest* request) {
  if (options.commit == "complete") request->set_commit(v1::COMMIT_ON_COMPLETE);
  if (options.commit == "partial") request->set_commit(v1::COMMIT_PARTIAL);
  if (options.durability == "process") request->set_durability(v1::DURABILITY_PROCESS);
  if (options.durability == "power") request->set_durability(v1::DURABILITY_POWER);
  if (options.durability == "replicated") request->set_durability(v1::DURABILITY_REPLICATED);
  if (options.wait) request->set_when_busy(v1::WHEN_BUSY_WAIT);
  request->set_request_id(options.request_id);
}

std::optional<std::string> MakeRequest(GenerateOptions* options, v1::GenerateRequest* request) {
  if (auto problem = options->generation.Apply(request)) return problem;
  if (auto problem = ApplyPrompt(options, request)) return problem;
  if (FirstInvalidUtf8(options->session).has_value()) return "--session is not an id";
  if (FirstInvalidUtf8(options->request_id).has_value()) return "--request-id is not UTF-8";
  request->set_session_id(options->session);
  ApplyTurn(*options, request);
  if (options->expected_revision) request->set_expected_revision(*options->expected_revision);
  if (options->parse_special) request->set_parse_special(true);
  if (options->n) request->set_n(*options->n);
  if (options->echo) request->set_echo(true);
  if (options->logprobs) request->set_logprobs(*options->logprobs);
  return std::nullopt;
}

// Shows a generation while it runs and at its end.
class Printer {
 public:
  Printer(const Context& context, const GenerateOptions& options)
      : context_(context), options_(options) {}

  void OnEvent(const v1::GenerateResponse& event) {
    result_.Add(event);
    if (context_.json) {
      JsonWriter writer;
      if (options_.stream && WriteEvent(event, &writer)) context_.PrintJson(writer);
    } else if (event.has_delta() && !several()) {
      Show(event.delta().text());
    }
  }

  void OnEnd() {
    if (context_.json) {
      if (options_.stream) return;
      JsonWriter writer;
      WriteResult(result_, options_.logprobs.has_value(), &writer);
      context_.PrintJson(writer);
      return;
    }
    if (several()) ShowChoices();
    if (!shown_) ShowTokenIds();
    EndLine();
    if (options_.verbose) Note(context_, Summary());
  }

  // Some of an answer has arrived.
  bool answered() const {
    return std::any_of(result_.choices.begin(), result_.choices.end(), [](const auto& entry) {
      const Passage& answer = entry.second.answer;
      return !answer.token_ids.empty() || !answer.text.empty();
    });
  }

  // Keeps a remark that follows off the line of the text.
  void EndLine() {
    if (!context_.json && last_ != '\n') Show("\n");
  }

 private:
  bool several() const { return options_.n.value_or(1) > 1; }

  void Show(const std::string& text) {
    if (text.empty()) return;
    context_.PrintText(text);
    last_ = text.back();
    shown_ = true;
  }

  // Choices arrive interleaved; they are shown one after the other.
  void ShowChoices() {
    for (const auto& [index, choice] : result_.choices) {
      EndLine();
      const std::string& session = choice.finished.session_id();
      Show(absl::StrFormat("--- choice %d%s%s\n", index, session.empty() ? "" : " session ",
                           session));
      Show(choice.echo.text + choice.answer.text);
    }
  }

  // A model without a tokenizer has no text.
  void ShowTokenIds() {
    for (const auto& [index, choice] : result_.choices) {
      std::string line;
      for (const int32_t id : choice.answer.token_ids) {
        line += (line.empty() ? "" : ",") + std::to_string(id);
      }
      Show(line);
    }
  }

  std::string Summary() const {
    const v1::Usage& usage = result_.final.usage();
    const v1::Timings& timings = result_.final.timings();
    const double seconds = (timings.total_ms() - timings.first_token_ms()) / 1000;
    std::string text = absl::StrFormat("[%s, %d sampled; first after %.1f ms", ReuseLine(result_),
                                       usage.generated_tokens(), timings.first_token_ms());
    if (usage.generated_tokens() > 1 && seconds > 0) {
      text += absl::StrFormat(", then %.0f a second",
                              static_cast<double>(usage.generated_tokens() - 1) / seconds);
    }
    text += absl::StrFormat("; seed %d", result_.started.seed());
    const auto& first = result_.choices.begin();
    if (!several() && first != result_.choices.end()) {
      const v1::ChoiceFinished& finished = first->second.finished;
      text += "; ended by " + FinishReasonName(finished.finish_reason());
      if (!finished.session_id().empty()) {
        text += absl::StrFormat("; session %s at revision %d", finished.session_id(),
                                finished.revision());
      }
    }
    return text + "]";
  }

  const Context& context_;
  const GenerateOptions& options_;
  GenerationResult result_;
  char last_ = '\n';
  bool shown_ = false;
};

int Run(Context& context, GenerateOptions& options) {
  v1::GenerateRequest request;
  if (auto problem = MakeRequest(&options, &request)) return context.FailUsage(*problem);

  std::stop_source cancel;
  Interrupt interrupt({SIGINT}, [&cancel](int) {
    // The second Ctrl-C does not wait for a server that does not answer.
    if (!cancel.request_stop()) ::_exit(kInterrupted);
  });
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  client::CallOptions call = context.CallOptions();
  call.cancel = cancel.get_token();

  if (options.logprobs.has_value()) Note(context, "(--logprobs shows with --json)");
  Printer printer(context, options);
  const auto error =
      client->Generate(request, call, [&](const auto& event) { printer.OnEvent(event); });
  if (!error.has_value()) {
    printer.OnEnd();
    return kOk;
  }
  printer.EndLine();
  const bool kept = options.commit == "partial" && printer.answered();
  const std::string committed =
      kept ? "ssmctl sessions get " + options.session + " shows what of it was committed"
           : "nothing was committed";
  if (cancel.stop_requested()) {
    context.Fail({grpc::StatusCode::CANCELLED, "cancelled by Ctrl-C; " + committed, "", {}});
    return kInterrupted;
  }
  client::Error told = *error;
  if (kept && told.code == grpc::StatusCode::DEADLINE_EXCEEDED) told.message += "; " + committed;
  return context.Fail(told);
}

}  // namespace

void AddGenerateCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = app.add_subcommand("generate", "Continue a prompt or a session");
  command->footer(kGenerateExamples);
  auto* prompt = command->add_option_function<std::string>(
      "-p,--prompt,prompt", [options](const std::string& value) { options->prompt = value; },
      "The text to continue; - or a pipe: standard input");
  command->add_option("--tokens", options->tokens, "The prompt as token ids: 1,2,3")
      ->excludes(prompt);
  command->add_option(
      "-s,--session", options->session,
      "Continue this session, and commit to it (with --n over 1: to a new child for each answer)");
  command
      ->add_option("--expected-revision", options->expected_revision,
                   "Refuse unless the session is at this revision")
      ->check(Unsigned64());
  command->add_flag("--parse-special", options->parse_special,
                    "Recognise special tokens written out in the prompt");
  options->generation.AddTo(command);
  command->add_option("--n", options->n, "Independent answers to the one prompt [1]");
  command->add_flag("--echo", options->echo, "Show the prompt too");
  command->add_option("--logprobs", options->logprobs,
                      "With --json: log-probabilities, and those of this many alternatives");
  command->add_flag("--stream", options->stream, "With --json: one event a line, as they arrive");
  command->add_flag("-v,--verbose", options->verbose,
                    "Say on standard error where the state came from, and what it spared");
  const std::string turn = "On a session";
  command
      ->add_option(
          "--commit", options->commit,
          "What a turn leaves that is cut short: complete (nothing) or partial (the answer "
          "as far as it was delivered) [complete]")
      ->check(CLI::IsMember({"complete", "partial"}))
      ->group(turn);
  command
      ->add_option(
          "--durability", options->durability,
          "What a committed turn survives: the end of the server's process, of its power, or "
          "of its machine, as other replicas have it, too [the server's, process]")
      ->check(CLI::IsMember({"process", "power", "replicated"}))
      ->group(turn);
  command
      ->add_option("--request-id", options->request_id,
                   "A name for this request: tried again under it, it is applied once")
      ->group(turn);
  command->add_flag("--wait", options->wait, "Wait for a turn in progress instead of failing")
      ->group(turn);
  command->callback([&context, options] { context.exit_code = Run(context, *options); });
}

}  // namespace ssmd::ctl
