// Who may call, and over what: tokens, tenants, administrators, TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

constexpr const char* kTokenFile =
    "# token tenant [admin]\n"
    "alice-token-0001 alice\n"
    "bob-token-00002 bob\n"
    "operator-token-3 ops admin\n";

class AccessTest : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = {"--token-file", dir_.Write("tokens", kTokenFile)};
    flags.insert(flags.end(), more.begin(), more.end());
    daemon_ = Daemon::Start(flags);
    ASSERT_NE(daemon_, nullptr);
  }
  std::shared_ptr<client::Client> As(const std::string& token) {
    return daemon_->Connect({.token_file = dir_.Write("token_of_" + token, token + "\n")});
  }

  TempDir dir_;
  std::unique_ptr<Daemon> daemon_;
};

TEST_F(AccessTest, WithoutAKnownTokenNothingIsServed) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (const auto& client : {daemon_->Connect(), As("mallory-token-9"), As("alice-token-000"),
                             As("alice-token-00011")}) {
    EXPECT_EQ(client->ListModels().error().code, StatusCode::UNAUTHENTICATED);
    const Turn turn = RunTurn(*client, GreedyRequest("Once", 1));
    EXPECT_EQ(turn.code(), StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(turn.error->reason, "UNAUTHENTICATED");
    EXPECT_EQ(client->CreateSession("").error().code, StatusCode::UNAUTHENTICATED);
  }
  EXPECT_TRUE(As("alice-token-0001")->ListModels().ok());
}

TEST_F(AccessTest, AForeignSessionLooksAbsent) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const auto alice = As("alice-token-0001");
  const auto bob = As("bob-token-00002");
  const auto session = alice->CreateSession("");
  ASSERT_TRUE(session.ok());
  const std::string id = session.value().session_id();
  std::string absent = id;
  absent[0] = absent[0] == '0' ? '1' : '0';

  const auto foreign = bob->GetSession(id);
  const auto missing = bob->GetSession(absent);
  ASSERT_FALSE(foreign.ok() || missing.ok());
  EXPECT_EQ(foreign.error().code, StatusCode::NOT_FOUND);
  EXPECT_EQ(foreign.error().code, missing.error().code);
  EXPECT_EQ(foreign.error().reason, missing.error().reason);
  // Word for word, but for the id.
  std::string message = foreign.error().message;
  if (const size_t at = message.find(id); at != std::string::npos)
    message.replace(at, id.size(), absent);
  EXPECT_EQ(message, missing.error().message);

  EXPECT_EQ(bob->DeleteSession(id)->code, StatusCode::NOT_FOUND);
  v1::GenerateRequest request = GreedyRequest("Once", 1);
  request.set_session_id(id);
  EXPECT_EQ(RunTurn(*bob, request).code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(bob->ListSessions({}).value().sessions_size(), 0);
  EXPECT_EQ(alice->ListSessions({}).value().sessions_size(), 1);
  EXPECT_FALSE(RunTurn(*alice, request).error);
}

TEST_F(AccessTest, OnlyAdministratorsLookInside) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const auto stats = As("alice-token-0001")->GetStats();
  ASSERT_FALSE(stats.ok());
  EXPECT_EQ(stats.error().code, StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(As("alice-token-0001")->Drain().error().code, StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(As("operator-token-3")->GetStats().ok());
  EXPECT_TRUE(As("operator-token-3")->Drain().ok());
}

TEST_F(AccessTest, ChangedTokensTakeEffectWithoutARestart) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_FALSE(As("carol-token-0004")->ListModels().ok());
  dir_.Write("tokens", "carol-token-0004 carol\n");
  EXPECT_TRUE(Eventually([&] { return As("carol-token-0004")->ListModels().ok(); }));
  EXPECT_FALSE(As("alice-token-0001")->ListModels().ok());
  // A file that does not parse leaves the tokens as they were.
  dir_.Write("tokens", "short x\nbroken");
  EXPECT_TRUE(Eventually([&] { return daemon_->log().find("token") != std::string::npos; }));
  EXPECT_TRUE(As("carol-token-0004")->ListModels().ok());
}

TEST_F(AccessTest, TokensAreNotLogged) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_TRUE(As("alice-token-0001")->ListModels().ok());
  ASSERT_FALSE(As("mallory-token-9")->ListModels().ok());
  ASSERT_EQ(daemon_->Stop(), std::optional<int>(0));
  EXPECT_THAT(daemon_->log(), ::testing::Not(HasSubstr("alice-token")));
  EXPECT_THAT(daemon_->log(), ::testing::Not(HasSubstr("mallory-token")));
}

TEST_F(AccessTest, WithoutATokenFileAnyTokenIsIgnored) {
  daemon_ = Daemon::Start();
  ASSERT_NE(daemon_, nullptr);
  EXPECT_TRUE(As("whatever-token")->GetStats().ok());
}

