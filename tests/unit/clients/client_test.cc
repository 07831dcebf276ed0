#include "clients/cpp/client.h"

#include <gmock/gmock.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <future>
#include <stop_token>

#include "tests/unit/clients/fake_server.h"

namespace ssmd::client {
namespace {

constexpr std::chrono::seconds kLong(30);

std::string Metadata(const grpc::ServerContext& context, const std::string& key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return "(none)";
  return {found->second.data(), found->second.size()};
}

// Answers until the call is cancelled; then tells so.
FakeServer::Handler UntilCancelled(std::promise<void>* cancelled) {
  return [cancelled](grpc::ServerContext* context, const v1::GenerateRequest&,
                     FakeServer::Writer* writer) {
    while (!context->IsCancelled()) writer->Write(DeltaOf("x", 1));
    cancelled->set_value();
    return grpc::Status::CANCELLED;
  };
}

TEST(Client, DeliversEventsInOrder) {
  FakeServer server(
      [](grpc::ServerContext*, const v1::GenerateRequest& request, FakeServer::Writer* writer) {
        for (int i = 0; i < request.max_tokens(); ++i) writer->Write(DeltaOf(std::to_string(i), 1));
        return grpc::Status::OK;
      });
  v1::GenerateRequest request;
  request.set_max_tokens(5);
  std::string text;
  const auto error = server.Connect()->Generate(
      request, {}, [&](const v1::GenerateResponse& event) { text += event.delta().text(); });
  EXPECT_FALSE(error.has_value());
  EXPECT_EQ(text, "01234");
}

TEST(Client, SendsTokenAndSessionAsMetadata) {
  std::string token;
  std::string session;
  FakeServer server(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, FakeServer::Writer*) {
        token = Metadata(*context, "authorization");
        session = Metadata(*context, "x-ssmd-session");
        return grpc::Status::OK;
      });
  v1::GenerateRequest request;
  Connection connection = Connect({.server = server.address()}).value();
  EXPECT_FALSE(Client(connection).Generate(request, {}, [](const auto&) {}).has_value());
  EXPECT_EQ(token, "(none)");
  EXPECT_EQ(session, "(none)");

  connection.token = "abc";
  request.set_session_id("0123456789abcdef");
  EXPECT_FALSE(Client(connection).Generate(request, {}, [](const auto&) {}).has_value());
  EXPECT_EQ(token, "Bearer abc");
  EXPECT_EQ(session, "0123456789abcdef");

  // Not an id: not fit for metadata, and the server's to refuse.
  request.set_session_id("evil\nheader: x");
  EXPECT_FALSE(Client(connection).Generate(request, {}, [](const auto&) {}).has_value());
  EXPECT_EQ(session, "(none)");
}

TEST(Client, SaysOfANamedTurnThatItMayBeTriedAgain) {
  std::string retry;
  FakeServer server(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, FakeServer::Writer*) {
        retry = Metadata(*context, "x-ssmd-retry");
        return grpc::Status::OK;
      });
  v1::GenerateRequest request;
  EXPECT_FALSE(server.Connect()->Generate(request, {}, [](const auto&) {}).has_value());
  EXPECT_EQ(retry, "(none)");
  request.set_request_id("turn-1");
  EXPECT_FALSE(server.Connect()->Generate(request, {}, [](const auto&) {}).has_value());
  EXPECT_EQ(retry, "safe");
}

TEST(Client, AsksForHealth) {
  grpc::EnableDefaultHealthCheckService(true);
  FakeServer server([](grpc::ServerContext*, const v1::GenerateRequest&, FakeServer::Writer*) {
    return grpc::Status::OK;
  });
  const auto client = server.Connect();
  const std::string service = v1::GenerationService::service_full_name();
  ASSERT_TRUE(client->CheckHealth().ok()) << ToString(client->CheckHealth().error());
  EXPECT_EQ(client->CheckHealth().value(), Health::kServing);
  server.health()->SetServingStatus(service, false);
  EXPECT_EQ(client->CheckHealth(service).value(), Health::kNotServing);
  EXPECT_EQ(client->CheckHealth("no.such.Service").error().code, grpc::StatusCode::NOT_FOUND);
}

TEST(Client, AStopTokenCancelsAtTheServer) {
  std::promise<void> cancelled;
  FakeServer server(UntilCancelled(&cancelled));
  std::stop_source stop;
  int events = 0;
  const auto error = server.Connect()->Generate({}, {.cancel = stop.get_token()}, [&](const auto&) {
    if (++events == 3) stop.request_stop();
  });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::CANCELLED);
  EXPECT_EQ(cancelled.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(Client, AStopTokenTriggeredBeforeTheCallCancelsIt) {
  std::promise<void> cancelled;
  FakeServer server(UntilCancelled(&cancelled));
  std::stop_source stop;
  stop.request_stop();
  const auto error =
      server.Connect()->Generate({}, {.cancel = stop.get_token()}, [](const auto&) {});
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::CANCELLED);
}

TEST(Client, DroppingAGenerationCancelsIt) {
  std::promise<void> cancelled;
  FakeServer server(UntilCancelled(&cancelled));
  const auto client = server.Connect();
  {
    Generation generation = client->Generate({}, {});
    ASSERT_TRUE(generation.Next().has_value());
  }
  EXPECT_EQ(cancelled.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(Client, ATimeoutEndsTheCall) {
  // It counts from before there is a connection: a busy machine may need more to reach the server.
  int events = 0;
  for (auto timeout = std::chrono::milliseconds(50); events == 0; timeout *= 2) {
    ASSERT_LT(timeout, kLong);
    std::promise<void> cancelled;
    FakeServer server(UntilCancelled(&cancelled));
    const auto error =
        server.Connect()->Generate({}, {.timeout = timeout}, [&](const auto&) { ++events; });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, grpc::StatusCode::DEADLINE_EXCEEDED);
    if (events > 0) {
      EXPECT_EQ(cancelled.get_future().wait_for(kLong), std::future_status::ready);
    }
  }
}

TEST(Client, ReportsTheServersError) {
  FakeServer server(
      [](grpc::ServerContext*, const v1::GenerateRequest&, FakeServer::Writer* writer) {
        writer->Write(DeltaOf("partial", 1));
        return grpc::Status(grpc::StatusCode::INTERNAL, "not finite");
      });
  Generation generation = server.Connect()->Generate({}, {});
  EXPECT_TRUE(generation.Next().has_value());
  EXPECT_FALSE(generation.Next().has_value());
  const auto error = generation.Finish();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::INTERNAL);
  EXPECT_EQ(error->message, "not finite");
}

TEST(Client, AnUnreachableServerIsUnavailable) {
  std::string address;
  {
    FakeServer server([](auto*, const auto&, auto*) { return grpc::Status::OK; });
    address = server.address();
  }
  const auto models = Client::Create({.server = address}).value()->ListModels();
  ASSERT_FALSE(models.ok());
  EXPECT_EQ(models.error().code, grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace ssmd::client
