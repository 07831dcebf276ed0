// A server with OpenAI's HTTP API: ssmd, llama.cpp's server, and others. Everything happens on the
// loop's thread.
#ifndef SSMD_CLIENTS_BENCH_HTTP_ENDPOINT_H_
#define SSMD_CLIENTS_BENCH_HTTP_ENDPOINT_H_

#include <memory>
#include <string>
#include <utility>

#include "clients/bench/endpoint.h"
#include "clients/bench/event_loop.h"
#include "clients/bench/http_client.h"
#include "clients/bench/openai_wire.h"

namespace ssmd::bench {

// How a conversation's later turns are told what came before them.
enum class History {
  kSession,  // ssmd's: the first answer's state is stored, and later turns change it
  kParent,   // ssmd's: each turn goes on from the answer before, which stays as it is
  kResend,   // any server's: all of it is sent again
};

class HttpEndpoint final : public Endpoint {
 public:
  // `http` outlives it.
  HttpEndpoint(EventLoop* loop, HttpClient* http, AskOptions ask, History history)
      : loop_(loop), http_(http), ask_(std::move(ask)), history_(history) {}

  std::unique_ptr<Dialogue> Open(const std::string& system, size_t turns) override;

 private:
  class Conversation;
  class Turn;

  EventLoop* const loop_;
  HttpClient* const http_;
  const AskOptions ask_;
  const History history_;
};

// The models that the server lists, by way of the loop, which must not be running. UNIMPLEMENTED
// where it lists none.
client::Result<OpenAiModels> ListHttpModels(EventLoop* loop, HttpClient* http);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_HTTP_ENDPOINT_H_
