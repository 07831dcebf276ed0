#include "tests/support/http_get.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>

namespace ssmd::test {

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
