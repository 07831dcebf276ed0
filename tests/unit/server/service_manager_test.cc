// What the service manager is told, by real sockets that a test reads in its place.
#include "server/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/temp_folder.h"

namespace ssmd::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The manager's end: a socket of a name, a path or an abstract one.
class ManagerSocket {
 public:
  explicit ManagerSocket(const std::string& name) : fd_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    size_t length = offsetof(sockaddr_un, sun_path) + name.size() + 1;
    if (name[0] == '@') {
      address.sun_path[0] = '\0';
      --length;
    }
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(length)), 0)
        << std::strerror(errno);
  }
  ~ManagerSocket() { close(fd_); }
  ManagerSocket(const ManagerSocket&) = delete;
  ManagerSocket& operator=(const ManagerSocket&) = delete;

  // All that came since.
  std::vector<std::string> Received() {
    std::vector<std::string> messages;
    char buffer[4096];
    for (;;) {
      const ssize_t bytes = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (bytes < 0) return messages;
      messages.emplace_back(buffer, static_cast<size_t>(bytes));
    }
  }

 private:
  const int fd_;
};

class ServiceManagerTest : public ::testing::Test {
 protected:
  std::unique_ptr<ServiceManager> Connect(const std::string& name,
                                          std::optional<Duration> watchdog = std::nullopt) {
    auto manager = ServiceManager::Connect({name, watchdog}, &clock_);
    EXPECT_TRUE(manager.ok()) << manager.status();
    return manager.ok() ? *std::move(manager) : nullptr;
  }
  static absl::StatusOr<ServiceManager::Config> Read(
      const std::map<std::string, std::string>& variables) {
    return ServiceManager::ReadEnvironment(
        [&](const char* name) {
          const auto found = variables.find(name);
          return found == variables.end() ? nullptr : found->second.c_str();
        },
        42);
  }

  const testing::TempFolder folder_;
  const std::string path_ = absl::StrCat(folder_.path(), "/notify");
  FakeClock clock_;
};

TEST_F(ServiceManagerTest, HearsWhatTheDaemonDoesFromItsStartToItsEnd) {
  for (const std::string& name : {path_, absl::StrCat("@ssmd-test-", getpid())}) {
    ManagerSocket socket(name);
    const auto manager = Connect(name);
    ASSERT_TRUE(manager->Say("loading a: 3%").ok());
    ASSERT_TRUE(manager->Ready("serving a, b").ok());
    ASSERT_TRUE(manager->Stopping("draining").ok());
    EXPECT_THAT(socket.Received(),
                ElementsAre("STATUS=loading a: 3%\n", "READY=1\nSTATUS=serving a, b\n",
                            "STOPPING=1\nSTATUS=draining\n"))
        << name;
  }
}

TEST_F(ServiceManagerTest, IsToldAStatusOnce) {
  ManagerSocket socket(path_);
  const auto manager = Connect(path_);
  for (const char* status : {"loading a: 3%", "loading a: 3%", "loading a: 4%", "loading a: 3%"}) {
    ASSERT_TRUE(manager->Say(status).ok());
  }
  EXPECT_EQ(socket.Received().size(), 3U);
}

