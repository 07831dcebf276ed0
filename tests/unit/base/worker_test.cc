#include "engine/base/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <vector>

namespace ssmd {
namespace {

TEST(Worker, DoesWhatItIsGivenInOrder) {
  std::vector<int> done;
  const auto all = std::make_shared<std::promise<void>>();
  Worker worker;
  for (int i = 0; i < 100; ++i) {
    worker.Post([&done, i](bool cancelled) {
      EXPECT_FALSE(cancelled);
      done.push_back(i);
    });
  }
  worker.Post([all](bool) { all->set_value(); });
  all->get_future().wait();
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(Worker, CallsEveryTaskBeforeItGoes) {
  int called = 0;
  {
    Worker worker;
    for (int i = 0; i < 100; ++i) worker.Post([&called](bool) { ++called; });
  }
  EXPECT_EQ(called, 100);
}

// A task that posts itself again as long as it is not cancelled: so one waits whenever the worker
// goes.
TEST(Worker, CancelsWhatWaitsWhenItGoes) {
  bool cancelled = false;
  auto worker = std::make_unique<Worker>();
  std::function<void(bool)> again = [&, posts_to = worker.get()](bool c) {
    if (c) {
      cancelled = true;
    } else {
      posts_to->Post(again);
    }
  };
  worker->Post(again);
  worker.reset();
  EXPECT_TRUE(cancelled);
}

}  // namespace
}  // namespace ssmd
