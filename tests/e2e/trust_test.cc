// The program itself under callers that it should and should not trust: certificates and tokens
// that change while it serves, and what it writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/redis_process.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

// A certificate that vouches for itself, and its key.
struct Pair {
  std::string certificate, key;
};
Pair MakePair(const TempDir& dir, const std::string& name) {
  const Pair pair{dir.File(name + ".cert"), dir.File(name + ".key")};
  const Finished made = RunProgram(
      {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
       "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext",
       "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", pair.key, "-out", pair.certificate});
  EXPECT_EQ(made.status, 0) << made.errors;
  return pair;
}

class RotationTest : public ::testing::Test {
 protected:
  void Install(const Pair& pair) {
    for (const auto& [from, to] : {std::pair(pair.certificate, certificate_), {pair.key, key_}}) {
      std::filesystem::copy_file(from, to + ".new",
                                 std::filesystem::copy_options::overwrite_existing);
      std::filesystem::rename(to + ".new", to);
    }
  }
  // Whether a new connection is shown a certificate that this one vouches for.
  bool GrpcShows(const std::string& certificate) {
    const client::CallOptions soon = {.timeout = std::chrono::seconds(20), .cancel = {}};
    return daemon_->Connect({.tls = true, .ca_file = certificate})->ListModels(soon).ok();
  }
  bool HttpShows(const std::string& certificate) {
    return RunProgram({"openssl", "s_client", "-connect", daemon_->http(), "-CAfile", certificate,
                       "-verify_return_error", "-brief"})
               .status == 0;
  }

  const TempDir dir_;
  const std::string certificate_ = dir_.File("cert.pem");
  const std::string key_ = dir_.File("key.pem");
  std::unique_ptr<Daemon> daemon_;
};

TEST_F(RotationTest, CertificatesChangeUnderLoadAndNobodyNotices) {
  const std::vector<Pair> pairs = {MakePair(dir_, "a"), MakePair(dir_, "b"), MakePair(dir_, "c")};
  Install(pairs[0]);
  daemon_ = Daemon::Start({"--tls-cert", certificate_, "--tls-key", key_});
  ASSERT_NE(daemon_, nullptr);
  // On one connection, from before the first change to after the last one.
  const auto lasting = daemon_->Connect({.tls = true, .ca_file = pairs[0].certificate});
  std::atomic<bool> over{false};
  std::atomic<int> turns{0};
  std::thread load([&] {
    while (!over) {
      const Turn turn = RunTurn(*lasting, GreedyRequest("Once", 20));
      EXPECT_FALSE(turn.error) << turn.Describe();
      ++turns;
    }
  });
  EXPECT_TRUE(GrpcShows(pairs[0].certificate));
  EXPECT_TRUE(HttpShows(pairs[0].certificate));
  for (size_t i = 1; i < pairs.size(); ++i) {
    Install(pairs[i]);
    EXPECT_TRUE(Eventually([&] { return GrpcShows(pairs[i].certificate); }));
    EXPECT_TRUE(Eventually([&] { return HttpShows(pairs[i].certificate); }));
    EXPECT_FALSE(GrpcShows(pairs[i - 1].certificate));
    EXPECT_FALSE(HttpShows(pairs[i - 1].certificate));
    const int before = turns;
    EXPECT_TRUE(Eventually([&] { return turns > before; }));
  }
  over = true;
  load.join();
  EXPECT_THAT(daemon_->log(), HasSubstr("tls_files_reloaded"));
}

TEST_F(RotationTest, ABadCertificateIsRefusedWithALineAndTheOldOneStays) {
  const Pair first = MakePair(dir_, "a");
  const Pair second = MakePair(dir_, "b");
  Install(first);
  daemon_ = Daemon::Start({"--tls-cert", certificate_, "--tls-key", key_});
  ASSERT_NE(daemon_, nullptr);
  Install({second.certificate, first.key});
  EXPECT_TRUE(Eventually(
      [&] { return daemon_->log().find("is not the key of --tls-cert") != std::string::npos; }));
  EXPECT_THAT(daemon_->log(), HasSubstr("tls_files_refused"));
  EXPECT_TRUE(GrpcShows(first.certificate));
  EXPECT_TRUE(HttpShows(first.certificate));
  Install(second);
  EXPECT_TRUE(Eventually([&] { return GrpcShows(second.certificate); })) << "and is soon forgotten";
}

// What nobody may find in anything that the daemon writes.
constexpr char kToken[] = "alice-token-fT6y";
constexpr char kAdminToken[] = "admin-token-9sKd";
constexpr char kExpiredToken[] = "expired-token-hW4";
constexpr char kWrongToken[] = "wrong-token-xB2n";
constexpr char kPassword[] = "redis-password-Lq8";
constexpr char kPrompt[] = "zanzibar";

