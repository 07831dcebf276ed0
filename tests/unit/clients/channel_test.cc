#include "clients/cpp/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/temp_folder.h"

namespace ssmd::client {
namespace {

using ::testing::HasSubstr;

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override { ::unsetenv("SSMD_TOKEN"); }
  void TearDown() override { ::unsetenv("SSMD_TOKEN"); }
  std::string TokenFile(const std::string& contents) { return folder_.Write("token", contents); }

 private:
  const testing::TempFolder folder_;
};

TEST_F(ChannelTest, KnowsLoopbackAddresses) {
  for (const char* server :
       {"127.0.0.1:1", "127.1.2.3:50051", "[::1]:1", "localhost:1", "unix:/s"}) {
    EXPECT_TRUE(IsLoopback(server)) << server;
  }
  for (const char* server : {"10.0.0.1:1", "[::2]:1", "example.com:1", "127.evil.com:1",
                             "127.0.0.1", "localhost.evil.com:1", "0.0.0.0:1", ""}) {
    EXPECT_FALSE(IsLoopback(server)) << server;
  }
}

TEST_F(ChannelTest, RefusesAnAddressWithoutAPort) {
  for (const char* server : {"", "host", "host:", ":1", "host:port", "host:123456"}) {
    const auto connection = Connect({.server = server});
    ASSERT_FALSE(connection.ok()) << server;
    EXPECT_THAT(connection.error().message, HasSubstr("HOST:PORT"));
  }
}

TEST_F(ChannelTest, TakesTheTokenFromTheFileBeforeTheVariable) {
  ::setenv("SSMD_TOKEN", " from-variable\n", 1);
  EXPECT_EQ(Connect({.server = "127.0.0.1:1"}).value().token, "from-variable");
  EXPECT_EQ(
      Connect({.server = "127.0.0.1:1", .token_file = TokenFile("from-file\n")}).value().token,
      "from-file");
}

TEST_F(ChannelTest, RefusesTokensThatCannotBeSent) {
  for (const char* contents : {"", " \n", "two words", "caf\xc3\xa9", "a\x01z"}) {
    EXPECT_FALSE(Connect({.server = "127.0.0.1:1", .token_file = TokenFile(contents)}).ok());
  }
  EXPECT_FALSE(Connect({.server = "127.0.0.1:1", .token_file = "/nonexistent"}).ok());
  EXPECT_FALSE(
      Connect({.server = "127.0.0.1:1", .token_file = TokenFile(std::string(2 << 20, 'a'))}).ok());
}

TEST_F(ChannelTest, SendsATokenInPlaintextOnlyToThisMachineUnlessAllowed) {
  const std::string file = TokenFile("secret-token");
  const auto refused = Connect({.server = "10.0.0.1:1", .token_file = file});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("plaintext"));
  EXPECT_THAT(refused.error().message, ::testing::Not(HasSubstr("secret")));
  EXPECT_TRUE(Connect({.server = "10.0.0.1:1", .tls = true, .token_file = file}).ok());
  EXPECT_TRUE(
      Connect({.server = "10.0.0.1:1", .token_file = file, .allow_plaintext_token = true}).ok());
}

TEST_F(ChannelTest, RefusesTlsFilesThatCannotBeRead) {
  EXPECT_FALSE(Connect({.server = "127.0.0.1:1", .tls = true, .ca_file = "/nonexistent"}).ok());
  EXPECT_FALSE(
      Connect({.server = "127.0.0.1:1", .tls = true, .certificate_file = "/nonexistent"}).ok());
}

}  // namespace
}  // namespace ssmd::client
