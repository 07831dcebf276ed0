// Every gRPC method and every HTTP route × every kind of credential. What is served is asked of the
// daemon itself, so that a new method or route fails here until somebody says who may call it.
//
// A row has a letter for each credential, in the order of kCredentials:
//   U  UNAUTHENTICATED, 401     P  PERMISSION_DENIED, 403
//   N  NOT_FOUND, 404           +  anything else: the call got through to what it is for
// Calls that name a session name one of the tenant `right`, made anew for each cell. Every error is
// looked through for what is nobody's business.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ssmd/v1/admin.pb.h"
#include "ssmd/v1/generation.pb.h"
#include "ssmd/v1/memory.pb.h"
#include "ssmd/v1/model.pb.h"
#include "ssmd/v1/session.pb.h"
#include "tests/support/temp_folder.h"
#include "tests/trust/trust_daemon.h"

namespace ssmd::trust {
namespace {

constexpr char kRightToken[] = "right-token-7Yq2";
constexpr char kOtherToken[] = "other-token-m1Xw";
constexpr char kExpiredToken[] = "expired-token-Zk8";
constexpr char kAdminToken[] = "admin-token-pV53";
constexpr char kWrongToken[] = "wrong-token-5tRb";

struct Credential {
  const char* name;
  std::vector<std::string> authorizations;
};
const std::vector<Credential>& Credentials() {
  static const auto* credentials = new std::vector<Credential>{
      {"none", {}},
      {"of another scheme", {absl::StrCat("Basic ", kRightToken)}},
      {"twice", {absl::StrCat("Bearer ", kRightToken), absl::StrCat("Bearer ", kRightToken)}},
      {"wrong", {absl::StrCat("Bearer ", kWrongToken)}},
      {"expired", {absl::StrCat("Bearer ", kExpiredToken)}},
      {"of another tenant", {absl::StrCat("Bearer ", kOtherToken)}},
      {"right", {absl::StrCat("Bearer ", kRightToken)}},
      {"of an administrator", {absl::StrCat("Bearer ", kAdminToken)}},
  };
  return *credentials;
}

constexpr char kOpen[] = "+++++ +++";    // anyone
constexpr char kCaller[] = "UUUUU +++";  // any tenant
constexpr char kOwner[] = "UUUUU N+N";   // the tenant of the session
constexpr char kAdminsOnly[] = "UUUUU PP+";

constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

struct GrpcRow {
  const char* method;
  const char* request;  // text format; $S: the session
  const char* expected;
};
// Drain comes last: nothing else is served after it.
constexpr GrpcRow kGrpcRows[] = {
    {"/grpc.health.v1.Health/Check", "", kOpen},
    {"/grpc.health.v1.Health/Watch", "", kOpen},
    {kReflection, "list_services: \"\"", kOpen},
    {"/ssmd.v1.GenerationService/Detokenize", "token_ids: 1", kCaller},
    {"/ssmd.v1.GenerationService/Encode", "text: \"a\"", kCaller},
    {"/ssmd.v1.GenerationService/Generate", "text: \"a\" max_tokens: 1 session_id: \"$S\"", kOwner},
    {"/ssmd.v1.GenerationService/Score", "text: \"ab\"", kCaller},
    {"/ssmd.v1.GenerationService/Tokenize", "text: \"a\"", kCaller},
    {"/ssmd.v1.MemoryService/Memory", "open { session_id: \"$S\" }", kOwner},
    {"/ssmd.v1.ModelService/GetModel", "name: \"m\"", kCaller},
    {"/ssmd.v1.ModelService/ListModels", "", kCaller},
    {"/ssmd.v1.SessionService/CheckpointSession", "session_id: \"$S\" name: \"c\"", kOwner},
    {"/ssmd.v1.SessionService/CreateSession", "fork { session_id: \"$S\" }", kOwner},
    {"/ssmd.v1.SessionService/DeleteSession", "session_id: \"$S\"", kOwner},
    {"/ssmd.v1.SessionService/ExportSession", "session_id: \"$S\"", kOwner},
    {"/ssmd.v1.SessionService/ForkSession", "session_id: \"$S\"", kOwner},
    {"/ssmd.v1.SessionService/GetSession", "session_id: \"$S\"", kOwner},
    {"/ssmd.v1.SessionService/ImportSession", "chunk: \"x\"", kCaller},
    {"/ssmd.v1.SessionService/ListSessions", "", kCaller},
    {"/ssmd.v1.SessionService/RewindSession", "session_id: \"$S\" turns: 1", kOwner},
    {"/ssmd.v1.AdminService/GetStats", "", kAdminsOnly},
    {"/ssmd.v1.AdminService/Drain", "", kAdminsOnly},
};

struct HttpRow {
  const char* route;
  const char* id;    // what {id} or {model} becomes; $S: the session
  const char* body;  // $S: the session
  const char* expected;
};
constexpr HttpRow kHttpRows[] = {
    {"DELETE /v1/chat/completions/{id}", "chatcmpl-$S-1", "", kOwner},
    {"DELETE /v1/responses/{id}", "resp_$S-1", "", kOwner},
    {"DELETE /v1/sessions/{id}", "$S", "", kOwner},
    {"GET /healthz", "", "", kOpen},
    {"GET /metrics", "", "", kCaller},  // of a listener that is not on the loopback
    {"GET /openapi.json", "", "", kOpen},
    {"GET /readyz", "", "", kOpen},
    {"GET /v1/models", "", "", kCaller},
    {"GET /v1/models/{model}", "m", "", kCaller},
    {"GET /v1/sessions", "", "", kCaller},
    {"GET /v1/sessions/{id}", "$S", "", kOwner},
    {"GET /v1/sessions/{id}/export", "$S", "", kOwner},
    {"POST /v1/chat/completions", "",
     R"({"messages": [{"role": "user", "content": "a"}], "max_tokens": 1,
         "ssmd": {"session_id": "$S"}})",
     kOwner},
    {"POST /v1/completions", "",
     R"({"prompt": "a", "max_tokens": 1, "ssmd": {"session_id": "$S"}})", kOwner},
    {"POST /v1/responses", "",
     R"({"input": "a", "max_output_tokens": 1, "previous_response_id": "resp_$S-1"})", kOwner},
    {"POST /v1/sessions", "", R"({"text": "a"})", kCaller},
    {"POST /v1/sessions/import", "", "x", kCaller},
    {"POST /v1/sessions/{id}/checkpoint", "$S", R"({"name": "c"})", kOwner},
    {"POST /v1/sessions/{id}/fork", "$S", "{}", kOwner},
    {"POST /v1/sessions/{id}/rewind", "$S", R"({"turns": 1})", kOwner},
};

