// Two tenants at each other's things, by dice: sessions, checkpoints, request ids, page tokens,
// parents, exports, stored answers, by gRPC and HTTP. Nobody gets at anything, and whether an id is
// somebody else's or nobody's cannot be told: each attempt is made twice, with an id of the other
// tenant and with one that there is not, and the answers are the same to the byte but for the id.
//
// How long the two take is printed and not judged: a busy machine would. SSMD_CROSS_TENANT_CALLS
// and SSMD_CROSS_TENANT_SEED choose more and others; what fails says its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/grpc/call.h"
#include "ssmd/v1/generation.pb.h"
#include "ssmd/v1/memory.pb.h"
#include "ssmd/v1/session.pb.h"
#include "tests/support/temp_folder.h"
#include "tests/trust/trust_daemon.h"

namespace ssmd::trust {
namespace {

constexpr int kNotFound = grpc::StatusCode::NOT_FOUND;
constexpr int kCallsPreset = 6000;
constexpr size_t kSessionsEach = 24;
constexpr int kOwnPercent = 8;  // of the calls, to have something to get at

int64_t FromEnvironment(const char* name, int64_t preset) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : preset;
}

struct Tenant {
  std::vector<std::string> authorization;
  std::map<std::string, uint64_t> sessions;  // its own, and their revisions
  std::vector<std::string> gone;             // that were its own
};

// An attempt at a session that is not the caller's.
struct Attempt {
  std::string kind;                                     // for the times
  std::function<std::string(const std::string&)> make;  // all of the answer, for the id
};

class CrossTenantTest : public ::testing::Test {
 protected:
  CrossTenantTest()
      : seed_(FromEnvironment("SSMD_CROSS_TENANT_SEED", 1)),
        dice_(static_cast<std::mt19937_64::result_type>(seed_)) {
    server::Options options;
    options.token_file = folder_.Write("tokens", "token-of-ann ann\ntoken-of-bob bob\n");
    options.engine.state_slots = 256;
    options.engine.max_transfers = 256;  // an answer may come before its place is free again
    daemon_ = std::make_unique<TrustDaemon>(absl::StrCat(SSMD_DEPLOY, "/models/tales-2m"), options,
                                            server::LogLevel::kError);
    http_ = std::make_unique<HttpCaller>(daemon_->daemon().http_address());
    tenants_[0].authorization = {"Bearer token-of-ann"};
    tenants_[1].authorization = {"Bearer token-of-bob"};
  }

  int Pick(int low, int high) { return low + static_cast<int>(dice_() % (high - low + 1)); }
  bool Chance(int percent) { return Pick(1, 100) <= percent; }
  const std::string& Of(const std::map<std::string, uint64_t>& sessions) {
    return std::next(sessions.begin(), Pick(0, static_cast<int>(sessions.size()) - 1))->first;
  }
  // Like an id, and nobody's; or one that was somebody's.
  std::string AbsentId(const Tenant& other) {
    if (!other.gone.empty() && Chance(30)) {
      return other.gone[static_cast<size_t>(Pick(0, static_cast<int>(other.gone.size()) - 1))];
    }
    std::string id = Of(other.sessions);
    do {
      id[static_cast<size_t>(Pick(0, static_cast<int>(id.size()) - 1))] =
          "0123456789abcdef"[Pick(0, 15)];
    } while (tenants_[0].sessions.count(id) + tenants_[1].sessions.count(id) > 0);
    return id;
  }

  template <typename Request>
  GrpcAnswer Call(const Tenant& tenant, const char* method, const Request& request) {
    ++calls_;
    return CallGrpc(daemon_->channel(), absl::StrCat("/ssmd.v1.", method),
                    request.SerializeAsString(), tenant.authorization);
  }

