// See trust_daemon.h.
#include "tests/trust/trust_daemon.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "kernels/device.h"

namespace ssmd::trust {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

std::string Text(grpc::string_ref text) { return {text.data(), text.size()}; }

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return "";
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

}  // namespace

TrustDaemon::TrustDaemon(const std::string& path, server::Options options, server::LogLevel level)
    : log_(level, server::LogFormat::kText,
           std::make_shared<spdlog::sinks::ostream_sink_mt>(log_text_)),
      metrics_({"m"}),
      rates_({}, &clock_),
      observer_(&metrics_, &log_, {}, &rates_) {
  options.grpc_listen.port = 0;
  options.http_listen.port = 0;
  EngineOptions engine;
  engine.models.push_back({"m", path, {}});
  engine.limits = options.engine;
  engine.observer = &observer_;
  auto made = Engine::Create(kernels::MakeCpuDevice({std::nullopt, 1}), std::move(engine));
  if (!made.ok()) ADD_FAILURE() << made.status();
  engine_ = *std::move(made);
  auto daemon = server::Daemon::Start(options, engine_.get(), {&metrics_, &log_, &rates_});
  if (!daemon.ok()) ADD_FAILURE() << daemon.status();
  daemon_ = *std::move(daemon);
  channel_ = grpc::CreateChannel(daemon_->grpc_address(), grpc::InsecureChannelCredentials());
}

GrpcAnswer CallGrpc(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& request, const std::vector<std::string>& authorizations,
                    bool endless) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  for (const std::string& authorization : authorizations) {
    context.AddMetadata("authorization", authorization);
  }
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  next();
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  next();
  GrpcAnswer answer;
  grpc::ByteBuffer response;
  do {
    call->Read(&response, nullptr);
    if (!next()) break;
    answer.responses.push_back(BytesOf(response));
  } while (!endless);
  if (endless) context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  answer.code = status.error_code();
  answer.message = status.error_message();
  answer.details = status.error_details();
  for (const auto& metadata :
       {context.GetServerInitialMetadata(), context.GetServerTrailingMetadata()}) {
    for (const auto& [name, value] : metadata) answer.metadata.emplace(Text(name), Text(value));
  }
  return answer;
}

struct HttpCaller::Connection {
  explicit Connection(const std::string& address) : socket(io) {
    const auto listen = server::ParseListenAddress(address);
    socket.connect({asio::ip::make_address(listen->host), listen->port});
    socket.set_option(asio::ip::tcp::no_delay(true));
  }
  asio::io_context io;
  asio::ip::tcp::socket socket;
  boost::beast::flat_buffer buffer;
};

HttpCaller::HttpCaller(const std::string& address) : address_(address) {}
HttpCaller::~HttpCaller() = default;

HttpReply HttpCaller::Ask(const std::string& method, const std::string& target,
                          const std::string& type, const std::string& body,
                          const std::vector<std::string>& authorizations) {
  if (connection_ == nullptr) connection_ = std::make_unique<Connection>(address_);
  http::request<http::string_body> request(http::string_to_verb(method), target, 11);
  request.set(http::field::host, "localhost");
  for (const std::string& authorization : authorizations) {
    request.insert(http::field::authorization, authorization);
  }
  if (!type.empty()) request.set(http::field::content_type, type);
  request.body() = body;
  request.prepare_payload();
  http::response_parser<http::string_body> parser;
  parser.body_limit(uint64_t{1} << 30);
  boost::beast::error_code error;
  http::write(connection_->socket, request, error);
  http::read(connection_->socket, connection_->buffer, parser, error);
  HttpReply reply;
  if (error) {
    ADD_FAILURE() << method << " " << target << ": " << error.message();
    connection_ = nullptr;
    return reply;
  }
  const auto response = parser.release();
  reply.status = static_cast<int>(response.result_int());
  reply.body = response.body();
  for (const auto& field : response) {
    const auto name = field.name_string();
    const auto value = field.value();
    reply.headers.emplace(absl::AsciiStrToLower(absl::string_view(name.data(), name.size())),
                          std::string(value.data(), value.size()));
  }
  if (!response.keep_alive()) connection_ = nullptr;
  return reply;
}

}  // namespace ssmd::trust
