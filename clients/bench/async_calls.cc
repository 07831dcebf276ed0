#include "clients/bench/async_calls.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>

#include <chrono>
#include <utility>

#include "clients/cpp/error.h"

namespace ssmd::bench {

// Lives from Start to OnDone, which is the last that gRPC calls.
class AsyncCalls::Call final : public grpc::ClientReadReactor<v1::GenerateResponse> {
 public:
  Call(AsyncCalls* owner, v1::GenerationService::Stub* stub, v1::GenerateRequest request)
      : owner_(owner), request_(std::move(request)) {
    stub->async()->Generate(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (event_.has_delta() && event_.delta().token_ids_size() > 0) {
      NoteTokens(event_.delta().token_ids_size());
    }
    StartRead(&event_);
  }

  void OnDone(const grpc::Status& status) override {
    status_ = status;
    total_ms_ = SinceStart();
    AsyncCalls* const owner = owner_;
    owner->NoteEnd(*this);
    // First: where the channel's last reference were gone with this, gRPC would wait for this very
    // thread.
    delete this;
    owner->NoteGone();
  }

  void AddTo(CallReport* report) const {
    if (status_.ok()) {
      ++report->succeeded;
      report->tokens += tokens_;
      report->first_token_ms.push_back(first_token_ms_);
      report->inter_token_ms.insert(report->inter_token_ms.end(), gaps_ms_.begin(), gaps_ms_.end());
      return;
    }
    ++report->errors[client::CodeName(status_.error_code())];
    if (status_.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      report->refused_ms.push_back(total_ms_);
    }
  }

 private:
  double SinceStart() const {
    const auto passed = std::chrono::steady_clock::now() - start_;
    return std::chrono::duration<double, std::milli>(passed).count();
  }
  void NoteTokens(int count) {
    const double now = SinceStart();
    if (tokens_ == 0) {
      first_token_ms_ = now;
    } else {
      // A message may bring several tokens: they shared the wait for it.
      gaps_ms_.insert(gaps_ms_.end(), static_cast<size_t>(count), (now - last_token_ms_) / count);
    }
    tokens_ += count;
    last_token_ms_ = now;
  }

  AsyncCalls* const owner_;
  const v1::GenerateRequest request_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  grpc::ClientContext context_;
  v1::GenerateResponse event_;
  grpc::Status status_;
  int64_t tokens_ = 0;
  double first_token_ms_ = 0;
  double last_token_ms_ = 0;
  double total_ms_ = 0;
  std::vector<double> gaps_ms_;
};

AsyncCalls::AsyncCalls(const std::string& server, int connections) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection each
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  for (int i = 0; i < connections; ++i) {
    stubs_.push_back(v1::GenerationService::NewStub(
        grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments)));
  }
}

AsyncCalls::~AsyncCalls() { WaitForAll(); }

void AsyncCalls::Start(const v1::GenerateRequest& request) {
  v1::GenerationService::Stub* stub = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++under_way_;
    ++report_.started;
    stub = stubs_[next_stub_++ % stubs_.size()].get();
  }
  new Call(this, stub, request);  // deletes itself
}

void AsyncCalls::NoteEnd(const Call& call) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    call.AddTo(&report_);
  }
  if (on_end_) on_end_();
}

void AsyncCalls::NoteGone() {
  // Under the lock, for whoever waits may destroy this as soon as it is released.
  const std::lock_guard<std::mutex> lock(mutex_);
  --under_way_;
  ended_.notify_all();
}

void AsyncCalls::WaitForAll() {
  std::unique_lock<std::mutex> lock(mutex_);
  ended_.wait(lock, [this] { return under_way_ == 0; });
}

CallReport AsyncCalls::TakeReport() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(report_, CallReport());
}

}  // namespace ssmd::bench
