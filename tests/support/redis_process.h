// A real Redis for a test, on a Unix socket in a folder of its own. It keeps nothing when it ends.
//
// Owned by one test, which asks Installed() first: the program is looked for on the PATH.
#ifndef SSMD_TESTS_SUPPORT_REDIS_PROCESS_H_
#define SSMD_TESTS_SUPPORT_REDIS_PROCESS_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/shared/redis_client.h"
#include "tests/support/process.h"

namespace ssmd::test {

class RedisProcess {
 public:
  static constexpr char kNotInstalled[] =
      "redis-server is not installed (deploy/install-deps.sh --test unpacks it)";
  static bool Installed();

  // With these arguments more, as on its command line. When it does not come up the test has failed
  // and null is returned.
  static std::unique_ptr<RedisProcess> Start(const std::vector<std::string>& arguments = {});

  std::string url() const { return "unix://" + socket_; }
  // The same, as a user with a password.
  std::string UrlOf(const std::string& user, const std::string& password) const {
    return "unix://" + user + ":" + password + "@" + socket_;
  }

  // A command, as the default user. A server that does not do it has failed the test.
  RedisReply Command(const std::vector<std::string_view>& command);

  void Freeze();  // it stays connected and answers nothing
  void Thaw();
  void Kill();
  bool Restart();  // empty; after Kill

 private:
  explicit RedisProcess(const std::vector<std::string>& arguments);
  bool AwaitStart();

  const TempDir dir_;
  const std::string socket_;
  std::vector<std::string> command_;
  std::unique_ptr<Process> process_;
  RedisServer server_;
  RedisClient client_;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_REDIS_PROCESS_H_
