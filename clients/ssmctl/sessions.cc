// `ssmctl sessions`: its command line.
#include <memory>

#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/generation_flags.h"
#include "clients/ssmctl/session_commands.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kSessionsExamples = R"(Examples:
  id=$(ssmctl sessions create --text "Once upon a time")
  ssmctl generate --session $id --prompt ", a dog"
  ssmctl sessions checkpoint $id before-the-storm
  ssmctl sessions fork $id --count 3                  # three ways to go on
  ssmctl sessions rewind $id --turns 1                # take the last turn back
  ssmctl sessions list                                # the tree of forks
  ssmctl sessions export $id story.ssmd && ssmctl sessions import story.ssmd
  ssmctl sessions delete $id)";

// Arguments are sent as they are, and the wire takes nothing but UTF-8.
bool AllUtf8(const SessionOptions& options) {
  for (const std::string* text : {&options.id, &options.model, &options.page_token, &options.from,
                                  &options.parent, &options.checkpoint, &options.name}) {
    if (FirstInvalidUtf8(*text).has_value()) return false;
  }
  return true;
}

// The flags of several actions.
class Actions {
 public:
  Actions(CLI::App* command, Context& context)
      : command_(command), context_(context), options_(std::make_shared<SessionOptions>()) {}

  CLI::App* Add(const std::string& name, const std::string& help,
                int (*run)(Context&, const SessionOptions&)) {
    CLI::App* action = command_->add_subcommand(name, help)->fallthrough();
    action->callback([&context = context_, options = options_, run] {
      context.exit_code = AllUtf8(*options) ? run(context, *options)
                                            : context.FailUsage("an argument is not UTF-8");
    });
    return action;
  }
  CLI::App* AddOnOne(const std::string& name, const std::string& help,
                     int (*run)(Context&, const SessionOptions&)) {
    CLI::App* action = Add(name, help, run);
    action->add_option("ID", options_->id, "The session")->required();
    return action;
  }
  void AddExpectedRevision(CLI::App* action) {
    action
        ->add_option("--expected-revision", options_->expected_revision,
                     "Refuse unless it is at this revision")
        ->check(Unsigned64());
  }
  void AddLifetime(CLI::App* action) {
    action->add_option("--ttl", options_->ttl_seconds,
                       "Seconds until it ends; 0: never [the server's]");
    action->add_option("--idle", options_->idle_seconds,
                       "Seconds unused until it ends; 0: never [the server's]");
  }
  SessionOptions& options() { return *options_; }

 private:
  CLI::App* const command_;
  Context& context_;
  const std::shared_ptr<SessionOptions> options_;
};

void AddCreate(Actions& actions) {
  SessionOptions& options = actions.options();
  CLI::App* create = actions.Add("create", "A new session; prints its id", CreateSession);
  create->add_option("-m,--model", options.model, "Name of the model");
  auto* text = create->add_option_function<std::string>(
      "--text", [&options](const std::string& value) { options.text = value; },
      "What its history starts with; -: standard input");
  auto* tokens = create->add_option("--tokens", options.tokens, "The same, as token ids: 1,2,3")
                     ->excludes(text);
  create->add_option("--from", options.from, "Start as this session: ID or ID@CHECKPOINT")
      ->excludes(text)
      ->excludes(tokens);
  create->add_flag("--parse-special", options.parse_special,
                   "Recognise special tokens written out in the text");
  actions.AddLifetime(create);
}

void AddLooking(Actions& actions) {
  SessionOptions& options = actions.options();
  CLI::App* list = actions.Add("list", "Your sessions, as a tree of forks", ListSessions);
  list->add_option("-m,--model", options.model, "Only those of this model");
  list->add_option("--parent", options.parent, "Only children of this session");
  list->add_option("--page-size", options.page_size, "One page of so many; else all of them");
  list->add_option("--page-token", options.page_token, "Where the page before ended");
  actions.AddOnOne("get", "What is known of one", GetSession);
}

void AddGoing(Actions& actions) {
  SessionOptions& options = actions.options();
  CLI::App* fork = actions.AddOnOne("fork",
                                    "New sessions that go on from where this one is; "
                                    "prints their ids",
                                    ForkSession);
  fork->add_option("--count", options.count, "How many [1]");
  auto* fork_checkpoint =
      fork->add_option("--checkpoint", options.checkpoint, "From there instead");
  fork->add_option("--position", options.position, "From this held position of its history instead")
      ->excludes(fork_checkpoint);
  actions.AddExpectedRevision(fork);
  actions.AddLifetime(fork);

  CLI::App* rewind = actions.AddOnOne("rewind", "Go back in its history", RewindSession);
  auto* to = rewind->add_option_group("To", "Where to: one of these");
  to->add_option("--checkpoint", options.checkpoint, "A checkpoint");
  to->add_option("--position", options.position, "A position of the history, in tokens");
  to->add_option("--turns", options.turns, "So many turns back");
  to->require_option(1);
  rewind->add_flag(
      "--allow-recompute", options.allow_recompute,
      "Where no state is held, as of ends of turns once the session has moved to another "
      "replica: the next turn reads the history again");
  actions.AddExpectedRevision(rewind);

  CLI::App* checkpoint =
      actions.AddOnOne("checkpoint", "Name its present state, to come back to", CheckpointSession);
  checkpoint->add_option("NAME", options.name, "1 to 64 characters of A-Z a-z 0-9 . _ -")
      ->required();
  checkpoint->add_flag("--remove", options.remove, "Give up the checkpoint of this name instead");
  actions.AddExpectedRevision(checkpoint);

  CLI::App* remove =
      actions.AddOnOne("delete", "Free it; a turn in progress is cancelled", DeleteSession);
  actions.AddExpectedRevision(remove);
}

void AddMoving(Actions& actions) {
  SessionOptions& options = actions.options();
  CLI::App* out = actions.AddOnOne("export", "Write it to a file", ExportSession);
  out->add_option("FILE", options.file, "The file; -: standard output")->required();
  out->add_option("--checkpoint", options.checkpoint, "This checkpoint of it instead");
  CLI::App* in =
      actions.Add("import", "A new session from an exported one; prints its id", ImportSession);
  in->add_option("FILE", options.file, "The file; -: standard input")->required();
  in->add_option("-m,--model", options.model,
                 "Name of the model that is to go on with it [the snapshot's]");
  in->add_flag("--rebuild", options.rebuild,
               "Leave its state out; the next turn reads the history again");
  in->add_flag("--allow-inexact", options.allow_inexact,
               "Take a state of another numerics profile: the last bits may differ");
  actions.AddLifetime(in);
}

}  // namespace

void AddSessionsCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("sessions", "Conversations that the server holds");
  command->footer(kSessionsExamples);
  command->require_subcommand(1);
  Actions actions(command, context);
  AddCreate(actions);
  AddLooking(actions);
  AddGoing(actions);
  AddMoving(actions);
}

}  // namespace ssmd::ctl
