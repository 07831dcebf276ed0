#include "tests/support/daemon.h"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>

#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

// Sanitized builds on a busy machine load slowly.
constexpr std::chrono::seconds kStartTimeout(90);

}  // namespace

std::unique_ptr<Daemon> Daemon::Start(const DaemonOptions& options) {
  std::unique_ptr<Daemon> daemon(new Daemon());
  const std::string ready_file = daemon->dir_.File("ready");
  std::vector<std::string> arguments = {
      SSMD_BINARY,
      "--model",
      options.model.empty() ? "tales=" + TalesModel() : options.model,
      "--grpc-listen",
      "127.0.0.1:0",
      "--http-listen",
      "127.0.0.1:0",
      "--ready-file",
      ready_file};
  arguments.insert(arguments.end(), options.flags.begin(), options.flags.end());
  daemon->process_ = Process::Start(arguments);
  const bool settled =
      Eventually([&] { return daemon->ReadReadyFile() || daemon->process_->Poll().has_value(); },
                 kStartTimeout);
  if (settled && !daemon->grpc_.empty()) return daemon;
  ADD_FAILURE() << "ssmd did not come up (exit status " << daemon->process_->Poll().value_or(-1)
                << "):\n"
                << daemon->log();
  daemon->process_->Signal(SIGKILL);
  daemon->process_->Wait(std::chrono::seconds(10));
  return nullptr;
}

bool Daemon::ReadReadyFile() {
  rapidjson::Document document;
  const std::string text = ReadFile(dir_.File("ready"));
  if (text.empty() || document.Parse(text.c_str()).HasParseError() || !document.IsObject()) {
    return false;
  }
  grpc_ = document["grpc"].GetString();
  http_ = document["http"].GetString();
  EXPECT_EQ(document["pid"].GetInt(), process_->pid());
  return true;
}

Daemon::~Daemon() {
  if (process_->Poll().has_value()) return;
  EXPECT_EQ(Stop(), std::optional<int>(0)) << log();
}

std::shared_ptr<client::Client> Daemon::Connect(client::ConnectOptions options) const {
  options.server = grpc_;
  auto client = client::Client::Create(options);
  if (client.ok()) return client.value();
  ADD_FAILURE() << client::ToString(client.error());
  return nullptr;
}

std::optional<int> Daemon::Stop(std::chrono::milliseconds timeout) {
  process_->Signal(SIGTERM);
  return process_->Wait(timeout);
}

std::unique_ptr<Process> StartDaemon(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {SSMD_BINARY};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Process::Start(all);
}

Finished RunDaemon(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {SSMD_BINARY};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return RunProgram(all);
}

std::string SsmctlBinary() { return SSMCTL_BINARY; }

Finished RunSsmctl(const std::string& server, const std::vector<std::string>& arguments,
                   const Process::Options& options) {
  std::vector<std::string> all = {SSMCTL_BINARY, "--server", server};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return RunProgram(all, options);
}

std::unique_ptr<Process> StartSsmctl(const std::string& server,
                                     const std::vector<std::string>& arguments,
                                     const Process::Options& options) {
  std::vector<std::string> all = {SSMCTL_BINARY, "--server", server};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Process::Start(all, options);
}

std::string TalesModel() { return SSMD_TALES_MODEL; }

HttpAnswer HttpGet(const std::string& address, const std::string& target) {
  namespace asio = boost::asio;
  const size_t colon = address.rfind(':');
  boost::system::error_code error;
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  asio::ip::tcp::resolver resolver(io);
  const auto places = resolver.resolve(address.substr(0, colon), address.substr(colon + 1), error);
  if (error) return {};
  asio::connect(socket, places, error);
  if (error) return {};
  const std::string request =
      "GET " + target + " HTTP/1.0\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
  asio::write(socket, asio::buffer(request), error);
  std::string answer;
  asio::read(socket, asio::dynamic_buffer(answer), error);  // until the server closes
  const size_t body = answer.find("\r\n\r\n");
  if (answer.compare(0, 5, "HTTP/") != 0 || body == std::string::npos) return {};
  return {std::atoi(answer.c_str() + answer.find(' ')), answer.substr(body + 4)};
}

}  // namespace ssmd::test
