// Memories of signals over the wire: the stream and its errors, limits, what is durable, ssmctl.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <cmath>
#include <csignal>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/e2e/memory_requests.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class MemoryTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> flags = {}) {
    flags.push_back("--model");
    flags.push_back(absl::StrCat("legs=", SSMD_DEPLOY, "/models/hippo-legs-64"));
    daemon_ = Daemon::Start(flags);
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(Start()); }

  // How a stream ends that says all this: the last one's error.
  client::Error Refusal(const std::vector<v1::MemoryRequest>& requests) {
    client::MemoryStream stream = client_->Memory("");
    for (size_t i = 0; i + 1 < requests.size(); ++i) Ask(stream, requests[i]);
    auto response = stream.Ask(requests.back());
    if (!response.ok()) return response.error();
    ADD_FAILURE() << "was not refused: " << requests.back().ShortDebugString();
    return {};
  }
  std::vector<double> Coefficients(const std::string& id) {
    client::MemoryStream stream = client_->Memory(id);
    Ask(stream, OpenSession(id));
    const v1::MemoryResponse response = Ask(stream, Query({}));
    EXPECT_FALSE(stream.Finish().has_value());
    const auto& values = response.reading().channels(0).coefficients();
    return {values.begin(), values.end()};
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

TEST_F(MemoryTest, AStreamIsOpenedAppendedToAndAsked) {
  client::MemoryStream stream = client_->Memory("");
  const v1::MemoryOpened opened = Ask(stream, OpenNew()).opened();
  EXPECT_EQ(opened.session().model(), "legs");
  EXPECT_EQ(opened.memory().basis(), "legs");
  EXPECT_EQ(opened.memory().state_size(), 64);
  EXPECT_EQ(opened.memory().channels(), 1);
  EXPECT_EQ(opened.memory().discretization(), "zoh");
  EXPECT_EQ(opened.samples(), 0);
  const v1::MemoryAppended first = Ask(stream, Samples(Wave(0, 900))).appended();
  EXPECT_EQ(first.revision(), 1u);
  EXPECT_EQ(first.samples(), 900);
  EXPECT_EQ(first.state_source(), v1::STATE_SOURCE_FRESH);
  const v1::MemoryReading early = Ask(stream, Query({899})).reading();
  EXPECT_EQ(early.samples(), 900);
  const v1::MemoryAppended second = Ask(stream, Samples(Wave(900, 2000))).appended();
  EXPECT_EQ(second.revision(), 2u);
  EXPECT_EQ(second.state_source(), v1::STATE_SOURCE_RESIDENT);
  const v1::MemoryReading reading = Ask(stream, Query({0, 500.5, 1999})).reading();
  EXPECT_EQ(reading.revision(), 2u);
  EXPECT_EQ(reading.samples(), 2000);
  ASSERT_EQ(reading.channels_size(), 1);
  EXPECT_EQ(reading.channels(0).coefficients_size(), 64);
  EXPECT_NEAR(reading.channels(0).values(1), std::sin(0.02 * 500.5), 0.01);
  EXPECT_NEAR(reading.channels(0).values(2), std::sin(0.02 * 1999), 0.03);
  EXPECT_LT(reading.channels(0).rms_error(), 0.01);
  EXPECT_FALSE(stream.Finish().has_value());
  // The session stays, and is one like any other.
  const auto session = client_->GetSession(opened.session().session_id());
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session.value().position(), 2000);
  EXPECT_EQ(session.value().pending_tokens(), 0);
}

TEST_F(MemoryTest, ModelsSayWhatTheyAre) {
  const auto memory = client_->GetModel("legs");
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory.value().architecture(), "hippo_memory");
  EXPECT_EQ(memory.value().memory().state_size(), 64);
  EXPECT_EQ(memory.value().vocabulary_size(), 0);
  EXPECT_FALSE(client_->GetModel("tales").value().has_memory());

  const Finished printed = RunSsmctl(daemon_->grpc(), {"models", "legs"});
  EXPECT_THAT(printed.output,
              StartsWith("legs: hippo_memory, basis legs over all of the past, N = 64, 1 channel, "
                         "zoh\n    "));
  EXPECT_THAT(printed.output, Not(HasSubstr("parameters")));
  const Finished json = RunSsmctl(daemon_->grpc(), {"models", "legs", "--json"});
  rapidjson::Document model;
  model.Parse(json.output.c_str());
  ASSERT_TRUE(!model.HasParseError() && model.IsObject()) << json.output;
  EXPECT_FALSE(model.HasMember("vocabulary_size"));
  EXPECT_EQ(model["memory"]["state_size"].GetInt(), 64);
  EXPECT_EQ(model["memory"]["channels"].GetInt(), 1);
}

