// The thread that a load runs on: timers, HTTP connections and the ends of gRPC's calls, one after
// the other. Post() may be called from any thread; all else belongs to the loop's own.
#ifndef SSMD_CLIENTS_BENCH_EVENT_LOOP_H_
#define SSMD_CLIENTS_BENCH_EVENT_LOOP_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "clients/bench/timeline.h"

namespace ssmd::bench {

class EventLoop final : public Timeline {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  void At(TimePoint time, std::function<void()> action) override {
    auto timer = std::make_unique<boost::asio::steady_timer>(io_, time);
    auto* const waiting = timer.get();
    waiting->async_wait([timer = std::move(timer), action = std::move(action)](auto error) {
      if (!error) action();
    });
  }
  template <typename Action>
  void Post(Action action) {
    boost::asio::post(io_, std::move(action));
  }

  // Runs what comes until Stop().
  void Run() {
    const auto work = boost::asio::make_work_guard(io_);
    io_.restart();
    io_.run();
  }
  void Stop() { io_.stop(); }

  boost::asio::io_context& io() { return io_; }

 private:
  boost::asio::io_context io_{1};
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_EVENT_LOOP_H_
