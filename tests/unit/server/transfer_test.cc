// Exports and imports over a real gRPC connection: chunks, limits, peers that stall or go away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ssmd/v1/rpc_status.pb.h"
#include "ssmd/v1/session.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using ::ssmd::test::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

EncodedSnapshot Snapshot(const std::string& front, const std::string& state) {
  EncodedSnapshot snapshot;
  snapshot.front = front;
  if (state.empty()) return snapshot;
  auto* bytes = new std::byte[state.size()];
  std::transform(state.begin(), state.end(), bytes,
                 [](char c) { return static_cast<std::byte>(c); });
  snapshot.state = std::make_shared<const kernels::Buffer>(
      bytes, state.size(), [](void*, std::byte* data) { delete[] data; }, nullptr);
  return snapshot;
}

// Bytes that tell where they are.
std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 131) >> 3);
  return text;
}

struct Export {
  Export(TestDaemon& daemon, const std::string& id, const grpc::ChannelArguments& arguments = {})
      : stub(v1::SessionService::NewStub(daemon.Channel(arguments))) {
    v1::ExportSessionRequest request;
    request.set_session_id(id);
    reader = stub->ExportSession(&context, request);
  }
  grpc::ClientContext context;
  std::unique_ptr<v1::SessionService::Stub> stub;
  std::unique_ptr<grpc::ClientReader<v1::ExportSessionResponse>> reader;
};

struct Import {
  explicit Import(TestDaemon& daemon) : stub(v1::SessionService::NewStub(daemon.Channel())) {
    writer = stub->ImportSession(&context, &response);
  }
  bool Write(const std::string& chunk) {
    v1::ImportSessionRequest message;
    message.set_chunk(chunk);
    return writer->Write(message);
  }
  grpc::Status Finish() {
    writer->WritesDone();
    return writer->Finish();
  }
  grpc::ClientContext context;
  std::unique_ptr<v1::SessionService::Stub> stub;
  v1::ImportSessionResponse response;
  std::unique_ptr<grpc::ClientWriter<v1::ImportSessionRequest>> writer;
};

// The one place for transfers is free again after some Ticks: whoever had it was broken off.
bool TicksFreeAPlace(TestDaemon& daemon) {
  return Eventually([&] {
    daemon.daemon().Tick();
    Export probe(daemon, "nope");
    return probe.reader->Finish().error_code() == grpc::StatusCode::NOT_FOUND;
  });
}

TEST(Transfer, AnExportIsTheSnapshotInChunks) {
  constexpr size_t kChunk = size_t{256} << 10;
  const struct {
    size_t front;
    size_t state;
  } kSizes[] = {{1, 0},
                {1, 1},
                {kChunk, 0},
                {kChunk - 1, 1},
                {kChunk - 1, 2},
                {100, 3 * kChunk},
                {2 * kChunk + 7, 5},
                {kChunk + 1, kChunk}};
  for (const auto& size : kSizes) {
    TestDaemon daemon;
    const std::string front = Pattern(size.front);
    const std::string state = Pattern(size.state);
    daemon.engine().SetSnapshot(Snapshot(front, state));
    Export call(daemon, "s");
    v1::ExportSessionResponse response;
    std::string all;
    int64_t total = 0;
    while (call.reader->Read(&response)) {
      EXPECT_EQ(response.total_bytes() > 0, all.empty()) << "in the first message alone";
      total += response.total_bytes();
      EXPECT_LE(response.chunk().size(), kChunk);
      EXPECT_FALSE(response.chunk().empty());
      all += response.chunk();
    }
    EXPECT_TRUE(call.reader->Finish().ok());
    EXPECT_TRUE(all == front + state) << size.front << " " << size.state;
    EXPECT_EQ(total, static_cast<int64_t>(all.size()));
  }
}