TEST_F(MemoryTest, ForksGoOnByThemselves) {
  client::MemoryStream stream = client_->Memory("");
  const std::string id = Ask(stream, OpenNew()).opened().session().session_id();
  Ask(stream, Samples(Wave(0, 300)));
  v1::ForkSessionRequest fork;
  fork.set_session_id(id);
  const auto children = client_->ForkSession(fork);
  ASSERT_TRUE(children.ok());
  const std::string child = children.value().front().session_id();
  EXPECT_EQ(Coefficients(child), Coefficients(id));
  Ask(stream, Samples(Wave(300, 310)));
  EXPECT_NE(Coefficients(child), Coefficients(id));
}

TEST_F(MemoryTest, WhatDoesNotFitIsRefused) {
  const auto invalid = grpc::StatusCode::INVALID_ARGUMENT;
  EXPECT_THAT(Refusal({Samples({1})}).message, HasSubstr("first message must be an open"));
  EXPECT_EQ(Refusal({OpenNew(), OpenNew()}).code, invalid);
  EXPECT_EQ(Refusal({OpenNew(), v1::MemoryRequest()}).code, invalid);
  EXPECT_EQ(Refusal({v1::MemoryRequest()}).code, invalid);
  EXPECT_EQ(Refusal({OpenNew(), Samples({})}).code, invalid);
  const client::Error not_finite = Refusal({OpenNew(), Samples({1, 2, NAN})});
  EXPECT_EQ(not_finite.code, invalid);
  EXPECT_EQ(not_finite.reason, "INVALID_FIELD");
  EXPECT_THAT(not_finite.message, HasSubstr("number 2"));
  EXPECT_THAT(Refusal({OpenNew(), Samples({1, 2}), Query({2})}).message,
              HasSubstr("times must be in [0, 1]"));
  EXPECT_EQ(Refusal({OpenNew(), Query({0})}).code, invalid);
  v1::MemoryRequest channels = Query({});
  channels.mutable_query()->add_channels(1);
  EXPECT_EQ(Refusal({OpenNew(), channels}).code, invalid);
  channels.mutable_query()->set_channels(0, 0);
  channels.mutable_query()->add_channels(0);
  EXPECT_THAT(Refusal({OpenNew(), channels}).message, HasSubstr("channels has 2 entries"));
  EXPECT_EQ(Refusal({OpenNew("none")}).code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Refusal({OpenNew("")}).code, grpc::StatusCode::INVALID_ARGUMENT);  // two are served
  EXPECT_EQ(Refusal({OpenSession("0123")}).code, grpc::StatusCode::NOT_FOUND);
  v1::MemoryRequest other = OpenSession("0123");
  other.mutable_open()->set_temporary(true);
  EXPECT_EQ(Refusal({other}).code, invalid);
  other = OpenNew();
  other.mutable_open()->set_expected_revision(0);
  EXPECT_EQ(Refusal({other}).code, invalid);
}

TEST_F(MemoryTest, ABadMessageEndsNothingThatWasCommitted) {
  client::MemoryStream stream = client_->Memory("");
  const std::string id = Ask(stream, OpenNew()).opened().session().session_id();
  Ask(stream, Samples(Wave(0, 100)));
  EXPECT_FALSE(stream.Ask(Samples({INFINITY})).ok());
  const auto session = client_->GetSession(id);
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session.value().position(), 100);
  client::MemoryStream again = client_->Memory(id);
  EXPECT_EQ(Ask(again, OpenSession(id)).opened().samples(), 100);
  EXPECT_EQ(Ask(again, Samples({1})).appended().revision(), 2u);
}

TEST_F(MemoryTest, TheKindsOfModelsAreKeptApart) {
  const client::Error text = Refusal({OpenNew("tales")});
  EXPECT_EQ(text.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(text.reason, "MODEL_KIND");
  v1::TokenizeRequest tokenize;
  tokenize.set_model("legs");
  tokenize.set_text("words");
  const auto tokens = client_->Tokenize(tokenize);
  ASSERT_FALSE(tokens.ok());
  EXPECT_EQ(tokens.error().reason, "MODEL_KIND");
  EXPECT_THAT(tokens.error().message, HasSubstr("MemoryService.Memory, or `ssmctl memory`"));
  v1::GenerateRequest generate;
  generate.set_model("legs");
  generate.mutable_token_ids()->add_ids(1);
  const auto error = client_->Generate(generate, {}, [](const v1::GenerateResponse&) {});
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->reason, "MODEL_KIND");
}

