// The real ssmctl against the real daemon: what scripts rely on (fields, exit statuses, errors) and
// what people see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <csignal>
#include <sstream>

#include "absl/strings/str_format.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class SsmctlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon_ = Daemon::Start();
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  Finished Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    Process::Options options;
    options.input = input;
    return RunSsmctl(daemon_->grpc(), arguments, options);
  }
  // The one JSON object that a command printed.
  rapidjson::Document Json(const std::vector<std::string>& arguments,
                           const std::string& input = "") {
    const Finished run = Run(arguments, input);
    EXPECT_EQ(run.status, 0) << run.errors;
    EXPECT_THAT(run.errors, IsEmpty());
    return Parse(run.output);
  }
  static rapidjson::Document Parse(const std::string& text) {
    rapidjson::Document document;
    document.Parse<rapidjson::kParseValidateEncodingFlag | rapidjson::kParseFullPrecisionFlag>(
        text.c_str());
    EXPECT_FALSE(document.HasParseError()) << text;
    EXPECT_TRUE(document.IsObject()) << text;
    if (!document.IsObject()) document.SetObject();
    return document;
  }
  static void ExpectFields(const rapidjson::Value& object, const std::vector<const char*>& names) {
    for (const char* name : names) EXPECT_TRUE(object.HasMember(name)) << name;
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

const std::vector<const char*> kResultFields = {
    "text", "token_ids",        "finish_reason", "stop_reason",       "session_id", "revision",
    "seed", "numerics_profile", "state_source",  "history_token_ids", "usage",      "timings_ms"};

TEST_F(SsmctlTest, GenerateStreamsTextToStandardOutput) {
  const Finished run = Run({"generate", "--prompt", "Once upon a time", "--max-tokens", "20",
                            "--temperature", "0", "--ignore-eos"});
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_EQ(run.output,
            RunTurn(*client_, GreedyRequest("Once upon a time", 20)).only().text + "\n");
  EXPECT_THAT(run.errors, IsEmpty());
  EXPECT_EQ(Run({"generate", "--max-tokens", "20", "--temperature", "0", "--ignore-eos",
                 "Once upon a time"})
                .output,
            run.output);
}

TEST_F(SsmctlTest, FailsWhenItsOutputIsNotTaken) {
  const Finished run = RunProgram({"/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/full", SsmctlBinary(),
                                   "--server", daemon_->grpc(), "models"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("standard output did not take all"));
}

TEST_F(SsmctlTest, RefusesACommandLineThatMakesNoSense) {
  const std::vector<std::pair<std::vector<std::string>, const char*>> lines = {
      {{"genrate", "--prompt", "x"}, "no command 'genrate'"},
      {{"sessions", "frok", "0123"}, "no command 'sessions frok'"},
      {{"sessions"}, "subcommand is required"},
      {{"generate", "--prompt", "x", "--seed", "-1"}, "'-1' is not a whole number"},
      {{"generate", "--prompt", "x", "--seed", "18446744073709551616"}, "is not a whole number"},
      {{"generate", "--prompt", "x", "--expected-revision", "-1"}, "is not a whole number"},
  };
  for (const auto& [line, complaint] : lines) {
    const Finished run = Run(line);
    EXPECT_EQ(run.status, 2) << complaint;
    EXPECT_THAT(run.errors, HasSubstr(complaint));
  }
}

TEST_F(SsmctlTest, GenerateGivesTheContractsObject) {
  const rapidjson::Document result =
      Json({"generate", "--prompt", "Once upon a time", "--json", "--max-tokens", "7", "--seed",
            "18446744073709551615", "--ignore-eos"});
  ExpectFields(result, kResultFields);
  EXPECT_EQ(result["token_ids"].Size(), 7u);
  EXPECT_STREQ(result["finish_reason"].GetString(), "length");
  EXPECT_STREQ(result["stop_reason"].GetString(), "");
  EXPECT_STREQ(result["session_id"].GetString(), "");
  EXPECT_STREQ(result["state_source"].GetString(), "FRESH");
  EXPECT_EQ(result["seed"].GetUint64(), 18446744073709551615u);
  ExpectFields(result["usage"], {"prompt_tokens", "reused_tokens", "computed_tokens",
                                 "recomputed_tokens", "generated_tokens"});
  EXPECT_EQ(result["usage"]["generated_tokens"].GetInt(), 7);
  ExpectFields(result["timings_ms"], {"queue", "load", "first_token", "total"});
  EXPECT_GT(result["timings_ms"]["total"].GetDouble(), 0);
  EXPECT_FALSE(result.HasMember("logprobs"));
}

TEST_F(SsmctlTest, VerboseSaysWhereTheStateCameFromOnStandardError) {
  const Finished run = Run({"generate", "--prompt", "Once", "--max-tokens", "3", "--temperature",
                            "0", "--ignore-eos", "--verbose"});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.output, RunTurn(*client_, GreedyRequest("Once", 3)).only().text + "\n");
  EXPECT_THAT(run.errors, HasSubstr("state FRESH: 0 tokens reused, "));
}

TEST_F(SsmctlTest, SeveralChoicesAreAList) {
  const rapidjson::Document result = Json(
      {"generate", "--prompt", "Once", "--json", "--max-tokens", "4", "--n", "3", "--seed", "1"});
  ASSERT_TRUE(result.HasMember("choices"));
  ASSERT_EQ(result["choices"].Size(), 3u);
  for (const auto& choice : result["choices"].GetArray()) ExpectFields(choice, kResultFields);
}

TEST_F(SsmctlTest, ASessionGoesOn) {
  const rapidjson::Document created = Json({"sessions", "create", "--json", "--model=tales"});
  const std::string id = created["session_id"].GetString();
  const std::vector<std::string> turn = {"generate",       "--session",      id,
                                         "--json",         "--prompt",       "Lily saw",
                                         "--max-tokens=3", "--temperature=0"};
  const rapidjson::Document first = Json(turn);
  EXPECT_EQ(first["session_id"].GetString(), id);
  EXPECT_EQ(first["revision"].GetInt(), 1);
  const rapidjson::Document second = Json(turn);
  EXPECT_STREQ(second["state_source"].GetString(), "RESIDENT");
  EXPECT_GT(second["usage"]["reused_tokens"].GetInt(), 0);
  const rapidjson::Document got = Json({"sessions", "get", id, "--json"});
  EXPECT_EQ(got["revision"].GetInt(), 2);
  const rapidjson::Document list = Json({"sessions", "list", "--json"});
  EXPECT_EQ(list["sessions"].Size(), 1u);
  const Finished tree = Run({"sessions", "list"});
  EXPECT_THAT(tree.output, StartsWith("SESSION"));
  EXPECT_THAT(tree.output, HasSubstr(id));
  EXPECT_EQ(Run({"sessions", "delete", id}).status, 0);
  EXPECT_EQ(Run({"sessions", "delete", id}).status, 1);
}

TEST_F(SsmctlTest, ScoreGivesOneLogprobFewerThanTokens) {
  const rapidjson::Document result = Json({"score", "--tokens=1,2,3,4", "--json"});
  ASSERT_EQ(result["logprobs"].Size(), 3u);
  v1::ScoreRequest request;
  for (const int id : {1, 2, 3, 4}) request.mutable_token_ids()->add_ids(id);
  const auto direct = client_->Score(request);
  ASSERT_TRUE(direct.ok());
  for (unsigned i = 0; i < 3; ++i) {
    // To the last bit: floats are printed so that they read back the same.
    EXPECT_EQ(static_cast<float>(result["logprobs"][i].GetDouble()),
              direct.value().logprobs(static_cast<int>(i)).token().logprob());
  }
}

TEST_F(SsmctlTest, EncodeGivesTheServersVector) {
  v1::EncodeRequest request;
  request.set_text("Once upon a time");
  request.set_pooling(v1::POOLING_LAST);
  const auto direct = client_->Encode(request);
  ASSERT_TRUE(direct.ok()) << client::ToString(direct.error());
  const rapidjson::Document result =
      Json({"encode", "Once upon a time", "--pooling", "last", "--json"});
  ASSERT_EQ(result["values"].Size(), static_cast<unsigned>(direct.value().values_size()));
  std::string lines;
  for (int i = 0; i < direct.value().values_size(); ++i) {
    const float value = direct.value().values(i);
    EXPECT_EQ(static_cast<float>(result["values"][static_cast<unsigned>(i)].GetDouble()), value);
    lines += absl::StrFormat("%.9g\n", value);
  }
  EXPECT_EQ(result["tokens"].GetInt64(), direct.value().tokens());
  EXPECT_EQ(Run({"encode", "--pooling=last"}, "Once upon a time").output, lines);  // from a pipe
}

TEST_F(SsmctlTest, TokenizeAndDetokenizeAreInverse) {
  const std::string text = "Hello,  wörld 🦜\n\tdone";
  const rapidjson::Document tokens = Json({"tokenize", "--text", text, "--json"});
  std::string list;
  for (const auto& id : tokens["token_ids"].GetArray()) {
    list += (list.empty() ? "" : ",") + std::to_string(id.GetInt());
  }
  EXPECT_EQ(Run({"tokenize"}, text).output, list + "\n");  // from a pipe
  EXPECT_EQ(Json({"detokenize", "--tokens", list, "--json"})["text"].GetString(), text);
}

TEST_F(SsmctlTest, ThePromptCanComeFromAPipe) {
  const std::vector<std::string> rest = {"--max-tokens", "5", "--temperature", "0"};
  std::vector<std::string> by_flag = {"generate", "--prompt", "A dog"};
  std::vector<std::string> by_dash = {"generate", "--prompt", "-"};
  std::vector<std::string> by_pipe = {"generate"};
  for (auto* arguments : {&by_flag, &by_dash, &by_pipe}) {
    arguments->insert(arguments->end(), rest.begin(), rest.end());
  }
  const std::string expected = Run(by_flag).output;
  EXPECT_EQ(Run(by_dash, "A dog").output, expected);
  EXPECT_EQ(Run(by_pipe, "A dog").output, expected);
}

TEST_F(SsmctlTest, StreamGivesOneEventALine) {
  const Finished run = Run({"generate", "--prompt", "Once", "--json", "--stream", "--max-tokens",
                            "5", "--temperature", "0", "--ignore-eos", "--logprobs", "2"});
  ASSERT_EQ(run.status, 0) << run.errors;
  std::istringstream lines(run.output);
  std::vector<std::string> kinds;
  std::string text;
  size_t logprobs = 0;
  for (std::string line; std::getline(lines, line);) {
    const rapidjson::Document event = Parse(line);
    kinds.emplace_back(event["event"].GetString());
    if (kinds.back() != "delta") continue;
    text += event["text"].GetString();
    logprobs += event["logprobs"].Size();
  }
  ASSERT_GE(kinds.size(), 4u);
  EXPECT_EQ(kinds.front(), "started");
  EXPECT_EQ(kinds[kinds.size() - 2], "choice_finished");
  EXPECT_EQ(kinds.back(), "final");
  EXPECT_EQ(logprobs, 5u);
  EXPECT_EQ(text, RunTurn(*client_, GreedyRequest("Once", 5)).only().text);
}

TEST_F(SsmctlTest, LogprobsAndEchoAreInTheObject) {
  const rapidjson::Document result =
      Json({"generate", "--prompt", "Once upon", "--json", "--max-tokens", "3", "--logprobs", "2",
            "--echo", "--ignore-eos", "--temperature", "0"});
  ASSERT_EQ(result["logprobs"].Size(), 3u);
  ExpectFields(result["logprobs"][0], {"token_id", "logprob", "token", "top"});
  EXPECT_EQ(result["logprobs"][0]["top"].Size(), 2u);
  EXPECT_STREQ(result["echo"]["text"].GetString(), "Once upon");
  EXPECT_EQ(result["echo"]["logprobs"].Size() + 1, result["echo"]["token_ids"].Size());
}

TEST_F(SsmctlTest, InterruptingCancelsAndSaysSo) {
  const auto process = StartSsmctl(
      daemon_->grpc(), {"generate", "--prompt", "Once", "--ignore-eos", "--max-tokens", "60000"});
  ASSERT_TRUE(Eventually([&] { return process->output().size() > 10; })) << process->errors();
  process->Signal(SIGINT);
  EXPECT_EQ(process->Wait(std::chrono::seconds(20)), std::optional<int>(130));
  EXPECT_THAT(process->errors(), HasSubstr("cancelled"));
  EXPECT_TRUE(Eventually([&] { return StatsOf(*client_).slots_used() == 0; }));
  const v1::ModelStats stats = StatsOf(*client_);
  ASSERT_EQ(stats.early_ends_size(), 1);
  EXPECT_EQ(stats.early_ends(0).reason(), "CANCELLED");
}

TEST_F(SsmctlTest, ATimeoutEndsTheCall) {
  const Finished run = Run({"generate", "--prompt", "Once", "--ignore-eos", "--max-tokens", "60000",
                            "--timeout", "0.3", "--json"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.output, IsEmpty());
  EXPECT_STREQ(Parse(run.errors)["error"]["code"].GetString(), "DEADLINE_EXCEEDED");
}

TEST_F(SsmctlTest, ErrorsAreActionableAndInJsonForMachines) {
  const Finished words = Run({"generate", "--prompt", "Once", "--temperature", "-1"});
  EXPECT_EQ(words.status, 1);
  EXPECT_THAT(words.errors, HasSubstr("temperature must be in [0, 10], got -1"));
  const Finished run = Run({"sessions", "get", "0123", "--json"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.output, IsEmpty());
  const rapidjson::Document error = Parse(run.errors);
  EXPECT_STREQ(error["error"]["code"].GetString(), "NOT_FOUND");
  EXPECT_STREQ(error["error"]["reason"].GetString(), "SESSION_NOT_FOUND");
  EXPECT_EQ(Run({"generate", "--prompt", "x", "--nonsense"}).status, 2);
  EXPECT_EQ(Run({"generate", "--tokens", "1,x"}).status, 2);
  EXPECT_EQ(Run({"tokenize", "--text", "\xff"}).status, 2);
}

TEST_F(SsmctlTest, AnUnreachableServerSaysHowToStartOne) {
  const std::string address = daemon_->grpc();
  ASSERT_EQ(daemon_->Stop(), std::optional<int>(0));
  const Finished run = RunSsmctl(address, {"models"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr(address));
  EXPECT_THAT(run.errors, HasSubstr("ssmd --model"));
}

TEST_F(SsmctlTest, ModelsAndStatsDescribeTheServer) {
  const rapidjson::Document models = Json({"models", "--json"});
  ASSERT_EQ(models["models"].Size(), 1u);
  EXPECT_STREQ(models["models"][0]["name"].GetString(), "tales");
  EXPECT_EQ(models["models"][0]["vocabulary_size"].GetInt(), 2048);
  EXPECT_THAT(Run({"models"}).output, StartsWith("tales: mamba"));
  const rapidjson::Document stats = Json({"stats", "--json"});
  ExpectFields(stats, {"uptime_seconds", "resident_bytes", "draining", "models"});
  ExpectFields(stats["models"][0], {"model", "steps", "running", "slots_used", "early_ends"});
  ExpectFields(stats["models"][0], {"session_tiers", "loads", "evictions", "prefixes",
                                    "time_to_first_token", "inter_token", "waiting_high"});
  const Finished top = Run({"top", "--count", "2", "--interval", "0.1"});
  EXPECT_EQ(top.status, 0);
  EXPECT_THAT(top.output, HasSubstr("first token"));
  ExpectFields(Json({"top", "--once", "--json"}), {"stats", "models"});
}

TEST_F(SsmctlTest, ChatKeepsASessionAndDeletesItAtTheEnd) {
  const Finished run = Run({"chat", "--max-tokens", "10", "--seed", "4"},
                           "Hello there\n/info\n\nAnd then?\n/info\n/quit\n");
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("revision 1"));
  EXPECT_THAT(run.output, HasSubstr("revision 2"));
  EXPECT_EQ(StatsOf(*client_).sessions(), 0);

  const Finished kept = Run({"chat", "--max-tokens", "5", "--keep"}, "Hello\n");
  EXPECT_EQ(kept.status, 0);
  EXPECT_EQ(StatsOf(*client_).sessions(), 1);
  const auto sessions = client_->ListSessions({});
  EXPECT_THAT(kept.errors, HasSubstr(sessions.value().sessions(0).session_id()));
}

TEST_F(SsmctlTest, APipedChatEndsAtTheFirstLineThatFailsAndItsExitStatusSaysSo) {
  const struct {
    std::string line;
    int status;
    const char* error;
  } kCases[] = {
      {std::string(3000, 'x'), 1, "a history may have at most"},
      {"/back 9", 1, "knows of 1 turn ends"},
      {"/save a/b", 1, "name must have 1 to 64"},
      {"/sav here", 2, "no such command"},
      {"\xff", 2, "the message is not UTF-8"},
  };
  daemon_ = Daemon::Start({"--max-history-tokens", "1000"});
  ASSERT_NE(daemon_, nullptr);
  client_ = daemon_->Connect();
  for (const auto& c : kCases) {
    const Finished run =
        Run({"chat", "--max-tokens", "5"}, "Hello\n" + c.line + "\nAnd then?\n/info\n");
    EXPECT_EQ(run.status, c.status) << run.errors;
    EXPECT_THAT(run.errors, HasSubstr(c.error));
    EXPECT_THAT(run.output, Not(HasSubstr("revision"))) << "went on behind " << c.error;
    EXPECT_EQ(StatsOf(*client_).sessions(), 0);
  }
}

TEST_F(SsmctlTest, ATerminatedChatStopsItsAnswerAndDeletesItsSession) {
  Process::Options options;
  options.input = "Tell me everything\n";
  const auto process =
      StartSsmctl(daemon_->grpc(), {"chat", "--ignore-eos", "--max-tokens", "60000"}, options);
  ASSERT_TRUE(Eventually([&] { return process->output().size() > 20; })) << process->errors();
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(std::chrono::seconds(20)), 130);
  EXPECT_TRUE(Eventually([&] { return StatsOf(*client_).sessions() == 0; }));
  EXPECT_EQ(StatsOf(*client_).slots_used(), 0);
}

TEST_F(SsmctlTest, HealthIsAnExitStatus) {
  const Finished serving = Run({"health"});
  EXPECT_EQ(serving.status, 0) << serving.errors;
  EXPECT_EQ(serving.output, "SERVING\n");
  EXPECT_STREQ(
      Json({"health", "--json", "--service", "ssmd.v1.SessionService"})["status"].GetString(),
      "SERVING");
  EXPECT_EQ(Run({"health", "--service", "no.such.Service"}).status, 1);
  ASSERT_TRUE(client_->Drain().ok());
  const Finished draining = Run({"health"});
  EXPECT_EQ(draining.status, 1);
  EXPECT_EQ(draining.output, "NOT_SERVING\n");
  const Finished nobody = RunProgram({SsmctlBinary(), "--server", "127.0.0.1:1", "health"});
  EXPECT_EQ(nobody.status, 1);
  EXPECT_THAT(nobody.errors, HasSubstr("nothing listens at 127.0.0.1:1"));
}

TEST_F(SsmctlTest, HelpShowsExamples) {
  for (const char* command : {"generate", "chat", "score", "encode", "tokenize", "detokenize",
                              "sessions", "models", "health", "stats", "top"}) {
    const Finished run = Run({command, "--help"});
    EXPECT_EQ(run.status, 0);
    EXPECT_THAT(run.output, HasSubstr("Example")) << command;
    EXPECT_THAT(run.output, HasSubstr(std::string("  ssmctl ") + command)) << command;
  }
}

}  // namespace
}  // namespace ssmd::test
