// That one process at a time compares kernels, and that a dead one holds up nobody.
#include "kernels/cuda/selfcheck/check_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

namespace ssmd::kernels::cuda {
namespace {

constexpr std::chrono::milliseconds kAtOnce(0);
constexpr std::chrono::milliseconds kLong(60'000);

class CheckLockTest : public testing::Test {
 protected:
  ~CheckLockTest() override { std::filesystem::remove_all(folder_); }
  const std::string folder_ = testing::TempDir() + "ssmd_lock_" + std::to_string(getpid());
};

TEST_F(CheckLockTest, OneHoldsItAtATimeForEachGpu) {
  std::optional<CheckLock> first(std::in_place, folder_, "a", kAtOnce);
  EXPECT_TRUE(first->held());
  EXPECT_FALSE(CheckLock(folder_, "a", kAtOnce).held());
  EXPECT_TRUE(CheckLock(folder_, "b", kAtOnce).held());
  first.reset();
  EXPECT_TRUE(CheckLock(folder_, "a", kAtOnce).held());
}

TEST_F(CheckLockTest, ADeadProcessHoldsNothing) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const CheckLock lock(folder_, "a", kLong);
    if (write(ready[1], lock.held() ? "y" : "n", 1) == 1) pause();
    _exit(1);
  }
  char held = 0;
  ASSERT_EQ(read(ready[0], &held, 1), 1);
  EXPECT_EQ(held, 'y');
  EXPECT_FALSE(CheckLock(folder_, "a", kAtOnce).held());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(CheckLock(folder_, "a", kLong).held());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(CheckLockTest, WithoutAFolderThereIsNone) {
  EXPECT_FALSE(CheckLock("", "a", kLong).held());
  EXPECT_FALSE(CheckLock("/proc/nowhere", "a", kLong).held());
}

}  // namespace
}  // namespace ssmd::kernels::cuda
