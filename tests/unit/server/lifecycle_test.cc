// Signals, the ready file, the progress line.
#include "server/lifecycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/temp_folder.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;

TEST(SignalWatch, WaitsTicksAndTellsWhichSignalCame) {
  for (const int number : {SIGTERM, SIGINT}) {
    SignalWatch watch;
    int ticks = 0;
    const int came = watch.Wait(std::chrono::milliseconds(1), [&] {
      if (++ticks == 3) kill(getpid(), number);
      return true;
    });
    EXPECT_EQ(came, number);
    EXPECT_GE(ticks, 3);
  }
}

TEST(SignalWatch, EndsTheWaitWhenATickSaysSo) {
  SignalWatch watch;
  int ticks = 0;
  EXPECT_EQ(watch.Wait(std::chrono::milliseconds(1), [&] { return ++ticks < 3; }), 0);
  EXPECT_EQ(ticks, 3);
}

TEST(SignalWatchDeathTest, ASecondSignalEndsTheProcessAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        SignalWatch watch;
        kill(getpid(), SIGTERM);
        kill(getpid(), SIGTERM);
        pause();
      },
      ::testing::ExitedWithCode(1), "");
}

TEST(SignalWatchDeathTest, SoItDoesWhileWhatIsLeftIsTakenDown) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        {
          SignalWatch watch;
          kill(getpid(), SIGTERM);
        }
        kill(getpid(), SIGTERM);
        pause();
      },
      ::testing::ExitedWithCode(1), "");
}

TEST(ReadyFile, AppearsWholeAndReplacesAnOldOne) {
  const testing::TempFolder folder;
  const std::string path = folder.Write(
      "ready.json", "an old one, which is longer than the one that replaces it .........");
  ASSERT_TRUE(WriteReadyFile(path, "127.0.0.1:1", "127.0.0.1:2", 42).ok());
  EXPECT_EQ(folder.Read("ready.json"),
            "{\"grpc\":\"127.0.0.1:1\",\"http\":\"127.0.0.1:2\",\"pid\":42}\n");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1)
      << "nothing temporary is left";
}

TEST(ReadyFile, AFolderThatIsNotThereIsAnError) {
  EXPECT_THAT(std::string(WriteReadyFile("/no/such/folder/f", "a", "b", 1).message()),
              HasSubstr("cannot write --ready-file /no/such/folder/f: No such file"));
}

TEST(LoadProgress, SaysNothingInTheFirstSecondAndThenEachTenth) {
  FakeClock clock;
  ::testing::internal::CaptureStderr();
  {
    LoadProgress progress("m", /*terminal=*/false, &clock);
    progress.Update(1'000'000, 10'000'000);
    clock.Advance(std::chrono::seconds(2));
    for (int percent = 20; percent <= 40; ++percent) progress.Update(percent * 100'000, 10'000'000);
    progress.Update(1, 0);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "loading m: 20% of 10.0 MB\nloading m: 30% of 10.0 MB\nloading m: 40% of 10.0 MB\n");
}

TEST(LoadProgress, RewritesItsLineOnATerminal) {
  FakeClock clock;
  ::testing::internal::CaptureStderr();
  {
    LoadProgress progress("m", /*terminal=*/true, &clock);
    clock.Advance(std::chrono::seconds(2));
    progress.Update(1'500'000'000, 3'000'000'000);
    progress.Update(1'500'000'001, 3'000'000'000);
    progress.Update(3'000'000'000, 3'000'000'000);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "\rloading m: 50% of 3.0 GB\rloading m: 100% of 3.0 GB\n");
}

}  // namespace
}  // namespace ssmd::server