TEST_F(MemoryTest, AChatFormatIsRefusedAtTheStart) {
  const std::string model = absl::StrCat("legs=", SSMD_DEPLOY, "/models/hippo-legs-64");
  for (const char* chat : {"chatml", "none"}) {
    const Finished run =
        RunDaemon({"--model", model, "--model-option", absl::StrCat("legs.chat=", chat)});
    EXPECT_GT(run.status, 0);
    EXPECT_THAT(run.errors, HasSubstr(absl::StrCat("chat=", chat, ": a memory has no text")));
  }
}

TEST_F(MemoryTest, RevisionsAreKept) {
  client::MemoryStream stream = client_->Memory("");
  const std::string id = Ask(stream, OpenNew()).opened().session().session_id();
  v1::MemoryRequest append = Samples({1, 2});
  append.mutable_append()->set_expected_revision(0);
  Ask(stream, append);
  const auto refused = stream.Ask(append);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::ABORTED);
  EXPECT_EQ(refused.error().reason, "REVISION_MISMATCH");
  v1::MemoryRequest open = OpenSession(id);
  open.mutable_open()->set_expected_revision(0);
  EXPECT_EQ(Refusal({open}).reason, "REVISION_MISMATCH");
  open.mutable_open()->set_expected_revision(1);
  client::MemoryStream other = client_->Memory(id);
  EXPECT_EQ(Ask(other, open).opened().session().revision(), 1u);
}

