// HTTP as bytes, for tests of the listener.
#ifndef SSMD_TESTS_UNIT_SERVER_RAW_CONNECTION_H_
#define SSMD_TESTS_UNIT_SERVER_RAW_CONNECTION_H_

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <string>

#include "server/access/listen_address.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {

// A connection that sends bytes as they are.
class RawConnection {
 public:
  explicit RawConnection(const TestDaemon& daemon) : socket_(io_) {
    const std::string address = const_cast<TestDaemon&>(daemon).daemon().http_address();
    const auto listen = ParseListenAddress(address);
    socket_.connect(
        boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address(listen->host), listen->port));
  }
  explicit RawConnection(uint16_t port) : socket_(io_) {
    socket_.connect(
        boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), port));
  }
  void Send(const std::string& bytes) {
    boost::system::error_code ignored;  // the server may have closed already
    boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
  }
  // All that comes until the server closes.
  std::string ReadAll() {
    std::string all;
    boost::system::error_code error;
    boost::asio::read(socket_, boost::asio::dynamic_buffer(all), error);
    return all;
  }
  std::string ReadSome() {
    char buffer[4096];
    boost::system::error_code error;
    const size_t bytes = socket_.read_some(boost::asio::buffer(buffer), error);
    return std::string(buffer, bytes);
  }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_;
};

inline std::string RequestText(const std::string& target, const std::string& more = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n";
}

inline std::string PostText(const std::string& target, const std::string& json,
                            const std::string& more = "") {
  return "POST " + target +
         " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
         "Content-Type: application/json\r\nContent-Length: " +
         std::to_string(json.size()) + "\r\n" + more + "\r\n" + json;
}

}  // namespace ssmd::server

#endif  // SSMD_TESTS_UNIT_SERVER_RAW_CONNECTION_H_
