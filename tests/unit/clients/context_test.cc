// What ssmctl makes of gRPC's words, where the server has said nothing.
#include "clients/ssmctl/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ssmd::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string ExplainUnavailable(const std::string& message, const std::string& reason = "") {
  client::ConnectOptions connect;
  connect.server = "host:1";
  return Explain({grpc::StatusCode::UNAVAILABLE, message, reason, {}}, connect);
}

TEST(Explain, NobodyListens) {
  EXPECT_THAT(ExplainUnavailable("failed to connect to all addresses; last error: UNKNOWN: "
                                 "ipv4:127.0.0.1:1: Failed to connect to remote host: Connection "
                                 "refused"),
              HasSubstr("nothing listens at host:1"));
}

TEST(Explain, AConnectionThatCannotBeMadeMayWantTls) {
  EXPECT_THAT(ExplainUnavailable("failed to connect to all addresses; last error: UNKNOWN: "
                                 "ipv4:127.0.0.1:1: Socket closed"),
              HasSubstr("add --tls"));
}

TEST(Explain, TlsThatMeetsPlaintextIsNotBlamedOnACertificate) {
  const std::string text = ExplainUnavailable(
      "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Ssl handshake "
      "failed: SSL_ERROR_SSL: error:0A00010B:SSL routines::wrong version number");
  EXPECT_THAT(text, HasSubstr("speaks plaintext"));
  EXPECT_THAT(text, Not(HasSubstr("certificate")));
}

TEST(Explain, AConnectionThatBreaksOffIsADaemonThatStopped) {
  for (const char* message : {"Socket closed", "recvmsg:Connection reset by peer"}) {
    const std::string text = ExplainUnavailable(message);
    EXPECT_THAT(text, HasSubstr("broke off"));
    EXPECT_THAT(text, HasSubstr("--request-id"));
    EXPECT_THAT(text, Not(HasSubstr("--tls")));
  }
}

TEST(Explain, AServerSpeaksForItself) {
  EXPECT_EQ(ExplainUnavailable("the daemon is stopping", "DRAINING"),
            "UNAVAILABLE: the daemon is stopping");
}

}  // namespace
}  // namespace ssmd::ctl