TEST_F(AccessTest, SsmctlSaysHowToGiveAToken) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const Finished refused = RunSsmctl(daemon_->grpc(), {"models"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.errors, HasSubstr("SSMD_TOKEN"));
  Process::Options with_token;
  with_token.environment = {{"SSMD_TOKEN", "alice-token-0001"}};
  EXPECT_EQ(RunSsmctl(daemon_->grpc(), {"models"}, with_token).status, 0);
}

// A certificate for 127.0.0.1 and localhost that vouches for itself.
class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Finished made = RunProgram(
        {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key(), "-out", certificate()});
    ASSERT_EQ(made.status, 0) << made.errors;
  }
  std::string key() const { return dir_.File("key.pem"); }
  std::string certificate() const { return dir_.File("cert.pem"); }

  TempDir dir_;
};

TEST_F(TlsTest, ServesThoseWhoTrustTheCertificateAndNoPlaintext) {
  const auto daemon = Daemon::Start({"--tls-cert", certificate(), "--tls-key", key()});
  ASSERT_NE(daemon, nullptr);
  const auto trusting = daemon->Connect({.tls = true, .ca_file = certificate()});
  const Turn turn = RunTurn(*trusting, GreedyRequest("Once", 5));
  EXPECT_FALSE(turn.error) << turn.Describe();
  const client::CallOptions soon = {.timeout = std::chrono::seconds(20), .cancel = {}};
  EXPECT_FALSE(daemon->Connect()->ListModels(soon).ok());
  EXPECT_EQ(daemon->Connect({.tls = true})->ListModels(soon).error().code, StatusCode::UNAVAILABLE);
  EXPECT_EQ(RunSsmctl(daemon->grpc(), {"--tls-ca", certificate(), "models"}).status, 0);
}

TEST_F(TlsTest, AClientWithoutACertificateIsRefusedWhereOneIsAskedFor) {
  const auto daemon = Daemon::Start(
      {"--tls-cert", certificate(), "--tls-key", key(), "--tls-client-ca", certificate()});
  ASSERT_NE(daemon, nullptr);
  const client::CallOptions soon = {.timeout = std::chrono::seconds(20), .cancel = {}};
  EXPECT_FALSE(daemon->Connect({.tls = true, .ca_file = certificate()})->ListModels(soon).ok());
  const auto known = daemon->Connect({.tls = true,
                                      .ca_file = certificate(),
                                      .certificate_file = certificate(),
                                      .key_file = key()});
  EXPECT_TRUE(known->ListModels(soon).ok());
}

TEST(CommandLine, WhatWouldBeUnsafeOrCannotWorkIsRefusedInOneLine) {
  const TempDir dir;
  const std::string tales = "tales=" + TalesModel();
  struct Row {
    std::vector<std::string> arguments;
    const char* message;
  };
  const std::vector<Row> table = {
      {{"--model", tales, "--grpc-listen", "0.0.0.0:0"}, "--insecure"},
      {{"--model", tales, "--grpc-listen", "[::]:0"}, "--insecure"},
      {{"--model", tales, "--http-listen", "0.0.0.0:0"}, "--insecure"},
      {{"--model", tales, "--tls-cert", dir.File("none")}, "--tls-key"},
      {{"--model", tales, "--tls-cert", dir.File("none"), "--tls-key", dir.File("none")}, "--tls-"},
      {{"--model", tales, "--token-file", dir.File("none")}, "token"},
      {{"--model", tales, "--token-file", dir.Write("bad", "x y z w\n")}, "line 1"},
      {{"--model", tales, "--state-slots", "1"}, "--state-slots"},
      {{"--model", tales, "--token-budget", "0"}, "--token-budget"},
      {{"--model", tales, "--isa", "mmx"}, "--isa"},
      {{"--model", tales, "--device", "cuda:99"}, "--device cuda:99: "},
      {{"--model", tales, "--model", tales}, "taken"},
      {{"--model", tales, "--model-option", "other.weights=f32"}, "other"},
      {{"--model", tales, "--model-option", "tales.weights=q3"}, "weights"},
      {{"--model", tales, "--model-option", "tales.prefill=chunked"}, "no chunked form"},
      {{"--model", tales, "--grpc-listen", "nonsense"}, "nonsense"},
      {{}, "--model"},
  };
  for (const Row& row : table) {
    const Finished run = RunDaemon(row.arguments);
    EXPECT_GT(run.status, 0) << row.message;
    EXPECT_THAT(run.errors, HasSubstr(row.message));
    EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
    EXPECT_TRUE(run.output.empty()) << run.output;
  }
}

TEST(CommandLine, APortThatIsTakenIsRefusedInOneLine) {
  const auto first = Daemon::Start();
  ASSERT_NE(first, nullptr);
  const Finished second = RunDaemon({"--model", "tales=" + TalesModel(), "--grpc-listen",
                                     first->grpc(), "--http-listen", "127.0.0.1:0"});
  EXPECT_GT(second.status, 0);
  EXPECT_THAT(second.errors, HasSubstr(first->grpc()));
}

}  // namespace
}  // namespace ssmd::test
