#include "clients/ssmctl/context.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/ascii.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

void Write(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// True when gRPC itself says that there is no server, as opposed to a server that says UNAVAILABLE.
bool NoServer(const client::Error& error) {
  return error.code == grpc::StatusCode::UNAVAILABLE && error.reason.empty();
}

// True when there was one, and its connection ended with the call in progress.
bool BrokeOff(const client::Error& error) {
  if (Contains(error.message, "failed to connect")) return false;
  return Contains(error.message, "Socket closed") || Contains(error.message, "reset by peer") ||
         Contains(error.message, "Broken pipe") || Contains(error.message, "GOAWAY");
}

std::string ExplainUnreachable(const client::Error& error, const client::ConnectOptions& connect) {
  const std::string& server = connect.server;
  if (Contains(error.message, "Connection refused")) {
    return "nothing listens at " + server +
           " (connection refused). Start the daemon with\n  ssmd --model NAME=PATH "
           "--grpc-listen " +
           server + "\nor name another with --server HOST:PORT.";
  }
  if (Contains(error.message, "DNS resolution failed")) {
    return "cannot find the host of " + server + ": check --server.";
  }
  if (Contains(absl::AsciiStrToLower(error.message), "wrong version number")) {
    return "no TLS connection to " + server +
           ": what listens there speaks plaintext. Leave out --tls, or name another with --server.";
  }
  if (Contains(error.message, "Ssl handshake failed") || Contains(error.message, "certificate")) {
    return "no trusted TLS connection to " + server +
           ": its certificate does not verify. Name its authority with --tls-ca, or its host with "
           "--tls-server-name.";
  }
  if (BrokeOff(error)) {
    return "the connection to " + server + " broke off (" + error.message +
           "): the daemon stopped, or was stopped.\nWhat it had committed is kept where it has a "
           "--state-dir; a turn that did not end is not. Once it runs again,\nrepeat the command: "
           "with the --request-id of the first try, a turn that did end is told again, not "
           "made again.";
  }
  return "cannot talk to " + server + ": " + error.message +
         (connect.tls ? "\nDoes the daemon there use TLS?"
                      : "\nIf the daemon there uses TLS, add --tls.");
}

}  // namespace

std::string Explain(const client::Error& error, const client::ConnectOptions& connect) {
  if (NoServer(error)) return ExplainUnreachable(error, connect);
  std::string text = client::CodeName(error.code) + ": " + error.message;
  if (error.code == grpc::StatusCode::UNAUTHENTICATED) {
    text += "\nGive a token with --token-file FILE or the variable SSMD_TOKEN.";
  }
  if (Contains(error.message, "Received message larger than max")) {
    text += "\nThe daemon's --max-message-bytes sets that limit.";
  }
  if (error.reason == "MODEL_NOT_FOUND") {
    text += "\nName one with --model; `ssmctl models` lists them.";
  }
  if (error.retry_after.has_value()) {
    text += "\nTry again in " + std::to_string(error.retry_after->count()) + " ms.";
  }
  return text;
}

std::shared_ptr<client::Client> Context::Connect() {
  auto created = client::Client::Create(connect);
  if (created.ok()) return created.value();
  exit_code = FailUsage(created.error().message);
  return nullptr;
}

client::CallOptions Context::CallOptions() const {
  client::CallOptions options;
  if (timeout_seconds > 0) {
    options.timeout = std::chrono::milliseconds(static_cast<int64_t>(timeout_seconds * 1000));
  }
  return options;
}

void Context::PrintJson(const JsonWriter& json_document) const {
  Write(stdout, JsonForTerminal(json_document.Take()) + "\n");
}

void Context::PrintText(std::string_view text) const {
  Write(stdout, ::isatty(STDOUT_FILENO) ? ForTerminal(text) : std::string(text));
}

void Context::PrintLine(std::string_view text) const { PrintText(std::string(text) + "\n"); }

int Context::Fail(const client::Error& error) const {
  if (!json) {
    Write(stderr, "ssmctl: " + ForTerminal(LossyUtf8(Explain(error, connect))) + "\n");
    return kFailed;
  }
  JsonWriter writer;
  writer.BeginObject().Key("error").BeginObject();
  writer.Key("code").String(client::CodeName(error.code));
  writer.Key("message").String(NoServer(error) ? Explain(error, connect) : error.message);
  if (!error.reason.empty()) writer.Key("reason").String(error.reason);
  if (error.retry_after) writer.Key("retry_after_ms").Int(error.retry_after->count());
  writer.EndObject().EndObject();
  Write(stderr, JsonForTerminal(writer.Take()) + "\n");
  return kFailed;
}

int Context::FailUsage(const std::string& message) const {
  FailHere("USAGE", message);
  return kUsage;
}

int Context::FailFile(const std::string& message) const {
  FailHere("FILE", message);
  return kFailed;
}

void Context::FailHere(std::string_view code, const std::string& message) const {
  if (!json) {
    Write(stderr, "ssmctl: " + ForTerminal(LossyUtf8(message)) + "\n");
    return;
  }
  JsonWriter writer;
  writer.BeginObject().Key("error").BeginObject();
  writer.Key("code").String(code).Key("message").String(message);
  writer.EndObject().EndObject();
  Write(stderr, JsonForTerminal(writer.Take()) + "\n");
}

void Note(const Context& context, std::string_view text) {
  if (!context.json) Write(stderr, ForTerminal(LossyUtf8(text)) + "\n");
}

}  // namespace ssmd::ctl
