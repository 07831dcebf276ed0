#include "engine/state/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/support/temp_folder.h"

namespace ssmd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempFolder;

mode_t ModeOf(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

TEST(StateDir, MakesTheFolderForItsOwnerAlone) {
  const TempFolder folder;
  const std::string path = folder.File("state");
  const auto dir = StateDir::Lock(path);
  ASSERT_EQ(dir.status(), absl::OkStatus());
  EXPECT_EQ(ModeOf(path), 0700u);
  EXPECT_EQ(ModeOf(path + "/LOCK"), 0600u);
  EXPECT_EQ(folder.Read("state/LOCK"), absl::StrCat(getpid(), "\n"));
  EXPECT_EQ(dir->path(), path);
  EXPECT_EQ(dir->log_path(), path + "/log");
  EXPECT_EQ(dir->states_path(), path + "/states");
}

TEST(StateDir, IsHeldByOneAtATime) {
  const TempFolder folder;
  {
    const auto first = StateDir::Lock(folder.path());
    ASSERT_EQ(first.status(), absl::OkStatus());
    const auto second = StateDir::Lock(folder.path());
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(
        std::string(second.status().message()),
        AllOf(HasSubstr(folder.path()), HasSubstr(absl::StrCat("process ", getpid(), ":"))));
  }
  EXPECT_EQ(StateDir::Lock(folder.path()).status(), absl::OkStatus());
}

TEST(StateDir, MovesWithItsLock) {
  const TempFolder folder;
  auto first = StateDir::Lock(folder.path());
  ASSERT_EQ(first.status(), absl::OkStatus());
  const StateDir moved = *std::move(first);
  EXPECT_FALSE(StateDir::Lock(folder.path()).ok());
}

TEST(StateDir, IsFreeOnceItsHolderIsKilled) {
  const TempFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto held = StateDir::Lock(folder.path());
    const char answer = held.ok() ? 'y' : 'n';
    if (write(ready[1], &answer, 1) == 1) pause();
    _exit(1);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_THAT(std::string(StateDir::Lock(folder.path()).status().message()),
              HasSubstr(absl::StrCat("process ", child, ":")));

  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(StateDir::Lock(folder.path()).status(), absl::OkStatus());
  close(ready[0]);
  close(ready[1]);
}

// The file says who holds it, and anyone may have written into it.
TEST(StateDir, TrustsTheLockAndNotTheFile) {
  const TempFolder folder;
  for (const char* text : {"", "1\n", "x; rm -rf /", "99999999999999999999999999999999"}) {
    folder.Write("LOCK", text);
    const auto dir = StateDir::Lock(folder.path());
    ASSERT_EQ(dir.status(), absl::OkStatus()) << text;
    folder.Write("LOCK", text);
    const std::string message(StateDir::Lock(folder.path()).status().message());
    EXPECT_THAT(message, HasSubstr("is in use by"));
    EXPECT_THAT(message, ::testing::Not(HasSubstr("rm -rf")));
  }
}

TEST(StateDir, SaysWhatCannotBeMade) {
  const TempFolder folder;
  for (const std::string& path : {folder.Write("file", ""), folder.File("absent/state")}) {
    const auto dir = StateDir::Lock(path);
    EXPECT_FALSE(dir.ok());
    EXPECT_THAT(std::string(dir.status().message()), HasSubstr(path));
  }
  ASSERT_TRUE(std::filesystem::create_directory(folder.File("LOCK")));
  EXPECT_THAT(std::string(StateDir::Lock(folder.path()).status().message()),
              HasSubstr(folder.File("LOCK")));
}

}  // namespace
}  // namespace ssmd
