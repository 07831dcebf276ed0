// What every command of ssmctl shares: where the server is, how to print, and how to fail.
#ifndef SSMD_CLIENTS_SSMCTL_CONTEXT_H_
#define SSMD_CLIENTS_SSMCTL_CONTEXT_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "clients/cpp/client.h"
#include "clients/ssmctl/json_writer.h"

namespace ssmd::ctl {

// Exit statuses.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;  // the call failed
inline constexpr int kUsage = 2;   // the command line made no sense
inline constexpr int kInterrupted = 130;

inline constexpr std::string_view kDefaultServer = "127.0.0.1:50051";

struct Context {
  client::ConnectOptions connect;
  bool json = false;
  double timeout_seconds = 0;  // 0: none
  int exit_code = kOk;         // set by the command that ran

  // Null after having reported why.
  std::shared_ptr<client::Client> Connect();
  client::CallOptions CallOptions() const;

  // The result of a command, on standard output.
  void PrintJson(const JsonWriter& json_document) const;
  // Text of the server or the model: made harmless where standard output is a terminal.
  void PrintText(std::string_view text) const;
  void PrintLine(std::string_view text) const;

  // Says what went wrong, and what to do about it, on standard error (as JSON with --json) and
  // returns the exit status.
  int Fail(const client::Error& error) const;
  int FailUsage(const std::string& message) const;
  // Of a file here, in which the server has no part.
  int FailFile(const std::string& message) const;

 private:
  void FailHere(std::string_view code, const std::string& message) const;
};

// A remark for people, on standard error: hidden with --json.
void Note(const Context& context, std::string_view text);

// `error` with advice: an unreachable server says how to start one, and so on.
std::string Explain(const client::Error& error, const client::ConnectOptions& connect);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_CONTEXT_H_