TEST_F(MemoryTest, ARetryIsAppliedOnce) {
  client::MemoryStream stream = client_->Memory("");
  const std::string id = Ask(stream, OpenNew()).opened().session().session_id();
  v1::MemoryRequest append = Samples(Wave(0, 50));
  append.mutable_append()->set_request_id("first");
  EXPECT_FALSE(Ask(stream, append).appended().replayed());
  Ask(stream, Samples({1}));
  const v1::MemoryAppended again = Ask(stream, append).appended();
  EXPECT_TRUE(again.replayed());
  EXPECT_EQ(again.revision(), 1u);
  EXPECT_EQ(again.samples(), 50);
  append.mutable_append()->add_samples(2);
  const auto reused = stream.Ask(append);
  ASSERT_FALSE(reused.ok());
  EXPECT_EQ(reused.error().code, grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(MemoryTest, ATemporarySessionEndsWithItsStream) {
  v1::MemoryRequest open = OpenNew();
  open.mutable_open()->set_temporary(true);
  std::string id;
  {
    client::MemoryStream stream = client_->Memory("");
    id = Ask(stream, open).opened().session().session_id();
    Ask(stream, Samples({1, 2, 3}));
    EXPECT_TRUE(client_->GetSession(id).ok());
    EXPECT_FALSE(stream.Finish().has_value());
  }
  EXPECT_TRUE(Eventually([&] { return !client_->GetSession(id).ok(); }));
  {
    client::MemoryStream stream = client_->Memory("");
    id = Ask(stream, open).opened().session().session_id();
  }  // cancelled
  EXPECT_TRUE(Eventually([&] { return !client_->GetSession(id).ok(); }));
}

TEST_F(MemoryTest, LimitsHoldAtTheirNumbers) {
  daemon_.reset();
  ASSERT_NO_FATAL_FAILURE(Start({"--max-append-samples=10", "--max-reconstructed-values=4"}));
  client::MemoryStream stream = client_->Memory("");
  Ask(stream, OpenNew());
  EXPECT_EQ(Ask(stream, Samples(Wave(0, 9))).appended().samples(), 9);
  EXPECT_EQ(Ask(stream, Samples(Wave(0, 10))).appended().samples(), 19);
  EXPECT_EQ(Ask(stream, Query({1, 2, 3})).reading().channels(0).values_size(), 3);
  EXPECT_EQ(Ask(stream, Query({1, 2, 3, 4})).reading().channels(0).values_size(), 4);
  const client::Error times = Refusal({OpenNew(), Samples(Wave(0, 9)), Query({1, 2, 3, 4, 5})});
  EXPECT_EQ(times.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(times.message, HasSubstr("--max-reconstructed-values"));
  const client::Error samples = Refusal({OpenNew(), Samples(Wave(0, 11))});
  EXPECT_EQ(samples.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(samples.message, HasSubstr("--max-append-samples"));
}

TEST_F(MemoryTest, AStreamThatIsIdleDoesNotHoldUpTheEnd) {
  client::MemoryStream stream = client_->Memory("");
  Ask(stream, OpenNew());
  EXPECT_EQ(daemon_->Stop(std::chrono::seconds(20)), std::optional<int>(0)) << daemon_->log();
  EXPECT_FALSE(stream.Ask(Samples({1})).ok());
}

TEST_F(MemoryTest, WhatWasAcknowledgedSurvivesAKill) {
  const TempDir dir;
  daemon_.reset();
  ASSERT_NO_FATAL_FAILURE(Start({"--state-dir", dir.File("state")}));
  std::string id;
  {
    client::MemoryStream stream = client_->Memory("");
    id = Ask(stream, OpenNew()).opened().session().session_id();
    for (int i = 0; i < 5; ++i) Ask(stream, Samples(Wave(100 * i, 100 * i + 100)));
  }
  const std::vector<double> before = Coefficients(id);
  daemon_->process().Signal(SIGKILL);
  ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
  ASSERT_NO_FATAL_FAILURE(Start({"--state-dir", dir.File("state")}));
  EXPECT_EQ(Coefficients(id), before);  // bit by bit, though the state is computed again
  client::MemoryStream stream = client_->Memory(id);
  EXPECT_EQ(Ask(stream, OpenSession(id)).opened().samples(), 500);
  const v1::MemoryAppended appended = Ask(stream, Samples(Wave(500, 510))).appended();
  EXPECT_EQ(appended.revision(), 6u);
  EXPECT_EQ(appended.samples(), 510);
}

// --- ssmctl ---

class MemoryCommandTest : public MemoryTest {
 protected:
  static std::string Lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) absl::StrAppend(&text, std::sin(0.02 * i), "\n");
    return text;
  }
  Finished Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    Process::Options options;
    options.input = input;
    return RunSsmctl(daemon_->grpc(), arguments, options);
  }
};

TEST_F(MemoryCommandTest, PrintsTheReconstructionAsCsv) {
  const Finished run = Run({"memory", "--model", "legs", "--points", "5"}, Lines(401));
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.errors, HasSubstr("401 samples, root mean square error"));
  std::istringstream lines(run.output);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, "sample,channel_0");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(std::getline(lines, line)) << i;
    EXPECT_THAT(line, StartsWith(absl::StrCat(100 * i, ",")));
    EXPECT_NEAR(std::stod(line.substr(line.find(',') + 1)), std::sin(2.0 * i), 0.03);
  }
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(MemoryCommandTest, KeepsASessionThatIsAskedFor) {
  const Finished run = Run({"memory", "--model", "legs", "--keep", "--json"}, Lines(300));
  ASSERT_EQ(run.status, 0) << run.errors;
  rapidjson::Document document;
  document.Parse(run.output.c_str());
  ASSERT_TRUE(document.IsObject()) << run.output;
  EXPECT_EQ(document["samples"].GetInt(), 300);
  EXPECT_LT(document["channels"][0]["rms_error"].GetDouble(), 0.02);
  const std::string id = document["session_id"].GetString();
  const Finished gap = Run({"memory", "--session", id, "--no-samples", "--times", "0,,1"});
  EXPECT_THAT(gap.errors, HasSubstr("--times takes numbers like 0,10.5,99, got ''"));
  const Finished look = Run({"memory", "--session", id, "--no-samples", "--times", "0,150.5"});
  EXPECT_EQ(look.status, 0) << look.errors;
  EXPECT_THAT(look.output, HasSubstr("\n150.5,"));
  const Finished more = Run({"memory", "--session", id, "--coefficients"}, Lines(10));
  EXPECT_EQ(more.status, 0) << more.errors;
  EXPECT_THAT(more.output, StartsWith("n,channel_0\n0,"));
  EXPECT_EQ(client_->GetSession(id).value().position(), 310);
}

TEST_F(MemoryCommandTest, SaysWhichLineIsNoSample) {
  const Finished words = Run({"memory", "--model", "legs"}, "1\n2\n3\nthree\n");
  EXPECT_EQ(words.status, 2);
  EXPECT_THAT(words.errors, HasSubstr("line 4: 'three' is no number"));
  const Finished pairs = Run({"memory", "--model", "legs"}, "1,2\n");
  EXPECT_EQ(pairs.status, 2);
  EXPECT_THAT(pairs.errors, HasSubstr("line 1 has 2 numbers where the memory has 1 channel"));
  const Finished text = Run({"memory", "--model", "tales"}, "1\n");
  EXPECT_EQ(text.status, 1);
  EXPECT_THAT(text.errors, HasSubstr("is a language model"));
}

}  // namespace
}  // namespace ssmd::test
