#include "clients/bench/open_server.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "clients/bench/grpc_endpoint.h"
#include "clients/bench/http_client.h"
#include "clients/cpp/client.h"

namespace ssmd::bench {
namespace {

constexpr auto kFirstCallTimeout = std::chrono::seconds(10);
constexpr size_t kModelsShown = 10;

client::Error WithServer(const std::string& server, client::Error error, const std::string& hint) {
  error.message = server + ": " + error.message + hint;
  return error;
}

// The model to ask: the one that was named, or the only one.
client::Result<std::string> Chosen(const std::string& wanted, std::vector<std::string> names) {
  if (wanted.empty() && names.size() == 1) return names[0];
  if (!wanted.empty() && std::find(names.begin(), names.end(), wanted) != names.end()) {
    return wanted;
  }
  if (names.empty()) return wanted;  // a server that lists none knows what it does
  const size_t left_out = names.size() - std::min(names.size(), kModelsShown);
  names.resize(names.size() - left_out);
  const std::string list = absl::StrJoin(names, ", ") + (left_out > 0 ? ", …" : "");
  const std::string what = wanted.empty() ? "it serves several models" : "it has no such model";
  return client::Error{grpc::StatusCode::NOT_FOUND, what + ": name one of " + list, "",
                       std::nullopt};
}

client::Result<OpenedServer> OpenGrpc(EventLoop* loop, const ServerOptions& server,
                                      AskOptions ask) {
  auto connection = client::Connect(server.connect);
  if (!connection.ok()) return connection.error();
  client::Client first(connection.value());
  auto models = first.ListModels({.timeout = kFirstCallTimeout, .cancel = {}});
  if (!models.ok()) {
    return WithServer(server.connect.server, models.error(),
                      models.error().code == grpc::StatusCode::UNAVAILABLE
                          ? ": is the daemon running, and is this its gRPC address? "
                            "http://HOST:PORT is for HTTP"
                          : "");
  }
  std::vector<std::string> names;
  for (const v1::Model& model : models.value()) names.push_back(model.name());
  auto model = Chosen(server.model, std::move(names));
  if (!model.ok()) return WithServer(server.connect.server, model.error(), "");
  ask.model = model.value();
  OpenedServer opened;
  opened.protocol = "grpc";
  opened.endpoint = std::make_unique<GrpcEndpoint>(loop, connection.value(), std::move(ask));
  return opened;
}

// Where tokens are found and whereto they may be sent in plaintext is as it is over gRPC; nothing
// is connected by asking for that.
client::Result<std::string> TokenFor(const ServerOptions& server, const HttpAddress& address) {
  if (server.connect.token_file.empty() && !server.token_of_environment) return std::string();
  auto connection =
      client::Connect({.server = address.authority(), .token_file = server.connect.token_file});
  if (!connection.ok()) return connection.error();
  return connection.value().token;
}

client::Result<OpenedServer> OpenHttp(EventLoop* loop, const ServerOptions& server, AskOptions ask,
                                      std::optional<History> history) {
  const std::string& name = server.connect.server;
  auto address = HttpAddress::Parse(name);
  if (!address.ok()) return address.error();
  auto token = TokenFor(server, address.value());
  if (!token.ok()) return token.error();
  auto http = HttpClient::Create(loop, address.value(), token.value());
  if (!http.ok()) return http.error();

  OpenedServer opened;
  opened.http = std::move(http).value();
  auto models = ListHttpModels(loop, opened.http.get());
  if (!models.ok() && models.error().code != grpc::StatusCode::UNIMPLEMENTED) {
    return WithServer(name, models.error(),
                      models.error().code == grpc::StatusCode::UNAVAILABLE
                          ? ": is the server running, and is this its HTTP address?"
                          : ": give the server's key in --token-file or --compare-token-file");
  }
  // A name that a foreign server does not list may still be one that it takes.
  const bool is_ssmd = models.ok() && models.value().ssmd;
  auto model = models.ok() && (is_ssmd || server.model.empty())
                   ? Chosen(server.model, models.value().names)
                   : client::Result<std::string>(server.model);
  if (!model.ok()) return WithServer(name, model.error(), "");
  ask.model = model.value();
  opened.protocol = "http";
  opened.history = history.value_or(is_ssmd ? History::kSession : History::kResend);
  opened.endpoint =
      std::make_unique<HttpEndpoint>(loop, opened.http.get(), std::move(ask), opened.history);
  return opened;
}

}  // namespace

bool IsHttpAddress(const std::string& server) { return server.find("://") != std::string::npos; }

const char* NameOf(History history) {
  switch (history) {
    case History::kSession:
      return "session";
    case History::kParent:
      return "parent";
    case History::kResend:
      return "resend";
  }
  return "";
}

client::Result<OpenedServer> OpenServer(EventLoop* loop, const ServerOptions& server,
                                        const AskOptions& ask, std::optional<History> history) {
  auto opened = IsHttpAddress(server.connect.server) ? OpenHttp(loop, server, ask, history)
                                                     : OpenGrpc(loop, server, ask);
  if (!opened.ok()) return opened;
  OpenedServer result = std::move(opened).value();
  result.name = server.connect.server;
  return result;
}

}  // namespace ssmd::bench