TEST(Secrets, AreInNothingThatTheDaemonWrites) {
  const TempDir dir;
  const Pair pair = MakePair(dir, "a");
  std::vector<std::string> flags = {
      "--tls-cert",
      pair.certificate,
      "--tls-key",
      pair.key,
      "--log-level",
      "debug",
      "--token-file",
      dir.Write("tokens", absl::StrCat(kToken, " alice\n", kAdminToken, " ops admin\n",
                                       kExpiredToken, " alice expires=2001-01-01T00:00:00Z\n"))};
  std::unique_ptr<RedisProcess> redis;
  if (RedisProcess::Installed()) {
    redis = RedisProcess::Start({"--requirepass", kPassword});
  } else {
    std::printf("Without Redis and its password: %s\n", RedisProcess::kNotInstalled);
  }
  // Where there is none the daemon has something to complain of, which is worth a look, too.
  const std::string url = redis != nullptr ? redis->UrlOf("default", kPassword)
                                           : absl::StrCat("redis://:", kPassword, "@127.0.0.1:1");
  flags.insert(flags.end(), {"--shared-store", "@" + dir.Write("url", url + "\n")});
  const auto daemon = Daemon::Start(DaemonOptions{flags, ""});
  ASSERT_NE(daemon, nullptr);
  int number = 0;
  for (const char* token : {kToken, kAdminToken, kExpiredToken, kWrongToken}) {
    const auto client = daemon->Connect(
        {.tls = true,
         .ca_file = pair.certificate,
         .token_file = dir.Write(absl::StrCat("token", ++number), absl::StrCat(token, "\n"))});
    client->ListModels();
    client->GetStats();
    RunTurn(*client, GreedyRequest(kPrompt, 2));
    client->GetSession("0123456789abcdef0123456789abcdef");
    client->GetSession(token);
    v1::GenerateRequest bad = GreedyRequest(kPrompt, 2);
    bad.mutable_sampling()->set_temperature(-1);
    RunTurn(*client, bad);
    for (const std::string& request :
         {absl::StrCat("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ",
                       token, "\r\nConnection: close\r\n\r\n"),
          absl::StrCat("GET /v1/models/", token, " HTTP/1.1\r\nHost: localhost\r\n",
                       "Authorization: Basic ", token, "\r\nConnection: close\r\n\r\n"),
          absl::StrCat("NONSENSE ", token, "\r\n\r\n")}) {
      Process::Options input;
      input.input = request;
      RunProgram({"openssl", "s_client", "-connect", daemon->http(), "-quiet", "-no_ign_eof"},
                 input);
    }
  }
  const std::string key = ReadFile(pair.key);
  // Files that are refused are not quoted.
  dir.Write("tokens", absl::StrCat(kToken, " alice nonsense\n"));
  EXPECT_TRUE(
      Eventually([&] { return daemon->log().find("token_file_refused") != std::string::npos; }));
  std::filesystem::copy_file(pair.certificate, pair.key,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(
      Eventually([&] { return daemon->log().find("tls_files_refused") != std::string::npos; }));
  ASSERT_EQ(daemon->Stop(), std::optional<int>(0));
  const std::string all = daemon->log() + daemon->process().output();
  EXPECT_THAT(all, HasSubstr("credential_refused"));
  for (const char* secret : {kToken, kAdminToken, kExpiredToken, kWrongToken, kPassword, kPrompt}) {
    // Nor the beginning of one.
    const std::string prefix = std::string(secret).substr(0, std::string(secret).size() - 3);
    EXPECT_EQ(all.find(prefix), std::string::npos) << prefix;
  }
  for (const absl::string_view line : absl::StrSplit(key, '\n', absl::SkipEmpty())) {
    EXPECT_EQ(all.find(std::string(line)), std::string::npos) << "a line of the key";
  }
}

TEST(Secrets, AnExpiredTokenIsToldSoAndAHashedOneWorks) {
  const TempDir dir;
  const std::string hash =
      RunProgram({"sh", "-c", "printf %s hashed-token-1 | sha256sum"}).output.substr(0, 64);
  const auto daemon = Daemon::Start(
      {"--token-file", dir.Write("tokens", absl::StrCat("sha256:", hash, " alice\n", kExpiredToken,
                                                        " bob expires=2001-01-01T00:00:00Z\n"))});
  ASSERT_NE(daemon, nullptr);
  const auto as = [&](const std::string& token) {
    return daemon->Connect({.token_file = dir.Write("token_of_" + token, token + "\n")})
        ->ListModels();
  };
  EXPECT_TRUE(as("hashed-token-1").ok());
  const auto expired = as(kExpiredToken);
  ASSERT_FALSE(expired.ok());
  EXPECT_EQ(expired.error().code, StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(expired.error().message, HasSubstr("has expired"));
}

TEST(TenantLimits, OfTheTokenFileHoldForTokensAMinute) {
  const TempDir dir;
  const auto daemon = Daemon::Start(
      {"--token-file", dir.Write("tokens", "alice-token-fT6y alice tokens-per-minute=30\n"),
       "--max-tenant-rate", "1000"});
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect({.token_file = dir.Write("token", "alice-token-fT6y\n")});
  EXPECT_FALSE(RunTurn(*client, GreedyRequest("Once", 60)).error) << "what began goes on";
  const Turn refused = RunTurn(*client, GreedyRequest("Once", 1));
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.error->reason, "TOKEN_RATE");
  EXPECT_TRUE(client->ListModels().ok()) << "what computes nothing is free";
}

}  // namespace
}  // namespace ssmd::test
