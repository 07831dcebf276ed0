// What the daemon says of itself: reflection lists its services, and every method that it declares
// answers; none is left unimplemented. Health follows its life.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "reflection.grpc.pb.h"
#include "tests/support/daemon.h"

namespace ssmd::test {
namespace {

using ::testing::Contains;
namespace reflection = grpc::reflection::v1alpha;

class ReflectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon_ = Daemon::Start();
    ASSERT_NE(daemon_, nullptr);
    channel_ = client::Connect({.server = daemon_->grpc()}).value().channel;
  }

  reflection::ServerReflectionResponse Ask(const reflection::ServerReflectionRequest& request) {
    const auto stub = reflection::ServerReflection::NewStub(channel_);
    grpc::ClientContext context;
    const auto stream = stub->ServerReflectionInfo(&context);
    reflection::ServerReflectionResponse response;
    EXPECT_TRUE(stream->Write(request) && stream->Read(&response));
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
    return response;
  }
  std::set<std::string> Services() {
    reflection::ServerReflectionRequest request;
    request.set_list_services("*");
    std::set<std::string> names;
    const reflection::ServerReflectionResponse response = Ask(request);
    for (const auto& service : response.list_services_response().service()) {
      names.insert(service.name());
    }
    return names;
  }
  // "/package.Service/Method" of every method that the service declares.
  std::vector<std::string> Methods(const std::string& service) {
    reflection::ServerReflectionRequest request;
    request.set_file_containing_symbol(service);
    std::vector<std::string> methods;
    const reflection::ServerReflectionResponse response = Ask(request);
    for (const auto& bytes : response.file_descriptor_response().file_descriptor_proto()) {
      google::protobuf::FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(bytes));
      for (const auto& declared : file.service()) {
        if (file.package() + "." + declared.name() != service) continue;
        for (const auto& method : declared.method()) {
          methods.push_back("/" + service + "/" + method.name());
        }
      }
    }
    return methods;
  }
  // Sends one empty message and half-closes, whatever the method's kind is.
  grpc::Status Call(const std::string& method, std::string* answer = nullptr) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareCall(&context, method, &queue);
    const auto next = [&] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    call->StartCall(nullptr);
    next();
    grpc::Slice empty;
    call->WriteLast(grpc::ByteBuffer(&empty, 1), grpc::WriteOptions(), nullptr);
    next();
    grpc::ByteBuffer response;
    call->Read(&response, nullptr);
    if (next() && answer != nullptr) {
      grpc::Slice slice;
      EXPECT_TRUE(response.DumpToSingleSlice(&slice).ok());
      answer->assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    if (method == "/grpc.health.v1.Health/Watch") context.TryCancel();  // it never ends by itself
    grpc::Status status;
    call->Finish(&status, nullptr);
    next();
    return status;
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ReflectionTest, ListsTheServices) {
  const std::set<std::string> services = Services();
  for (const char* name :
       {"ssmd.v1.GenerationService", "ssmd.v1.SessionService", "ssmd.v1.MemoryService",
        "ssmd.v1.ModelService", "ssmd.v1.AdminService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(services, Contains(name));
  }
}

TEST_F(ReflectionTest, NoDeclaredMethodIsUnimplemented) {
  // gRPC's own health service comes without a descriptor.
  std::vector<std::string> methods = {"/grpc.health.v1.Health/Check",
                                      "/grpc.health.v1.Health/Watch"};
  for (const std::string& service : Services()) {
    if (service.compare(0, 5, "ssmd.") != 0) continue;
    const std::vector<std::string> declared = Methods(service);
    EXPECT_FALSE(declared.empty()) << service;
    methods.insert(methods.end(), declared.begin(), declared.end());
  }
  EXPECT_GE(methods.size(), 14u);
  for (const std::string& method : methods) {
    const grpc::Status status = Call(method);
    EXPECT_NE(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
    EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << method;
  }
}

TEST_F(ReflectionTest, HealthIsServing) {
  std::string answer;
  EXPECT_TRUE(Call("/grpc.health.v1.Health/Check", &answer).ok());
  EXPECT_EQ(answer, std::string("\x08\x01"));  // status: SERVING
}

TEST_F(ReflectionTest, HttpAnswersHealthAndReadiness) {
  EXPECT_EQ(HttpGet(daemon_->http(), "/healthz").status, 200);
  EXPECT_EQ(HttpGet(daemon_->http(), "/readyz").status, 200);
  EXPECT_EQ(HttpGet(daemon_->http(), "/nothing").status, 404);
}

}  // namespace
}  // namespace ssmd::test
