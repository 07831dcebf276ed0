// Tokens that expire or are hashes, rates of tenants, the audit of refused credentials, and
// certificates that change.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "engine/base/errors.h"
#include "server/access/certificates.h"
#include "server/access/refusal_audit.h"
#include "server/access/tenant_rates.h"
#include "server/telemetry/engine_observer.h"
#include "ssmd/v1/model.grpc.pb.h"
#include "ssmd/v1/rpc_status.pb.h"
#include "ssmd/v1/session.grpc.pb.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tls_files.h"
#include "tests/unit/server/raw_connection.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::MakeTlsFiles;
using ::testing::Not;
using ::testing::StartsWith;

// --- Tokens ---

TEST(Tokens, ExpireAtTheirMomentAndSaySo) {
  const testing::TempFolder folder;
  const std::string path =
      folder.Write("tokens", "token-one ann expires=2027-01-31T01:00:00+01:00\ntoken-two bob\n");
  WallTime now = std::chrono::system_clock::from_time_t(1801353600) - milliseconds(1);
  const auto tenants = *Tenants::Open(path, [&now] { return now; });
  EXPECT_EQ(tenants->Authenticate("Bearer token-one", true)->tenant, "ann");
  now += milliseconds(1);
  CredentialFault fault{};
  const auto late = tenants->Authenticate("Bearer token-one", true, &fault);
  ASSERT_FALSE(late.ok());
  EXPECT_TRUE(absl::IsUnauthenticated(late.status()));
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("has expired"));
  EXPECT_EQ(fault, CredentialFault::kExpired);
  EXPECT_TRUE(tenants->Authenticate("Bearer token-two", true).ok()) << "has no end";
}

TEST(Tokens, MayBeGivenAsHashes) {
  const std::string hex =  // printf %s token-one | sha256sum
      "75c5c10f256c75b650c6ffc2e83c6588af02766efd2de28f4de34547006e8d1a";
  const testing::TempFolder folder;
  for (const std::string& written : {hex, absl::AsciiStrToUpper(hex)}) {
    const auto tenants = *Tenants::Open(folder.Write("tokens", "sha256:" + written + " ann\n"));
    EXPECT_EQ(tenants->Authenticate("Bearer token-one", true)->tenant, "ann");
    EXPECT_FALSE(tenants->Authenticate("Bearer sha256:" + written, true).ok())
        << "who reads the file cannot call";
  }
  EXPECT_FALSE(ParseTokenFile("sha256:" + hex + " ann\ntoken-one bob\n").ok()) << "the same twice";
}

TEST(Tokens, TellWhatIsWrongWithThem) {
  const testing::TempFolder folder;
  const auto tenants = *Tenants::Open(folder.Write("tokens", "token-one ann\n"));
  const struct {
    std::optional<std::string_view> authorization;
    CredentialFault fault;
  } kRows[] = {{std::nullopt, CredentialFault::kNone},
               {"", CredentialFault::kMalformed},
               {"Basic token-one", CredentialFault::kMalformed},
               {"Bearer token-on", CredentialFault::kUnknown}};
  for (const auto& row : kRows) {
    CredentialFault fault{};
    EXPECT_FALSE(tenants->Authenticate(row.authorization, true, &fault).ok());
    EXPECT_EQ(fault, row.fault);
  }
}

// --- Rates ---

Caller CallerOf(const std::string& tenant, TenantLimits limits = {}) {
  return Caller{tenant, false, limits};
}

milliseconds DelayOf(const absl::Status& status) {
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  return RetryAfterOf(status).value_or(milliseconds(-1));
}

TEST(TenantRates, WithoutALimitThereIsNone) {
  FakeClock clock;
  TenantRates rates({}, &clock);
  rates.CountTokens("ann", 1 << 30);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(rates.TakeCall(CallerOf("ann")).ok());
    ASSERT_TRUE(rates.CheckTokens(CallerOf("ann")).ok());
  }
}

TEST(TenantRates, CallsComeAtTheirRateAndASecondsWorthAtOnce) {
  FakeClock clock;
  TenantRates rates({10, 0}, &clock);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(rates.TakeCall(CallerOf("ann")).ok()) << i;
  const absl::Status refused = rates.TakeCall(CallerOf("ann"));
  EXPECT_EQ(ReasonOf(refused), "CALL_RATE");
  EXPECT_EQ(DelayOf(refused), milliseconds(100));
  EXPECT_TRUE(rates.TakeCall(CallerOf("bob")).ok()) << "each has its own";
  clock.Advance(milliseconds(99));
  EXPECT_FALSE(rates.TakeCall(CallerOf("ann")).ok());
  clock.Advance(milliseconds(1));
  EXPECT_TRUE(rates.TakeCall(CallerOf("ann")).ok()) << "as the delay said";
  // A refused call costs nothing: the rate is what gets through.
  int taken = 0;
  for (int ms = 0; ms < 10000; ++ms) {
    clock.Advance(milliseconds(1));
    taken += rates.TakeCall(CallerOf("ann")).ok() ? 1 : 0;
  }
  EXPECT_NEAR(taken, 100, 1);
}

