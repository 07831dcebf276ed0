// Addresses, tenants and admission.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/base/errors.h"
#include "server/access/admission.h"
#include "server/access/listen_address.h"
#include "server/access/pem_file.h"
#include "server/access/secret_file.h"
#include "server/access/tenants.h"
#include "tests/support/temp_folder.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;

TEST(ListenAddress, ReadsWhatPeopleWrite) {
  const struct {
    const char* text;
    const char* host;
    int port;
    const char* reachable;
  } kCases[] = {
      {"127.0.0.1:50051", "127.0.0.1", 50051, "127.0.0.1:50051"},
      {"localhost:0", "localhost", 0, "localhost:0"},
      {"[::1]:65535", "::1", 65535, "[::1]:65535"},
      {"0.0.0.0:1", "0.0.0.0", 1, "127.0.0.1:1"},
      {"[::]:1", "::", 1, "[::1]:1"},
      {"gpu-7.example.org:9", "gpu-7.example.org", 9, "gpu-7.example.org:9"},
  };
  for (const auto& test : kCases) {
    const auto address = ParseListenAddress(test.text);
    ASSERT_TRUE(address.ok()) << test.text;
    EXPECT_EQ(address->host, test.host);
    EXPECT_EQ(address->port, test.port);
    EXPECT_EQ(address->ToString(), test.text);
    EXPECT_EQ(address->ToReachable(), test.reachable);
  }
}

TEST(ListenAddress, RefusesWhatIsNotOne) {
  for (const char* text :
       {"", ":", "50051", ":50051", "localhost", "localhost:", "localhost:x", "localhost:-1",
        "localhost:+1", "localhost: 1", "localhost:65536", "localhost:99999999999", "::1:80",
        "[::1]", "[::1:80", "[zz]:80", "a b:1", "unix:/tmp/x:1", "host/path:1"}) {
    EXPECT_FALSE(ParseListenAddress(text).ok()) << text;
  }
}

TEST(ListenAddress, KnowsLoopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "example.org", "",
                           "localhost.example.org", "127.0.0.1.example.org", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
  for (const char* peer : {"ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711", "ipv6:[::1]:4711"}) {
    EXPECT_TRUE(IsLoopbackPeer(peer)) << peer;
  }
  for (const char* peer : {"ipv4:10.0.0.1:4711", "ipv6:%5B2001:db8::1%5D:4711", "unix:/tmp/x", "",
                           "127.0.0.1", "ipv4:", "unknown:127.0.0.1:1"}) {
    EXPECT_FALSE(IsLoopbackPeer(peer)) << peer;
  }
}

TEST(TokenFile, ReadsTokensTenantsRolesAndComments) {
  const auto entries = ParseTokenFile(
      "# tokens\n\n  token-one  ann\ntoken-two\tbob admin\r\n   # another comment\ntoken-3333 "
      "ann\n");
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->entries.size(), 3U);
  EXPECT_EQ(entries->entries[0].tenant, "ann");
  EXPECT_FALSE(entries->entries[0].admin);
  EXPECT_EQ(entries->entries[1].tenant, "bob");
  EXPECT_TRUE(entries->entries[1].admin);
  EXPECT_EQ(entries->entries[2].tenant, "ann");
  EXPECT_TRUE(ParseTokenFile("")->entries.empty());
}

TEST(TokenFile, NamesTheLineThatIsWrongAndNotTheToken) {
  const struct {
    std::string text;
    const char* words;
  } kCases[] = {
      {"token-one", "line 1: expected TOKEN TENANT"},
      {"token-one a b c", "line 1: after TOKEN TENANT come"},
      {"\n#\nseven77 a", "line 3: a token has 8 to 512"},
      {std::string(513, 'x') + " a", "a token has 8 to 512"},
      {"token-\x01one a", "a token has 8 to 512"},
      {"token-\xc3\xa9one a", "a token has 8 to 512"},
      {"token-one a/b", "a tenant has 1 to 64"},
      {"token-one " + std::string(65, 'x'), "a tenant has 1 to 64"},
      {"token-one a root", "after TOKEN TENANT come admin"},
      {"sha256:00 a", "64 hexadecimal digits"},
      {"sha256:" + std::string(63, '0') + "g a", "64 hexadecimal digits"},
      {"token-one a expires=2027-01-31", "expires= takes a time"},
      {"token-one a expires=2027-01-31T00:00:00", "expires= takes a time"},
      {"token-one a expires=infinite-future", "expires= takes a time"},
      {"token-one a rate=-1", "rate= takes a number"},
      {"token-one a rate=nan", "rate= takes a number"},
      {"token-one a tokens-per-minute=1e13", "tokens-per-minute= takes a number"},
      {"token-one a rate=1\ntoken-two a rate=2", "line 2: a line above gives this tenant another"},
      {"token-one a\ntoken-one b", "line 2: this token is in the file already"},
  };
  for (const auto& test : kCases) {
    const auto entries = ParseTokenFile(test.text);
    ASSERT_FALSE(entries.ok()) << test.words;
    EXPECT_THAT(std::string(entries.status().message()), HasSubstr(test.words));
    EXPECT_THAT(std::string(entries.status().message()), ::testing::Not(HasSubstr("token-one")));
  }
  EXPECT_TRUE(ParseTokenFile(std::string(512, 'x') + " " + std::string(64, 'y')).ok());
  EXPECT_TRUE(ParseTokenFile("eight888 a").ok());
}