// The playground's files hold nothing of anyone.
bool IsPlayground(const std::string& route) {
  static const std::regex kFile("GET /([a-z_]+\\.(js|css|svg))?");
  return std::regex_match(route, kFile);
}

char LetterOf(int grpc_code) {
  switch (grpc_code) {
    case grpc::StatusCode::UNAUTHENTICATED:
      return 'U';
    case grpc::StatusCode::PERMISSION_DENIED:
      return 'P';
    case grpc::StatusCode::NOT_FOUND:
      return 'N';
    default:
      return '+';
  }
}

char LetterOfHttp(int status) {
  return status == 401 ? 'U' : status == 403 ? 'P' : status == 404 ? 'N' : '+';
}

class TableTest : public ::testing::Test {
 protected:
  TableTest() {
    server::Options options;
    options.token_file = folder_.Write(
        "tokens", absl::StrCat(kRightToken, " righteous\n", kOtherToken, " otherland\n",
                               kExpiredToken, " righteous expires=2001-02-03T04:05:06Z\n",
                               kAdminToken, " operators admin\n"));
    options.engine.state_slots = 64;
    options.http_listen.host = std::string("0.0.0.0");  // there /metrics want a token
    daemon_ = std::make_unique<TrustDaemon>(kModel, options, server::LogLevel::kDebug);
    http_ = std::make_unique<HttpCaller>(daemon_->daemon().http_address());
  }

  // With a turn behind it, so that all can be asked of it.
  std::string MakeSession() {
    absl::StatusOr<SessionInfo> made = absl::InternalError("not made");
    CreateSessionRequest create;
    create.tenant = std::string("righteous");
    daemon_->engine().CreateSession(
        create, "", [&made](absl::StatusOr<SessionInfo> session) { made = std::move(session); });
    if (!made.ok()) {
      ADD_FAILURE() << made.status();
      return "";
    }
    v1::GenerateRequest turn;
    turn.set_session_id(made->session_id);
    turn.set_text("a");
    turn.set_max_tokens(1);
    const GrpcAnswer answer =
        CallGrpc(daemon_->channel(), "/ssmd.v1.GenerationService/Generate",
                 turn.SerializeAsString(), {absl::StrCat("Bearer ", kRightToken)});
    EXPECT_EQ(answer.code, 0) << answer.message;
    return made->session_id;
  }
  std::string WithSession(const char* text) {
    const bool names_one = std::string(text).find("$S") != std::string::npos;
    return names_one ? absl::StrReplaceAll(text, {{"$S", MakeSession()}}) : text;
  }