  // --- What tenants do with their own ---
  void MakeSession(Tenant* tenant) {
    const GrpcAnswer answer =
        Call(*tenant, "SessionService/CreateSession", v1::CreateSessionRequest());
    v1::CreateSessionResponse response;
    ASSERT_TRUE(answer.code == 0 && response.ParseFromString(answer.responses.at(0)))
        << answer.message;
    tenant->sessions[response.session().session_id()] = response.session().revision();
    TakeTurn(tenant, response.session().session_id());
  }
  void TakeTurn(Tenant* tenant, const std::string& id) {
    v1::GenerateRequest turn;
    turn.set_session_id(id);
    turn.set_text("a");
    turn.set_max_tokens(1);
    // Of the same few for both: whose they are is all that tells them apart.
    turn.set_request_id(absl::StrCat("request-", id, "-", ++turns_));
    if (Chance(50)) shared_requests_.push_back(turn.request_id());
    const GrpcAnswer answer = Call(*tenant, "GenerationService/Generate", turn);
    ASSERT_EQ(answer.code, 0) << answer.message;
    Refresh(tenant, id);
  }
  void Refresh(Tenant* tenant, const std::string& id) {
    v1::GetSessionRequest request;
    request.set_session_id(id);
    const GrpcAnswer answer = Call(*tenant, "SessionService/GetSession", request);
    v1::GetSessionResponse response;
    ASSERT_TRUE(answer.code == 0 && response.ParseFromString(answer.responses.at(0)))
        << answer.message;
    tenant->sessions[id] = response.session().revision();
  }
  void DoOwn(Tenant* tenant) {
    if (tenant->sessions.size() < kSessionsEach) {
      MakeSession(tenant);
      return;
    }
    const std::string id = Of(tenant->sessions);
    switch (Pick(0, 2)) {
      case 0:
        TakeTurn(tenant, id);
        return;
      case 1: {
        v1::CheckpointSessionRequest request;
        request.set_session_id(id);
        request.set_name("checkpoint");
        Call(*tenant, "SessionService/CheckpointSession", request);
        Refresh(tenant, id);
        return;
      }
      default: {
        v1::DeleteSessionRequest request;
        request.set_session_id(id);
        ASSERT_EQ(Call(*tenant, "SessionService/DeleteSession", request).code, 0);
        tenant->sessions.erase(id);
        tenant->gone.push_back(id);
      }
    }
  }

  // --- What they do with the other's ---
  // All of an answer, but for what names the call itself.
  static std::string Shown(const GrpcAnswer& answer) {
    std::string text = absl::StrCat(answer.code, "\n", answer.message, "\n", answer.details, "\n");
    for (const auto& [name, value] : answer.metadata) {
      absl::StrAppend(&text, name, "=", name == server::kRequestIdKey ? "…" : value, "\n");
    }
    return absl::StrCat(text, absl::StrJoin(answer.responses, "\n"));
  }
  static std::string Shown(const HttpReply& reply) {
    std::string text = absl::StrCat(reply.status, "\n");
    for (const auto& [name, value] : reply.headers) {
      absl::StrAppend(&text, name, "=", name == "x-request-id" ? "…" : value, "\n");
    }
    return absl::StrCat(text, reply.body);
  }
  template <typename Request>
  Attempt ByGrpc(const Tenant& tenant, const char* method, Request request,
                 void (*name)(Request*, const std::string& id)) {
    return {method, [this, &tenant, method, request, name](const std::string& id) {
              Request named = request;
              name(&named, id);
              return Shown(Call(tenant, method, named));
            }};
  }
  Attempt ByHttp(const Tenant& tenant, const char* method, const char* target, const char* body) {
    return {
        absl::StrCat(method, " ", target),
        [this, &tenant, method, target, body](const std::string& id) {
          ++calls_;
          return Shown(http_->Ask(method, absl::StrReplaceAll(target, {{"$S", id}}),
                                  *body == 0 ? "" : "application/json",
                                  absl::StrReplaceAll(body, {{"$S", id}}), tenant.authorization));
        }};
  }
  Attempt GrpcAttempt(const Tenant& tenant);
  Attempt HttpAttempt(const Tenant& tenant);