TEST(TokenFile, HoldsALimitedNumberOfTokens) {
  std::string text;
  for (size_t i = 0; i < kTokensMax; ++i) text += "token-" + std::to_string(100000 + i) + " t\n";
  EXPECT_TRUE(ParseTokenFile(text).ok());
  EXPECT_THAT(std::string(ParseTokenFile(text + "one-too-many t\n").status().message()),
              HasSubstr("more than 10000 tokens"));
}

class TenantsTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    std::filesystem::rename(path_ + ".new", path_);
  }
  const testing::TempFolder folder_;
  const std::string path_ = folder_.File("tokens");
};

TEST_F(TenantsTest, WithoutAFileEveryoneIsOneTenantAndLoopbackIsAdmin) {
  const auto tenants = Tenants::Open("");
  ASSERT_TRUE(tenants.ok());
  EXPECT_EQ((*tenants)->Authenticate(std::nullopt, true)->tenant, "default");
  EXPECT_TRUE((*tenants)->Authenticate(std::nullopt, true)->admin);
  EXPECT_FALSE((*tenants)->Authenticate("Bearer whatever", false)->admin);
}

TEST_F(TenantsTest, TokensAreComparedWhole) {
  Write("token-one ann\ntoken-two bob admin\n");
  const auto tenants = Tenants::Open(path_);
  ASSERT_TRUE(tenants.ok());
  const auto tenant = [&](std::optional<std::string_view> authorization) {
    const auto caller = (*tenants)->Authenticate(authorization, true);
    return caller.ok() ? caller->tenant
                       : std::string(absl::StatusCodeToString(caller.status().code()));
  };
  EXPECT_EQ(tenant("Bearer token-one"), "ann");
  EXPECT_EQ(tenant("bearer token-two"), "bob");
  for (const char* wrong : {"Bearer token-on", "Bearer token-onee", "Bearer token-one ",
                            "Bearer  token-one", "token-one", "Bearer", "Bearer ", ""}) {
    EXPECT_EQ(tenant(wrong), "UNAUTHENTICATED") << wrong;
  }
  EXPECT_EQ(tenant(std::nullopt), "UNAUTHENTICATED");
  EXPECT_FALSE((*tenants)->Authenticate("Bearer token-one", true)->admin);
  EXPECT_TRUE((*tenants)->Authenticate("Bearer token-two", false)->admin);
}

TEST_F(TenantsTest, AFileThatIsNotThereOrBrokenOrTooLargeDoesNotStart) {
  EXPECT_THAT(std::string(Tenants::Open("/no/such/file").status().message()),
              HasSubstr("token file /no/such/file cannot be read: No such file"));
  Write("broken\n");
  EXPECT_FALSE(Tenants::Open(path_).ok());
  Write("# nobody\n");
  EXPECT_THAT(std::string(Tenants::Open(path_).status().message()), HasSubstr("holds no tokens"));
  const std::string token = "token-one ann\n";
  Write(token + std::string(kTokenFileBytesMax - token.size(), '#'));
  EXPECT_TRUE(Tenants::Open(path_).ok());
  Write(std::string(kTokenFileBytesMax + 1, '#'));
  EXPECT_THAT(std::string(Tenants::Open(path_).status().message()), HasSubstr("larger than"));
}

TEST_F(TenantsTest, PollReloadsAChangedFileOnly) {
  Write("token-one ann\n");
  const auto opened = Tenants::Open(path_);
  Tenants& tenants = **opened;
  bool reloaded = true;
  EXPECT_TRUE(tenants.Poll(&reloaded).ok());
  EXPECT_FALSE(reloaded);
  Write("token-two bob\n");
  EXPECT_TRUE(tenants.Poll(&reloaded).ok());
  EXPECT_TRUE(reloaded);
  EXPECT_FALSE(tenants.Authenticate("Bearer token-one", true).ok());
  EXPECT_TRUE(tenants.Authenticate("Bearer token-two", true).ok());
  std::filesystem::remove(path_);
  EXPECT_FALSE(tenants.Poll(&reloaded).ok());
  EXPECT_FALSE(reloaded);
  EXPECT_TRUE(tenants.Authenticate("Bearer token-two", true).ok()) << "the old ones stay";
  EXPECT_TRUE(tenants.Poll(&reloaded).ok()) << "reported once";
}