  // A credential's column in a row of letters, which has a blank for the eye.
  static char Expected(const char* letters, size_t column) {
    std::string row = letters;
    row.erase(std::remove(row.begin(), row.end(), ' '), row.end());
    EXPECT_EQ(row.size(), Credentials().size());
    return row[column];
  }
  void NoteRefusal(char letter) {
    if (letter == 'U' || letter == 'P') ++refusals_;
  }

  void ExpectNoLeak(const std::string& where, const std::string& text) {
    std::vector<std::string> secrets = {folder_.path(),
                                        kModel,
                                        SSMD_DEPLOY,
                                        daemon_->daemon().grpc_address(),
                                        daemon_->daemon().http_address(),
                                        "righteous",
                                        "otherland",
                                        "operators",
                                        "-token-"};
    char host[256] = "";
    if (gethostname(host, sizeof(host) - 1) == 0 && host[0] != 0) secrets.emplace_back(host);
    for (const std::string& secret : secrets) {
      EXPECT_EQ(text.find(secret), std::string::npos) << where << ": " << secret << " in " << text;
    }
    static const std::regex kInternal(
        "(^|[^A-Za-z0-9_.])/(bin|dev|etc|home|lib|opt|proc|root|run|srv|tmp|usr|var|work)/"
        "|\\.(cc|h|py):?[0-9]*\\b|ssmd::|std::|0x[0-9a-f]{4,}|[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+");
    EXPECT_FALSE(std::regex_search(text, kInternal)) << where << ": " << text;
  }

  const std::string kModel = absl::StrCat(SSMD_DEPLOY, "/models/tales-2m");
  const testing::TempFolder folder_;
  std::unique_ptr<TrustDaemon> daemon_;
  std::unique_ptr<HttpCaller> http_;
  int refusals_ = 0;
};

std::string Serialized(const std::string& method, const std::string& text) {
  const size_t slash = method.rfind('/');
  const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
      method.substr(1, slash - 1));
  if (service == nullptr) return "";  // of health: an empty request
  const auto* type = service->FindMethodByName(method.substr(slash + 1))->input_type();
  google::protobuf::DynamicMessageFactory factory;
  const std::unique_ptr<google::protobuf::Message> message(factory.GetPrototype(type)->New());
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, message.get())) << text;
  return message->SerializeAsString();
}