TEST(TenantRates, AFileSaysOtherwiseForATenantAndMayChange) {
  FakeClock clock;
  TenantRates rates({1, 0}, &clock);
  const Caller quick = CallerOf("ann", {0.0, {}});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(rates.TakeCall(quick).ok());
  const Caller slow = CallerOf("bob", {0.5, {}});
  EXPECT_TRUE(rates.TakeCall(slow).ok());
  EXPECT_EQ(DelayOf(rates.TakeCall(slow)), milliseconds(2000));
  EXPECT_EQ(DelayOf(rates.TakeCall(CallerOf("bob", {4.0, {}}))), milliseconds(250));
}

TEST(TenantRates, TokensOfAMinuteAreCountedWhenTheyAreKnown) {
  FakeClock clock;
  TenantRates rates({0, 600}, &clock);
  const Caller ann = CallerOf("ann");
  ASSERT_TRUE(rates.CheckTokens(ann).ok());
  rates.CountTokens("ann", 599);
  ASSERT_TRUE(rates.CheckTokens(ann).ok()) << "one is left";
  rates.CountTokens("ann", 101);  // what was under way went on: 100 too many
  const absl::Status refused = rates.CheckTokens(ann);
  EXPECT_EQ(ReasonOf(refused), "TOKEN_RATE");
  EXPECT_EQ(DelayOf(refused), milliseconds(10100)) << "ten come a second";
  clock.Advance(milliseconds(10099));
  EXPECT_FALSE(rates.CheckTokens(ann).ok());
  clock.Advance(milliseconds(1));
  EXPECT_TRUE(rates.CheckTokens(ann).ok());
  clock.Advance(std::chrono::hours(1));
  EXPECT_TRUE(rates.CheckTokens(ann).ok());
  rates.CountTokens("ann", 600);
  EXPECT_FALSE(rates.CheckTokens(ann).ok()) << "no more than a minute's worth is saved up";
}