TEST(Admission, CountsInAllAndPerTenant) {
  Admission admission(3, 2);
  auto first = admission.Enter("a");
  auto second = admission.Enter("a");
  ASSERT_TRUE(first.ok() && second.ok());
  const auto refused = admission.Enter("a").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), "TOO_MANY_TENANT_REQUESTS");
  EXPECT_TRUE(RetryAfterOf(refused).has_value());
  auto other = admission.Enter("b");
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(ReasonOf(admission.Enter("c").status()), "TOO_MANY_REQUESTS");
  *first = Admission::Ticket();
  EXPECT_EQ(admission.active(), 2);
  EXPECT_TRUE(admission.Enter("a").ok());
  EXPECT_EQ(admission.active(), 2) << "the ticket above was not kept";
}

TEST(Admission, WaitsUntilNobodyIsLeftOrTheTimeIsUp) {
  Admission admission(3, 3);
  EXPECT_TRUE(admission.WaitIdle(std::chrono::steady_clock::now()));
  auto ticket = admission.Enter("a");
  EXPECT_FALSE(admission.WaitIdle(std::chrono::steady_clock::now()));
  std::thread leaver([&ticket] { *ticket = Admission::Ticket(); });
  EXPECT_TRUE(admission.WaitIdle(std::chrono::steady_clock::now() + std::chrono::minutes(5)));
  leaver.join();
}

TEST(Admission, IsQuietWhenNobodyHasAskedForLongEnough) {
  using std::chrono::milliseconds;
  using std::chrono::minutes;
  const auto now = [] { return std::chrono::steady_clock::now(); };
  Admission admission(1, 1);
  EXPECT_TRUE(admission.WaitQuiet(Duration::zero(), now()));
  EXPECT_FALSE(admission.WaitQuiet(minutes(5), now() + milliseconds(1)));
  const TimePoint start = now();
  EXPECT_TRUE(admission.WaitQuiet(milliseconds(20), start + minutes(5)));
  EXPECT_GE(now() - start, milliseconds(20));

  // Those that are turned away count too.
  const auto ticket = admission.Enter("a");
  std::atomic<bool> stop = false;
  std::atomic<bool> asked = false;
  TimePoint last{};
  std::thread caller([&] {
    while (!stop) {
      last = now();
      EXPECT_FALSE(admission.Enter("b").ok());
      asked = true;
    }
  });
  while (!asked) std::this_thread::yield();
  EXPECT_FALSE(admission.WaitQuiet(minutes(1), now() + milliseconds(20)));
  stop = true;
  caller.join();
  EXPECT_TRUE(admission.WaitQuiet(milliseconds(20), now() + minutes(5)));
  EXPECT_GE(now() - last, milliseconds(20));
}

TEST(PemFile, NamesTheFlag) {
  EXPECT_THAT(std::string(ReadPemFile("--tls-cert", "/no/such").status().message()),
              HasSubstr("--tls-cert /no/such cannot be read"));
  const testing::TempFolder folder;
  const std::string text = folder.Write("text", "hello");
  EXPECT_THAT(std::string(ReadPemFile("--tls-key", text).status().message()),
              HasSubstr("holds no PEM block"));
  const std::string large = folder.Write("large", std::string(kPemBytesMax + 1, 'x'));
  EXPECT_THAT(std::string(ReadPemFile("--tls-key", large).status().message()),
              HasSubstr("is larger than"));
}

TEST(SecretFile, IsARegularFileOrALinkToOne) {
  const testing::TempFolder folder;
  const auto message = [](const std::string& path) {
    return std::string(ReadSecretFile(path, 16).status().message());
  };
  const std::string file = folder.Write("file", "0123456789abcdef");
  const std::string link = folder.File("link");
  std::filesystem::create_symlink(file, link);
  EXPECT_EQ(*ReadSecretFile(link, 16), "0123456789abcdef");
  EXPECT_EQ(*ReadSecretFile(folder.Write("empty", ""), 16), "");
  EXPECT_EQ(message(folder.path()), folder.path() + " is a folder: name the file in it");
  const std::string pipe = folder.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(message(pipe), HasSubstr(pipe + " is no regular file"));  // and is not waited for
  EXPECT_THAT(message("/dev/null"), HasSubstr("is no regular file"));
  EXPECT_THAT(message(folder.Write("large", std::string(17, 'x'))), HasSubstr("is larger than 16"));
  EXPECT_THAT(message(file + "/x"), HasSubstr("cannot be read: Not a directory"));
}

}  // namespace
}  // namespace ssmd::server
