// The daemon that a benchmark measures: a child that it starts with the flags that it wants, or one
// that runs somewhere already.
//
// One thread starts, stops and asks it; client() may be used from any.
#ifndef SSMD_TESTS_BENCH_SERVER_UNDER_TEST_H_
#define SSMD_TESTS_BENCH_SERVER_UNDER_TEST_H_

#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/client.h"
#include "tests/bench/random_checkpoint.h"
#include "tests/support/daemon_process.h"

namespace ssmd::bench {

struct ServerFlags {
  std::string address;  // of a daemon that runs; empty: start one
  std::string http;     // where its metrics are
  std::string binary;   // to start; empty: the ssmd beside this program
  std::string model;    // NAME=PATH to serve; empty: the bundled one
  std::string random;   // or a shape, with random weights
  std::string weights;  // its format; empty: as the files have them
  std::string device = "cpu";
  int threads = 0;  // of the engine; 0: one a CPU
};
// `flags` outlives the parse. Those of a daemon that is started, and with those of one that runs.
void AddChildFlags(CLI::App* command, ServerFlags* flags);
void AddServerFlags(CLI::App* command, ServerFlags* flags);

class ServerUnderTest {
 public:
  explicit ServerUnderTest(ServerFlags flags) : flags_(std::move(flags)) {}

  // Whether the flags given to Start have an effect, and Stop.
  bool is_ours() const { return flags_.address.empty(); }
  // Starts the daemon with `more` flags (or finds the one that runs), and asks for its model.
  absl::Status Start(const std::vector<std::string>& more);
  // As an operator would: what it owes the disk is written.
  absl::Status Stop();

  // The following REQUIRE a Start that succeeded, and no Stop since.
  const std::string& address() const { return address_; }
  client::Client& client() { return *client_; }
  const v1::Model& model() const { return model_; }
  // REQUIRES: is_ours().
  const std::string& model_path() const { return model_path_; }
  pid_t pid() { return child_->process().pid(); }
  absl::StatusOr<std::string> Metrics() const;
  absl::StatusOr<v1::ModelStats> Stats();

  // What a result has to say of where it comes from, as members of a JSON object: "bench", "date",
  // "machine", "model".
  std::string HeaderJson(const std::string& bench) const;

 private:
  absl::Status StartChild(const std::vector<std::string>& more);

  const ServerFlags flags_;
  std::unique_ptr<RandomCheckpoint> random_;
  std::unique_ptr<test::DaemonProcess> child_;
  std::string model_path_;
  std::string address_;
  std::string http_;
  std::shared_ptr<client::Client> client_;
  v1::Model model_;
};

// A client's error as a status, and its result as a StatusOr.
absl::Status StatusOf(const client::Error& error);
template <typename T>
absl::StatusOr<T> ValueOf(client::Result<T> result) {
  if (!result.ok()) return StatusOf(result.error());
  return std::move(result).value();
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_SERVER_UNDER_TEST_H_