TEST_F(ServiceManagerTest, GetsNoLinesThatAModelsNameMakesUp) {
  ManagerSocket socket(path_);
  const auto manager = Connect(path_);
  ASSERT_TRUE(manager->Say("loading x\nMAINPID=1").ok());
  ASSERT_TRUE(manager->Say(std::string(10'000, 'x')).ok());
  EXPECT_THAT(socket.Received(),
              ElementsAre("STATUS=loading x MAINPID=1\n",
                          absl::StrCat("STATUS=", std::string(kServiceStatusBytesMax, 'x'), "\n")));
}

TEST_F(ServiceManagerTest, HearsFourBeatsInTheWatchdogsTime) {
  ManagerSocket socket(path_);
  const auto manager = Connect(path_, std::chrono::seconds(20));
  size_t beats = 0;
  for (int ms = 0; ms < 60'000; ms += 250) {
    ASSERT_TRUE(manager->Beat([] { return true; }).ok());
    for (const std::string& message : socket.Received()) {
      EXPECT_EQ(message, "WATCHDOG=1\n");
      ++beats;
    }
    clock_.Advance(std::chrono::milliseconds(250));
  }
  EXPECT_EQ(beats, 12U);
}

TEST_F(ServiceManagerTest, HearsNoBeatOfADaemonThatIsStuckAndAgainOnceItGoesOn) {
  ManagerSocket socket(path_);
  const auto manager = Connect(path_, std::chrono::seconds(20));
  bool alive = false;
  const auto beats_in_a_minute = [&] {
    size_t beats = 0;
    for (int second = 0; second < 60; ++second) {
      EXPECT_TRUE(manager->Beat([&] { return alive; }).ok());
      beats += socket.Received().size();
      clock_.Advance(std::chrono::seconds(1));
    }
    return beats;
  };
  EXPECT_EQ(beats_in_a_minute(), 0U);
  alive = true;
  EXPECT_EQ(beats_in_a_minute(), 12U);
}

TEST_F(ServiceManagerTest, WithoutAWatchdogThereAreNoBeats) {
  ManagerSocket socket(path_);
  ASSERT_TRUE(Connect(path_)->Beat([] { return true; }).ok());
  EXPECT_THAT(socket.Received(), IsEmpty());
}

TEST_F(ServiceManagerTest, NobodyThereIsNoError) {
  const auto manager = Connect("");
  EXPECT_TRUE(manager->Ready("serving").ok());
  EXPECT_TRUE(manager->Beat([] { return true; }).ok());
}

TEST_F(ServiceManagerTest, ASocketThatIsGoneIsAnErrorThatNamesIt) {
  const auto none = ServiceManager::Connect({path_, std::nullopt}, &clock_);
  EXPECT_THAT(std::string(none.status().message()),
              HasSubstr(absl::StrCat("NOTIFY_SOCKET=", path_, ": No such file")));
  auto socket = std::make_unique<ManagerSocket>(path_);
  const auto manager = Connect(path_);
  socket.reset();
  EXPECT_THAT(std::string(manager->Ready("serving").message()),
              HasSubstr("the service manager was not told: Connection refused"));
}

TEST_F(ServiceManagerTest, AFullQueueIsAnErrorAndNotAWaitForEver) {
  ManagerSocket socket(path_);
  const auto manager =
      *ServiceManager::Connect({path_, std::nullopt, std::chrono::milliseconds(1)}, &clock_);
  absl::Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) status = manager->Say(absl::StrCat(i));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the service manager was not told"));
}

TEST_F(ServiceManagerTest, ReadsTheEnvironment) {
  EXPECT_EQ(Read({})->socket, "");
  EXPECT_EQ(Read({{"WATCHDOG_USEC", "1000000"}})->watchdog, std::nullopt) << "nobody to tell";
  EXPECT_EQ(Read({{"NOTIFY_SOCKET", "/run/notify"}})->socket, "/run/notify");
  EXPECT_EQ(Read({{"NOTIFY_SOCKET", "@a/b"}})->socket, "@a/b");
  std::map<std::string, std::string> variables = {{"NOTIFY_SOCKET", "/n"},
                                                  {"WATCHDOG_USEC", "30000000"}};
  EXPECT_EQ(Read(variables)->watchdog, std::chrono::seconds(30));
  variables["WATCHDOG_PID"] = "42";
  EXPECT_EQ(Read(variables)->watchdog, std::chrono::seconds(30));
  variables["WATCHDOG_PID"] = "41";
  EXPECT_EQ(Read(variables)->watchdog, std::nullopt) << "it is another process's";
}

TEST_F(ServiceManagerTest, RefusesAnEnvironmentThatMakesNoSenseAndNamesTheVariable) {
  for (const std::string& socket : {std::string("run/notify"), std::string("vsock:2:1"),
                                    std::string("@"), "/" + std::string(107, 'x')}) {
    const auto config = Read({{"NOTIFY_SOCKET", socket}});
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(config.status().message()),
                HasSubstr(absl::StrCat("NOTIFY_SOCKET=", socket, " is not a path")));
  }
  EXPECT_TRUE(Read({{"NOTIFY_SOCKET", "/" + std::string(106, 'x')}}).ok());
  for (const char* watchdog : {"0", "-1", "abc", "1s", "9223372036854775807"}) {
    const auto config = Read({{"NOTIFY_SOCKET", "/n"}, {"WATCHDOG_USEC", watchdog}});
    EXPECT_THAT(std::string(config.status().message()),
                HasSubstr(absl::StrCat("WATCHDOG_USEC=", watchdog, " is not a number")));
  }
}

}  // namespace
}  // namespace ssmd::server