  // Makes an attempt, and takes its time.
  std::string Try(const Attempt& attempt, const std::string& id, std::vector<double>* times) {
    const auto began = std::chrono::steady_clock::now();
    const std::string answer = attempt.make(id);
    times->push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began)
            .count());
    return absl::StrReplaceAll(answer, {{id, "$S"}});
  }
  void TryOthers(const Tenant& tenant, const Tenant& other) {
    const Attempt attempt = Chance(60) ? GrpcAttempt(tenant) : HttpAttempt(tenant);
    const std::string foreign_id = Of(other.sessions);
    const std::string absent_id = AbsentId(other);
    auto& [foreign_times, absent_times] = times_[attempt.kind];
    std::string foreign;
    std::string absent;
    const bool foreign_first = Chance(50);
    if (foreign_first) foreign = Try(attempt, foreign_id, &foreign_times);
    absent = Try(attempt, absent_id, &absent_times);
    if (!foreign_first) foreign = Try(attempt, foreign_id, &foreign_times);
    ASSERT_EQ(foreign, absent) << attempt.kind << ", seed " << seed_;
    // Lists are empty; all else is not found, and not wrong in some other way.
    const bool listed =
        absl::StrContains(attempt.kind, "List") || absl::StrContains(attempt.kind, "parent_id");
    const bool found = !absl::StartsWith(foreign, absl::StrCat(kNotFound, "\n")) &&
                       !absl::StartsWith(foreign, "404\n");
    ASSERT_EQ(found, listed) << attempt.kind << ": " << foreign;
    ASSERT_FALSE(absl::StrContains(foreign, "token-of")) << foreign;
  }

  // From a page token of the other's, the caller's own sessions go on.
  void ListFrom(const Tenant& tenant, const std::string& token) {
    v1::ListSessionsRequest request;
    request.set_page_token(token);
    request.set_page_size(1000);
    const GrpcAnswer answer = Call(tenant, "SessionService/ListSessions", request);
    v1::ListSessionsResponse response;
    ASSERT_TRUE(answer.code == 0 && response.ParseFromString(answer.responses.at(0)))
        << answer.message;
    std::set<std::string> listed;
    for (const v1::Session& session : response.sessions()) listed.insert(session.session_id());
    std::set<std::string> own;
    for (auto it = tenant.sessions.upper_bound(token); it != tenant.sessions.end(); ++it) {
      own.insert(it->first);
    }
    ASSERT_EQ(listed, own) << "seed " << seed_;
  }
  // A request id that the other has used is a new one here.
  void ReuseRequestId(Tenant* tenant) {
    const std::string id = Of(tenant->sessions);
    v1::GenerateRequest turn;
    turn.set_session_id(id);
    turn.set_text("b");
    turn.set_max_tokens(1);
    turn.set_request_id(shared_requests_[static_cast<size_t>(
        Pick(0, static_cast<int>(shared_requests_.size()) - 1))]);
    if (absl::StrContains(turn.request_id(), id)) return;  // its own
    const uint64_t before = tenant->sessions.at(id);
    const GrpcAnswer answer = Call(*tenant, "GenerationService/Generate", turn);
    Refresh(tenant, id);
    // Once a turn of this session has had it, it is known here, for another request.
    const std::string used = absl::StrCat(id, " ", turn.request_id());
    if (reused_.insert(used).second) {
      ASSERT_EQ(answer.code, 0) << answer.message;
      ASSERT_GT(tenant->sessions.at(id), before) << "a turn was taken";
    }
  }

  void PrintTimes() {
    std::printf("%-46s %9s %12s %12s\n", "median, microseconds", "attempts", "foreign", "absent");
    for (auto& [kind, times] : times_) {
      const auto median = [](std::vector<double>* all) {
        std::nth_element(all->begin(), all->begin() + all->size() / 2, all->end());
        return (*all)[all->size() / 2];
      };
      std::printf("%-46s %9zu %12.1f %12.1f\n", kind.c_str(), times.first.size(),
                  median(&times.first), median(&times.second));
    }
  }

  const int64_t seed_;
  std::mt19937_64 dice_;
  const testing::TempFolder folder_;
  std::unique_ptr<TrustDaemon> daemon_;
  std::unique_ptr<HttpCaller> http_;
  Tenant tenants_[2];
  std::vector<std::string> shared_requests_;
  std::set<std::string> reused_;
  int64_t calls_ = 0;
  int turns_ = 0;
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> times_;
};

Attempt CrossTenantTest::GrpcAttempt(const Tenant& tenant) {
  switch (Pick(0, 9)) {
    case 0:
      return ByGrpc<v1::GetSessionRequest>(
          tenant, "SessionService/GetSession", {},
          [](auto* request, const std::string& id) { request->set_session_id(id); });
    case 1: {
      v1::DeleteSessionRequest request;
      if (Chance(30)) request.set_expected_revision(static_cast<uint64_t>(Pick(0, 4)));
      return ByGrpc<v1::DeleteSessionRequest>(
          tenant, "SessionService/DeleteSession", request,
          [](auto* named, const std::string& id) { named->set_session_id(id); });
    }
    case 2: {
      v1::ForkSessionRequest request;
      if (Chance(30)) request.set_checkpoint("checkpoint");
      if (Chance(30)) request.set_position(1);
      return ByGrpc<v1::ForkSessionRequest>(
          tenant, "SessionService/ForkSession", request,
          [](auto* named, const std::string& id) { named->set_session_id(id); });
    }
    case 3: {
      v1::RewindSessionRequest request;
      request.set_turns(1);
      if (Chance(50)) request.set_checkpoint("checkpoint");
      return ByGrpc<v1::RewindSessionRequest>(
          tenant, "SessionService/RewindSession", request,
          [](auto* named, const std::string& id) { named->set_session_id(id); });
    }
    case 4: {
      v1::CheckpointSessionRequest request;
      request.set_name("checkpoint");
      request.set_remove(Chance(50));
      return ByGrpc<v1::CheckpointSessionRequest>(
          tenant, "SessionService/CheckpointSession", request,
          [](auto* named, const std::string& id) { named->set_session_id(id); });
    }
    case 5: {
      v1::ExportSessionRequest request;
      if (Chance(50)) request.set_checkpoint("checkpoint");
      return ByGrpc<v1::ExportSessionRequest>(
          tenant, "SessionService/ExportSession", request,
          [](auto* named, const std::string& id) { named->set_session_id(id); });
    }
    case 6:
      return ByGrpc<v1::CreateSessionRequest>(tenant, "SessionService/CreateSession", {},
                                              [](auto* request, const std::string& id) {
                                                request->mutable_fork()->set_session_id(id);
                                              });
    case 7: {
      v1::GenerateRequest request;
      request.set_text("a");
      request.set_max_tokens(1);
      if (Chance(50) && !shared_requests_.empty()) request.set_request_id(shared_requests_.back());
      return ByGrpc<v1::GenerateRequest>(
          tenant, "GenerationService/Generate", request,
          [](auto* named, const std::string& id) { named->set_session_id(id); });
    }
    case 8:
      return ByGrpc<v1::MemoryRequest>(tenant, "MemoryService/Memory", {},
                                       [](auto* request, const std::string& id) {
                                         request->mutable_open()->set_session_id(id);
                                       });
    default:
      return ByGrpc<v1::ListSessionsRequest>(
          tenant, "SessionService/ListSessions", {},
          [](auto* request, const std::string& id) { request->set_parent_id(id); });
  }
}