TEST(TenantRates, ARequestCountsWhatItReadAndGenerated) {
  FakeClock clock;
  TenantRates rates({0, 60}, &clock);
  std::ostringstream text;
  Log log(LogLevel::kInfo, LogFormat::kText,
          std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  Metrics metrics({"m"});
  EngineObserver observer(&metrics, &log, {}, &rates);
  ASSERT_TRUE(rates.CheckTokens(CallerOf("ann")).ok());
  RequestRecord record;
  record.tenant = std::string("ann");
  record.model = std::string("m");
  record.usage.prompt_tokens = 40;
  record.usage.generated_tokens = 25;
  observer.OnRequestEnd(record);
  EXPECT_EQ(DelayOf(rates.CheckTokens(CallerOf("ann"))), milliseconds(6000));
}

TEST(TenantRates, AreKeptByGrpcAndHttpAlike) {
  const testing::TempFolder folder;
  Options options;
  options.token_file = folder.Write("tokens", "token-one ann rate=2 tokens-per-minute=60\n");
  TestDaemon daemon(options);
  const auto channel = daemon.Channel();
  const auto models = v1::ModelService::NewStub(channel);
  const auto list = [&](grpc::ClientContext* context) {
    context->AddMetadata("authorization", "Bearer token-one");
    v1::ListModelsResponse response;
    return models->ListModels(context, {}, &response);
  };
  const auto get = [&](const char* target) {
    RawConnection connection(daemon);
    connection.Send(
        RequestText(target, "Authorization: Bearer token-one\r\nConnection: close\r\n"));
    return connection.ReadAll();
  };
  grpc::ClientContext first;
  EXPECT_TRUE(list(&first).ok());
  EXPECT_THAT(get("/v1/models"), StartsWith("HTTP/1.1 200 "));
  grpc::ClientContext third;
  const grpc::Status refused = list(&third);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::RpcStatus details;
  ASSERT_TRUE(details.ParseFromString(refused.error_details()));
  ASSERT_EQ(details.details_size(), 2);
  EXPECT_THAT(details.details(1).type_url(), HasSubstr("RetryInfo"));
  const std::string answer = get("/v1/models");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(answer, HasSubstr("\r\nRetry-After: 1\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nRetry-After-Ms: 500\r\n"));
  EXPECT_THAT(answer, HasSubstr("\"call_rate\""));
  EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200 ")) << "who calls is not asked there";

  daemon.rate_clock().Advance(seconds(10));
  ASSERT_TRUE(daemon.rates().CheckTokens(CallerOf("ann", {{}, 60.0})).ok());
  daemon.rates().CountTokens("ann", 100);
  const auto generation = v1::GenerationService::NewStub(channel);
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer token-one");
  v1::GenerateRequest request;
  request.set_text("x");
  const auto reader = generation->Generate(&context, request);
  EXPECT_THAT(reader->Finish().error_message(), HasSubstr("60 tokens a minute"));
  RawConnection connection(daemon);
  connection.Send(
      PostText("/v1/completions", R"({"prompt": "x"})", "Authorization: Bearer token-one\r\n"));
  const std::string completion = connection.ReadAll();
  EXPECT_THAT(completion, StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(completion, HasSubstr("\"token_rate\""));
}

// --- The audit ---

class RefusalAuditTest : public ::testing::Test {
 protected:
  std::string TakeLog() {
    const std::string text = text_.str();
    text_.str("");
    return text;
  }
  static int64_t Lines(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  }
  FakeClock clock_;
  std::ostringstream text_;
  Log log_{LogLevel::kInfo, LogFormat::kText,
           std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)};
  Metrics metrics_{std::vector<std::string>{"m"}};
  RefusalAudit audit_{&log_, &metrics_, &clock_};
};

TEST_F(RefusalAuditTest, SaysWhoWhatAndWhy) {
  audit_.Refused("ipv4:10.0.0.7:4711", "Generate", CredentialFault::kExpired, "");
  EXPECT_THAT(TakeLog(), HasSubstr("warn  credential_refused peer=ipv4:10.0.0.7:4711 "
                                   "what=Generate credential=expired tenant=\"\""));
  EXPECT_THAT(metrics_.Scrape({}, {}, {}),
              HasSubstr("ssmd_refused_credentials_total{credential=\"expired\"} 1\n"));
}

TEST_F(RefusalAuditTest, AFloodIsCountedAndNotLogged) {
  for (int i = 0; i < 100000; ++i) {
    audit_.Refused("ipv4:10.0.0.7:4711", "Generate", CredentialFault::kUnknown, "");
  }
  EXPECT_EQ(Lines(TakeLog()), 50);
  audit_.Tick();
  EXPECT_EQ(TakeLog(), "") << "not even that, for now";
  clock_.Advance(seconds(1));
  audit_.Tick();
  EXPECT_THAT(TakeLog(), HasSubstr("credentials_refused_unlogged calls=99950"));
  audit_.Tick();
  EXPECT_EQ(TakeLog(), "") << "said once";
  EXPECT_THAT(metrics_.Scrape({}, {}, {}),
              HasSubstr("ssmd_refused_credentials_total{credential=\"unknown\"} 100000\n"));
}

// --- Certificates ---

TEST(Certificates, ANewSetTakesThePlaceOfTheOldOneWhole) {
  const testing::TempFolder folder;
  const auto certificates = *Certificates::Open(MakeTlsFiles(folder, "first"));
  const auto first = certificates->Current();
  bool reloaded = true;
  EXPECT_TRUE(certificates->Poll(&reloaded).ok());
  EXPECT_FALSE(reloaded);
  EXPECT_EQ(certificates->Current(), first);
  MakeTlsFiles(folder, "second");
  EXPECT_TRUE(certificates->Poll(&reloaded).ok());
  EXPECT_TRUE(reloaded);
  EXPECT_NE(certificates->Current()->certificate, first->certificate);
  EXPECT_NE(certificates->Current()->key, first->key);
}

TEST(Certificates, WhatDoesNotFitIsRefusedOnceAndTheOldStays) {
  const testing::TempFolder folder;
  const TlsFiles files = MakeTlsFiles(folder, "first");
  const std::string certificate = folder.Read("cert.pem");
  const std::string key = folder.Read("key.pem");
  const auto certificates = *Certificates::Open(files);
  const auto first = certificates->Current();
  const testing::TempFolder other;
  MakeTlsFiles(other, "other");
  const testing::TempFolder expired;
  MakeTlsFiles(expired, "expired", -60);
  const struct {
    std::string certificate, key;
    const char* words;
  } kRows[] = {
      {other.Read("cert.pem"), key, "is not the key of --tls-cert"},
      {certificate.substr(0, 200), key, "is no certificate in PEM"},
      {certificate + certificate.substr(0, 200), key, "is no certificate in PEM"},
      {"", key, "holds no PEM block"},
      {certificate, certificate, "is no private key in PEM"},
      {expired.Read("cert.pem"), expired.Read("key.pem"), "has expired"},
  };
  for (const auto& row : kRows) {
    folder.Write("cert.pem", row.certificate);
    folder.Write("key.pem", row.key);
    bool reloaded = true;
    const absl::Status status = certificates->Poll(&reloaded);
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.words));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("BEGIN")));
    EXPECT_FALSE(reloaded);
    EXPECT_EQ(certificates->Current(), first);
    EXPECT_TRUE(certificates->Poll(&reloaded).ok()) << "reported once";
    EXPECT_FALSE(Certificates::Open(files).ok()) << "and nothing starts with it";
  }
  std::filesystem::remove(files.key);
  bool reloaded = true;
  EXPECT_THAT(std::string(certificates->Poll(&reloaded).message()), HasSubstr("cannot be read"));
  EXPECT_EQ(certificates->Current(), first);
}

}  // namespace
}  // namespace ssmd::server