TEST(Transfer, AnExportThatCannotBeSaysWhy) {
  TestDaemon daemon;
  Export absent(daemon, "nope");
  EXPECT_EQ(absent.reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
  Export nameless(daemon, "");
  EXPECT_EQ(nameless.reader->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Transfer, AReaderThatStallsIsBrokenOff) {
  Options options;
  options.engine.max_transfers = 1;
  options.server.slow_reader_timeout = std::chrono::milliseconds(1);
  TestDaemon daemon(options);
  daemon.engine().SetSnapshot(Snapshot("x", Pattern(size_t{8} << 20)));
  Export call(daemon, "s", SmallWindow());
  v1::ExportSessionResponse response;
  ASSERT_TRUE(call.reader->Read(&response));
  ASSERT_TRUE(TicksFreeAPlace(daemon));
  while (call.reader->Read(&response)) {
  }
  EXPECT_EQ(call.reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Transfer, AnExporterThatGoesAwayFreesItsPlace) {
  Options options;
  options.engine.max_transfers = 1;
  TestDaemon daemon(options);
  daemon.engine().SetSnapshot(Snapshot("x", Pattern(size_t{8} << 20)));
  {
    Export call(daemon, "s", SmallWindow());
    v1::ExportSessionResponse response;
    ASSERT_TRUE(call.reader->Read(&response));
    Export second(daemon, "s");
    const grpc::Status status = second.reader->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_THAT(status.error_message(), HasSubstr("--max-transfers"));
    EXPECT_EQ(second.context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1U);
    Import import(daemon);
    EXPECT_EQ(import.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    call.context.TryCancel();
    while (call.reader->Read(&response)) {
    }
    call.reader->Finish();
  }
  EXPECT_TRUE(Eventually([&] {
    Export again(daemon, "s");
    v1::ExportSessionResponse response;
    while (again.reader->Read(&response)) {
    }
    return again.reader->Finish().ok();
  }));
}

TEST(Transfer, AnImportIsItsChunksTogether) {
  TestDaemon daemon;
  Import call(daemon);
  v1::ImportSessionRequest first;
  first.set_model("m");
  first.set_rebuild(true);
  first.set_total_bytes(6);
  first.mutable_lifetime()->set_idle_seconds(9);
  ASSERT_TRUE(call.writer->Write(first));
  ASSERT_TRUE(call.Write("abc"));
  ASSERT_TRUE(call.Write("def"));
  const grpc::Status status = call.Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(call.response.session().session_id(), "imported");
  EXPECT_EQ(daemon.engine().imported(), "abcdef");
  EXPECT_TRUE(daemon.engine().import_options().rebuild);
  EXPECT_EQ(daemon.engine().import_options().lifetime.idle_ms, 9000);
}

TEST(Transfer, TheFirstMessageMayBeTheOnlyOne) {
  TestDaemon daemon;
  Import call(daemon);
  ASSERT_TRUE(call.Write("all"));
  EXPECT_TRUE(call.Finish().ok());
  EXPECT_EQ(daemon.engine().imported(), "all");
}

TEST(Transfer, AnImportTakesWhatAModelsSnapshotsCanHaveAndNoMore) {
  for (const int bytes : {9, 10, 11}) {
    TestDaemon daemon;
    daemon.engine().SetSnapshotBytesMax(10);
    Import call(daemon);
    for (int i = 0; i < bytes; ++i) {
      if (!call.Write("x")) break;
    }
    const grpc::Status status = call.Finish();
    if (bytes <= 10) {
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(daemon.engine().imported().size(), static_cast<size_t>(bytes));
    } else {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
      EXPECT_THAT(status.error_message(), HasSubstr("more than the 10 bytes"));
      EXPECT_THAT(daemon.engine().imported(), IsEmpty());
    }
  }
}

// What is wrong is said while the caller still sends: nothing but the first message was sent here.
TEST(Transfer, AnImportThatCannotBeIsRefusedEarly) {
  TestDaemon daemon;
  daemon.engine().SetSnapshotBytesMax(10);
  const auto refused = [&](const v1::ImportSessionRequest& first) {
    Import call(daemon);
    call.writer->Write(first);
    return call.writer->Finish();
  };
  v1::ImportSessionRequest large;
  large.set_total_bytes(11);
  EXPECT_THAT(refused(large).error_message(), HasSubstr("total_bytes is 11"));
  v1::ImportSessionRequest unknown;
  unknown.set_model("other");
  EXPECT_EQ(refused(unknown).error_code(), grpc::StatusCode::NOT_FOUND);
  v1::ImportSessionRequest eternal;
  eternal.mutable_lifetime()->set_ttl_seconds(-1);
  EXPECT_THAT(refused(eternal).error_message(), HasSubstr("lifetime.ttl_seconds"));
}

TEST(Transfer, AnImportMustKeepItsWord) {
  TestDaemon daemon;
  v1::ImportSessionRequest first;
  first.set_total_bytes(4);
  {
    Import call(daemon);
    call.writer->Write(first);
    call.Write("abc");
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::DATA_LOSS);
  }
  {
    Import call(daemon);
    call.writer->Write(first);
    call.Write("abcde");
    EXPECT_THAT(call.Finish().error_message(), HasSubstr("more came"));
  }
  {
    Import call(daemon);
    call.Write("a");
    call.writer->Write(first);
    EXPECT_THAT(call.Finish().error_message(), HasSubstr("only the first message"));
  }
  {
    Import call(daemon);
    call.Write("a");
    call.Write("");
    EXPECT_THAT(call.Finish().error_message(), HasSubstr("must not be empty"));
  }
  {
    Import call(daemon);
    EXPECT_THAT(call.Finish().error_message(), HasSubstr("no chunk"));
  }
  EXPECT_THAT(daemon.engine().imported(), IsEmpty());
}

TEST(Transfer, AnImporterThatGoesAwayLeavesNothing) {
  Options options;
  options.engine.max_transfers = 1;
  TestDaemon daemon(options);
  {
    Import call(daemon);
    ASSERT_TRUE(call.Write("abc"));
    call.context.TryCancel();
    call.writer->Finish();
  }
  EXPECT_TRUE(Eventually([&] {
    Import call(daemon);
    call.Write("whole");
    return call.Finish().ok();
  }));
  EXPECT_EQ(daemon.engine().imported(), "whole");
}

TEST(Transfer, ASenderThatStallsIsBrokenOff) {
  Options options;
  options.engine.max_transfers = 1;
  options.server.slow_reader_timeout = std::chrono::milliseconds(1);
  TestDaemon daemon(options);
  Import call(daemon);
  ASSERT_TRUE(call.Write("abc"));
  ASSERT_TRUE(TicksFreeAPlace(daemon));
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace ssmd::server
