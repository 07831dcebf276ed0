#include "tests/support/redis_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

RedisAddress SocketOf(const std::string& path) {
  RedisAddress address;
  address.socket_path = path;
  return address;
}

TimePoint InTenSeconds() { return std::chrono::steady_clock::now() + std::chrono::seconds(10); }

}  // namespace

bool RedisProcess::Installed() { return RunProgram({"redis-server", "--version"}).status == 0; }

RedisProcess::RedisProcess(const std::vector<std::string>& arguments)
    : socket_(dir_.File("redis.sock")),
      command_({"redis-server", "--port", "0", "--unixsocket", socket_, "--save", "",
                "--appendonly", "no", "--dir", dir_.path()}),
      server_(SocketOf(socket_), 0),
      client_(&server_) {
  command_.insert(command_.end(), arguments.begin(), arguments.end());
  process_ = Process::Start(command_);
}

bool RedisProcess::AwaitStart() {
  const auto answers = [this] {  // be it that it wants a password
    return client_.Call({"PING"}, InTenSeconds(), 1024).ok();
  };
  return Eventually([&] { return process_->Poll().has_value() || answers(); }) &&
         !process_->Poll().has_value();
}

std::unique_ptr<RedisProcess> RedisProcess::Start(const std::vector<std::string>& arguments) {
  std::unique_ptr<RedisProcess> started(new RedisProcess(arguments));
  if (started->AwaitStart()) return started;
  ADD_FAILURE() << "redis-server does not start:\n"
                << started->process_->output() << started->process_->errors();
  return nullptr;
}

RedisReply RedisProcess::Command(const std::vector<std::string_view>& command) {
  auto reply = client_.Call(command, InTenSeconds(), int64_t{1} << 30);
  if (!reply.ok()) {
    ADD_FAILURE() << reply.status();
    return {};
  }
  EXPECT_FALSE(reply->is_error()) << reply->text;
  return *std::move(reply);
}

void RedisProcess::Freeze() { process_->Signal(SIGSTOP); }
void RedisProcess::Thaw() { process_->Signal(SIGCONT); }

void RedisProcess::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait(std::chrono::seconds(10));
}

bool RedisProcess::Restart() {
  process_ = Process::Start(command_);
  return AwaitStart();
}

}  // namespace ssmd::test