// "/package.Service/Method" of all that the daemon serves, by its own word.
std::set<std::string> ServedMethods(const std::shared_ptr<grpc::Channel>& channel) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const GrpcAnswer answer =
      CallGrpc(channel, kReflection, Serialized(kReflection, "list_services: \"\""), {});
  // Its messages are within gRPC's library, which has no header for them.
  google::protobuf::DynamicMessageFactory factory;
  const std::unique_ptr<google::protobuf::Message> response(
      factory
          .GetPrototype(
              pool->FindMessageTypeByName("grpc.reflection.v1alpha.ServerReflectionResponse"))
          ->New());
  EXPECT_TRUE(answer.responses.size() == 1 && response->ParseFromString(answer.responses[0]));
  std::string text;
  google::protobuf::TextFormat::PrintToString(*response, &text);
  std::set<std::string> methods;
  const std::regex service_name("name: \"([^\"]+)\"");
  for (std::sregex_iterator it(text.begin(), text.end(), service_name), end; it != end; ++it) {
    const std::string name = (*it)[1];
    if (name == "grpc.health.v1.Health") {  // gRPC's own comes without a descriptor
      methods.insert({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"});
      continue;
    }
    const auto* service = pool->FindServiceByName(name);
    if (service == nullptr) {
      ADD_FAILURE() << name << " is served, and its methods are not known";
      continue;
    }
    for (int i = 0; i < service->method_count(); ++i) {
      methods.insert(absl::StrCat("/", name, "/", service->method(i)->name()));
    }
  }
  EXPECT_GT(methods.size(), 20U);
  return methods;
}

TEST_F(TableTest, EveryMethodAndRouteAndEveryCredential) {
  std::set<std::string> routes;
  for (const auto& route : daemon_->daemon().http_routes()) {
    routes.insert(absl::StrCat(route.method, " ", route.path));
  }
  int playground = 0;
  std::vector<HttpRow> http_rows(std::begin(kHttpRows), std::end(kHttpRows));
  for (const std::string& route : routes) {
    if (!IsPlayground(route)) continue;
    http_rows.push_back({route.c_str(), "", "", kOpen});
    ++playground;
  }
  EXPECT_GT(playground, 10);
  std::set<std::string> in_table;
  for (const HttpRow& row : http_rows) {
    EXPECT_TRUE(in_table.insert(row.route).second) << row.route << " is twice in the table";
    EXPECT_EQ(routes.count(row.route), 1U) << row.route << " is not served any more";
    const std::string method(row.route, std::string(row.route).find(' '));
    for (size_t i = 0; i < Credentials().size(); ++i) {
      const Credential& credential = Credentials()[i];
      const std::string where = absl::StrCat(row.route, ", credential ", credential.name);
      const std::string session = std::string(row.id).find("$S") != std::string::npos ||
                                          std::string(row.body).find("$S") != std::string::npos
                                      ? MakeSession()
                                      : "";
      const auto filled = [&session](std::string text) {
        return absl::StrReplaceAll(text, {{"$S", session}});
      };
      std::string target = std::string(row.route).substr(method.size() + 1);
      target = absl::StrReplaceAll(target, {{"{id}", filled(row.id)}, {"{model}", row.id}});
      const char* type = method != "POST"                  ? ""
                         : target == "/v1/sessions/import" ? "application/octet-stream"
                                                           : "application/json";
      const HttpReply reply =
          http_->Ask(method, target, type, filled(row.body), credential.authorizations);
      EXPECT_LT(reply.status, 500) << where << ": " << reply.body;
      const char expected = Expected(row.expected, i);
      EXPECT_EQ(LetterOfHttp(reply.status), expected)
          << where << ": " << reply.status << " " << reply.body;
      NoteRefusal(LetterOfHttp(reply.status));
      EXPECT_EQ(reply.headers.count("www-authenticate"), expected == 'U' ? 1U : 0U) << where;
      if (reply.status >= 400) ExpectNoLeak(where, reply.body);
    }
  }
  for (const std::string& route : routes) {
    EXPECT_EQ(in_table.count(route), 1U) << route << " is served: say in this table to whom";
  }

  const std::set<std::string> methods = ServedMethods(daemon_->channel());
  for (const GrpcRow& row : kGrpcRows) {
    EXPECT_TRUE(in_table.insert(row.method).second) << row.method << " is twice in the table";
    EXPECT_EQ(methods.count(row.method), 1U) << row.method << " is not served any more";
    for (size_t i = 0; i < Credentials().size(); ++i) {
      const Credential& credential = Credentials()[i];
      const std::string where = absl::StrCat(row.method, ", credential ", credential.name);
      const bool endless = std::string(row.method) == "/grpc.health.v1.Health/Watch";
      const GrpcAnswer answer =
          CallGrpc(daemon_->channel(), row.method, Serialized(row.method, WithSession(row.request)),
                   credential.authorizations, endless);
      EXPECT_NE(answer.code, grpc::StatusCode::UNIMPLEMENTED) << where;
      EXPECT_NE(answer.code, grpc::StatusCode::INTERNAL) << where << ": " << answer.message;
      EXPECT_EQ(LetterOf(answer.code), Expected(row.expected, i))
          << where << ": " << answer.code << " " << answer.message;
      NoteRefusal(LetterOf(answer.code));
      EXPECT_TRUE(LetterOf(answer.code) != 'U' || answer.responses.empty()) << where;
      if (answer.code != 0) ExpectNoLeak(where, answer.message + answer.details);
    }
  }
  for (const std::string& method : methods) {
    EXPECT_EQ(in_table.count(method), 1U) << method << " is served: say in this table to whom";
  }

  // Each refusal was counted, and none of what was presented is in the log.
  int counted = 0;
  const std::string metrics = daemon_->Scrape();
  const std::regex count("ssmd_refused_credentials_total\\{[^}]*\\} ([0-9]+)");
  for (std::sregex_iterator it(metrics.begin(), metrics.end(), count), end; it != end; ++it) {
    counted += std::stoi((*it)[1]);
  }
  EXPECT_GT(refusals_, 100);
  EXPECT_EQ(counted, refusals_);
  const std::string log = daemon_->LogSoFar();
  EXPECT_THAT(log, ::testing::HasSubstr("credential_refused peer=127.0.0.1:"));
  EXPECT_THAT(log, ::testing::HasSubstr("credential=expired"));
  EXPECT_EQ(log.find("-token-"), std::string::npos);
}

}  // namespace
}  // namespace ssmd::trust
