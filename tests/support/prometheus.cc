#include "tests/support/prometheus.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <rapidjson/document.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tests/support/eventually.h"
#include "tests/support/http_get.h"

namespace ssmd::test {
namespace {

// A port that was free a moment ago.
int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string UrlEncoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) {
      out += c;
    } else {
      absl::StrAppendFormat(&out, "%%%02X", byte);
    }
  }
  return out;
}

}  // namespace

bool Prometheus::Installed() { return RunProgram({"prometheus", "--version"}).status == 0; }

Prometheus::Prometheus(const std::string& target, const std::vector<std::string>& rule_files)
    : address_(absl::StrFormat("127.0.0.1:%d", FreePort())) {
  const std::string config = dir_.Write(
      "prometheus.yml",
      absl::StrFormat("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
                      "rule_files: [%s]\n"
                      "scrape_configs: [{job_name: ssmd, static_configs: [{targets: ['%s']}]}]\n",
                      absl::StrJoin(rule_files, ", "), target));
  process_ = Process::Start({"prometheus", "--config.file=" + config,
                             "--storage.tsdb.path=" + dir_.File("data"),
                             "--web.listen-address=" + address_, "--log.level=warn"});
}

std::unique_ptr<Prometheus> Prometheus::Start(const std::string& target,
                                              const std::vector<std::string>& rule_files) {
  std::unique_ptr<Prometheus> started(new Prometheus(target, rule_files));
  if (Eventually([&] { return started->QueryOne("up").value_or(0) == 1; },
                 std::chrono::seconds(60))) {
    return started;
  }
  ADD_FAILURE() << "Prometheus has scraped nothing:\n" << started->process_->errors();
  return nullptr;
}

std::string Prometheus::Get(const std::string& path) const {
  // Answers to HTTP/1.0 are not chunked, so that the body is the document.
  const HttpAnswer answer = HttpGet(address_, "/api/v1/" + path);
  return answer.status == 200 ? answer.body : "";
}

std::optional<std::vector<double>> Prometheus::Query(const std::string& expression) const {
  rapidjson::Document answer;
  if (answer.Parse(Get("query?query=" + UrlEncoded(expression)).c_str()).HasParseError()) {
    return std::nullopt;
  }
  std::vector<double> values;
  for (const auto& sample : answer["data"]["result"].GetArray()) {
    values.push_back(std::stod(sample["value"][1].GetString()));
  }
  return values;
}

std::optional<double> Prometheus::QueryOne(const std::string& expression) const {
  const auto values = Query(expression);
  if (!values.has_value() || values->size() != 1) return std::nullopt;
  return values->front();
}

}  // namespace ssmd::test