Attempt CrossTenantTest::HttpAttempt(const Tenant& tenant) {
  static constexpr struct {
    const char* method;
    const char* target;
    const char* body;
  } kAttempts[] = {
      {"GET", "/v1/sessions/$S", ""},
      {"DELETE", "/v1/sessions/$S", ""},
      {"GET", "/v1/sessions/$S/export", ""},
      {"GET", "/v1/sessions?parent_id=$S", ""},
      {"POST", "/v1/sessions/$S/fork", R"({"count": 2})"},
      {"POST", "/v1/sessions/$S/rewind", R"({"turns": 1})"},
      {"POST", "/v1/sessions/$S/checkpoint", R"({"name": "checkpoint"})"},
      {"DELETE", "/v1/responses/resp_$S-1", ""},
      {"DELETE", "/v1/chat/completions/chatcmpl-$S-1", ""},
      {"POST", "/v1/completions",
       R"({"prompt": "a", "max_tokens": 1, "ssmd": {"session_id": "$S"}})"},
      {"POST", "/v1/chat/completions",
       R"({"messages": [{"role": "user", "content": "a"}], "max_tokens": 1,
           "ssmd": {"session_id": "$S"}})"},
      {"POST", "/v1/responses",
       R"({"input": "a", "max_output_tokens": 1, "previous_response_id": "resp_$S-1"})"},
  };
  const auto& chosen = kAttempts[static_cast<size_t>(Pick(0, std::size(kAttempts) - 1))];
  return ByHttp(tenant, chosen.method, chosen.target, chosen.body);
}

TEST_F(CrossTenantTest, NobodyGetsAtAnythingNorLearnsThatItIsThere) {
  for (Tenant& tenant : tenants_) {
    for (size_t i = 0; i < kSessionsEach / 2; ++i) ASSERT_NO_FATAL_FAILURE(MakeSession(&tenant));
  }
  const int64_t most = FromEnvironment("SSMD_CROSS_TENANT_CALLS", kCallsPreset);
  while (calls_ < most) {
    const bool which = Chance(50);
    Tenant& tenant = tenants_[which ? 0 : 1];
    Tenant& other = tenants_[which ? 1 : 0];
    if (Chance(kOwnPercent)) {
      ASSERT_NO_FATAL_FAILURE(DoOwn(&tenant));
    } else if (Chance(3)) {
      ASSERT_NO_FATAL_FAILURE(ListFrom(tenant, Of(other.sessions)));
    } else if (Chance(2) && !shared_requests_.empty()) {
      ASSERT_NO_FATAL_FAILURE(ReuseRequestId(&tenant));
    } else {
      ASSERT_NO_FATAL_FAILURE(TryOthers(tenant, other));
    }
  }
  // Nothing of all that has left a trace: each has its own, as it left them.
  for (Tenant& tenant : tenants_) {
    ASSERT_NO_FATAL_FAILURE(ListFrom(tenant, ""));
    for (const auto& [id, revision] : std::map(tenant.sessions)) {
      ASSERT_NO_FATAL_FAILURE(Refresh(&tenant, id));
      EXPECT_EQ(tenant.sessions.at(id), revision) << id << ", seed " << seed_;
    }
  }
  std::printf("%lld calls, seed %lld: 0 hits\n", static_cast<long long>(calls_),
              static_cast<long long>(seed_));
  PrintTimes();
}

}  // namespace
}  // namespace ssmd::trust
