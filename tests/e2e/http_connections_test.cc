// Many HTTP connections that are kept open: what they cost, and that they are answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>

#include "tests/support/daemon.h"

namespace ssmd::test {
namespace {

using boost::asio::ip::tcp;

constexpr int kConnections = 1000;
constexpr int kFilesWanted = kConnections + 100;

int64_t ResidentBytes(const Daemon& daemon) {
  const std::string metrics = HttpGet(daemon.http(), "/metrics").body;
  const std::string name = "\nprocess_resident_memory_bytes ";
  const size_t at = metrics.find(name);
  if (at == std::string::npos) return -1;
  return static_cast<int64_t>(std::strtod(metrics.c_str() + at + name.size(), nullptr));
}

// Asks, and reads up to the end of a short answer.
bool IsAlive(tcp::socket& socket) {
  boost::system::error_code error;
  boost::asio::write(socket,
                     boost::asio::buffer(std::string("GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                                     "\r\n")),
                     error);
  std::string answer;
  while (!error && answer.find("\r\n\r\nok\n") == std::string::npos) {
    char buffer[1024];
    const size_t bytes = socket.read_some(boost::asio::buffer(buffer), error);
    answer.append(buffer, bytes);
  }
  return !error;
}

// For this process and the daemon that it starts.
bool RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, kFilesWanted));
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= kFilesWanted;
}

TEST(HttpConnectionsTest, AThousandThatAreIdleTakeLessThanFiftyMegabytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take memory of their own";
#endif
  if (!RaiseFileLimit()) GTEST_SKIP() << "fewer than " << kFilesWanted << " files may be open";
  const auto daemon = Daemon::Start(std::vector<std::string>{"--max-http-connections", "1100"});
  ASSERT_NE(daemon, nullptr);
  const int64_t before = ResidentBytes(*daemon);
  ASSERT_GT(before, 0);
  const std::string& address = daemon->http();
  const size_t colon = address.rfind(':');
  boost::asio::io_context io;
  tcp::resolver resolver(io);
  const auto place = resolver.resolve(address.substr(0, colon), address.substr(colon + 1));
  std::vector<tcp::socket> sockets;
  for (int i = 0; i < kConnections; ++i) {
    sockets.emplace_back(io);
    boost::asio::connect(sockets.back(), place);
    ASSERT_TRUE(IsAlive(sockets.back())) << "connection " << i;
  }
  const int64_t taken = ResidentBytes(*daemon) - before;
  RecordProperty("bytes_of_each", std::to_string(taken / kConnections));
  EXPECT_LT(taken, int64_t{50} << 20);
  for (tcp::socket& socket : sockets) ASSERT_TRUE(IsAlive(socket)) << "all are served still";
}

}  // namespace
}  // namespace ssmd::test
