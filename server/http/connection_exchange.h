// The Exchange of a request on a connection, whatever its kind of stream.
#ifndef SSMD_SERVER_HTTP_CONNECTION_EXCHANGE_H_
#define SSMD_SERVER_HTTP_CONNECTION_EXCHANGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "server/http/exchange.h"

namespace ssmd::server {

// What the server and exchanges ask of a connection. On the HTTP thread, but for the first two. An
// exchange that is not the one at hand any more is passed over.
class AnyConnection {
 public:
  AnyConnection() = default;
  virtual ~AnyConnection() = default;
  AnyConnection(const AnyConnection&) = delete;
  AnyConnection& operator=(const AnyConnection&) = delete;

  // Runs work on the HTTP thread: at once if this is it (Dispatch), or in its turn (Enqueue).
  virtual void Dispatch(std::function<void()> work) = 0;
  virtual void Enqueue(std::function<void()> work) = 0;
  virtual void Respond(uint64_t exchange, HttpResponse response) = 0;
  virtual void Begin(uint64_t exchange, HttpResponse head, std::string idle_piece) = 0;
  virtual void Write(uint64_t exchange, std::string piece, Exchange::Written written) = 0;
  virtual void End(uint64_t exchange) = 0;
  virtual void SetGone(uint64_t exchange, std::function<void()> gone) = 0;
  // There will be no end: closes the connection.
  virtual void Drop(uint64_t exchange) = 0;
  // Closes it, whatever it is at.
  virtual void Abort() = 0;
  // The server stops: what is asked is called off as if the caller had gone, and how it ends is
  // said; then it is closed.
  virtual void Leave() = 0;
};

class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<AnyConnection> connection, uint64_t number)
      : connection_(std::move(connection)), number_(number) {}
  // In its turn: what another thread has asked for before may still be on its way.
  ~ConnectionExchange() override {
    connection_->Enqueue(
        [connection = connection_, number = number_] { connection->Drop(number); });
  }

  void Respond(HttpResponse response) override {
    Run([response = std::move(response)](AnyConnection& connection, uint64_t number) mutable {
      connection.Respond(number, std::move(response));
    });
  }
  void Begin(HttpResponse head, std::string idle_piece) override {
    Run([head = std::move(head), idle_piece = std::move(idle_piece)](AnyConnection& connection,
                                                                     uint64_t number) mutable {
      connection.Begin(number, std::move(head), std::move(idle_piece));
    });
  }
  void Write(std::string piece, Written written) override {
    Run([piece = std::move(piece), written = std::move(written)](AnyConnection& connection,
                                                                 uint64_t number) mutable {
      connection.Write(number, std::move(piece), std::move(written));
    });
  }
  void End() override {
    Run([](AnyConnection& connection, uint64_t number) { connection.End(number); });
  }
  void OnGone(std::function<void()> gone) override {
    Run([gone = std::move(gone)](AnyConnection& connection, uint64_t number) mutable {
      connection.SetGone(number, std::move(gone));
    });
  }
  void Post(std::function<void()> work) override { connection_->Enqueue(std::move(work)); }

 private:
  template <typename Work>
  void Run(Work work) {
    connection_->Dispatch([connection = connection_, number = number_,
                           work = std::move(work)]() mutable { work(*connection, number); });
  }

  const std::shared_ptr<AnyConnection> connection_;
  const uint64_t number_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_CONNECTION_EXCHANGE_H_
