// Waiting for something that another process or thread brings about: looked at again and again
// until it holds or the time is up, so that a test is as quick as what it waits for.
#ifndef SSMD_TESTS_SUPPORT_EVENTUALLY_H_
#define SSMD_TESTS_SUPPORT_EVENTUALLY_H_

#include <chrono>
#include <thread>

namespace ssmd::test {

// True as soon as `condition` holds; false when it did not within `timeout`.
template <typename Condition>
bool Eventually(Condition condition, std::chrono::milliseconds timeout = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_EVENTUALLY_H_
