// A server with OpenAI's HTTP API in this process, whose answers a test decides. A thread a
// connection.
#ifndef SSMD_TESTS_UNIT_CLIENTS_MOCK_OPENAI_H_
#define SSMD_TESTS_UNIT_CLIENTS_MOCK_OPENAI_H_

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace ssmd::bench {

struct MockRequest {
  std::string line;  // "POST /v1/completions"
  std::string authorization;
  std::string body;
};

struct MockAnswer {
  int status = 200;
  std::string type = "text/event-stream";
  std::vector<std::string> pieces;  // sent one after the other, as chunks where it is a stream
  bool cut = false;                 // the connection ends without the answer's end
};

class MockOpenAi {
 public:
  using Handler = std::function<MockAnswer(const MockRequest&)>;

  // GET /v1/models is answered with one model, "mock", owned by `owner`; the rest goes to
  // `handler`, on several threads.
  explicit MockOpenAi(Handler handler, std::string owner = "mock")
      : handler_(std::move(handler)), owner_(std::move(owner)) {
    thread_ = std::thread([this] { Accept(); });
  }
  ~MockOpenAi() {
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    thread_.join();
    for (Client& client : clients_) {
      ::shutdown(client.socket.native_handle(), SHUT_RDWR);
      client.thread.join();
    }
  }

  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  // Those but for the list of models, in the order of their coming.
  std::vector<MockRequest> requests() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return requests_;
  }
  size_t connections() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return clients_.size();
  }

 private:
  using tcp = boost::asio::ip::tcp;
  struct Client {
    explicit Client(tcp::socket accepted) : socket(std::move(accepted)) {}
    tcp::socket socket;
    std::thread thread;
  };

  void Accept() {
    for (;;) {
      boost::system::error_code error;
      tcp::socket socket = acceptor_.accept(error);
      if (error) return;
      socket.set_option(tcp::no_delay(true), error);
      const std::lock_guard<std::mutex> lock(mutex_);
      Client& client = clients_.emplace_back(std::move(socket));
      client.thread = std::thread([this, &client] { Serve(&client.socket); });
    }
  }

  void Serve(tcp::socket* socket) {
    namespace http = boost::beast::http;
    boost::beast::flat_buffer buffer;
    boost::system::error_code error;
    for (;;) {
      http::request<http::string_body> wire;
      http::read(*socket, buffer, wire, error);
      if (error) break;
      const MockRequest request{
          std::string(wire.method_string()) + " " + std::string(wire.target()),
          std::string(wire[http::field::authorization]), wire.body()};
      if (!Send(Answer(request), socket)) break;
    }
    ::shutdown(socket->native_handle(), SHUT_RDWR);
  }

  MockAnswer Answer(const MockRequest& request) {
    if (request.line == "GET /v1/models") {
      return {200,
              "application/json",
              {R"({"object":"list","data":[{"id":"mock","object":"model","owned_by":")" + owner_ +
               "\"}]}"}};
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      requests_.push_back(request);
    }
    return handler_(request);
  }

  static bool Send(const MockAnswer& answer, tcp::socket* socket) {
    boost::system::error_code error;
    const auto write = [&](const std::string& text) {
      boost::asio::write(*socket, boost::asio::buffer(text), error);
    };
    const std::string head =
        absl::StrFormat("HTTP/1.1 %d Said\r\nContent-Type: %s\r\n", answer.status, answer.type);
    if (answer.type != "text/event-stream") {
      const std::string body = absl::StrJoin(answer.pieces, "");
      write(absl::StrFormat("%sContent-Length: %d\r\n\r\n%s", head, body.size(), body));
    } else {
      write(head + "Transfer-Encoding: chunked\r\n\r\n");
      for (const std::string& piece : answer.pieces) {
        write(absl::StrFormat("%x\r\n%s\r\n", piece.size(), piece));
      }
      if (!answer.cut) write("0\r\n\r\n");
    }
    return !error && !answer.cut;
  }

  const Handler handler_;
  const std::string owner_;
  boost::asio::io_context io_;
  tcp::acceptor acceptor_{io_, {boost::asio::ip::address_v4::loopback(), 0}};
  mutable std::mutex mutex_;
  std::list<Client> clients_;
  std::vector<MockRequest> requests_;
  std::thread thread_;
};

// A completion's stream: `words`, then its end with what it used.
inline MockAnswer StreamOf(const std::vector<std::string>& words, const std::string& last = "") {
  MockAnswer answer;
  for (const std::string& word : words) {
    answer.pieces.emplace_back("data: {\"id\":\"cmpl-1\",\"choices\":[{\"index\":0,\"text\":\"" +
                               word + "\",\"finish_reason\":null}]}\n\n");
  }
  answer.pieces.emplace_back(
      "data: {\"id\":\"cmpl-1\",\"choices\":[{\"index\":0,\"text\":\"\","
      "\"finish_reason\":\"length\"}]}\n\n");
  answer.pieces.emplace_back(
      "data: {\"id\":\"cmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":4,"
      "\"completion_tokens\":" +
      std::to_string(words.size()) + "}" + last + "}\n\n");
  answer.pieces.emplace_back("data: [DONE]\n\n");
  return answer;
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_UNIT_CLIENTS_MOCK_OPENAI_H_
