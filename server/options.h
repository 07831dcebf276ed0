// The command line: every flag and every limit of the daemon, checked, with defaults and help.
// `--config FILE` reads the same options, one `name = value` a line.
#ifndef SSMD_SERVER_OPTIONS_H_
#define SSMD_SERVER_OPTIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "kernels/device.h"
#include "server/access/listen_address.h"
#include "server/limits.h"
#include "server/replica_options.h"
#include "server/telemetry/log.h"

namespace ssmd::server {

// The --cache-dir that means the folder of each model.
inline constexpr char kCacheBeside[] = "beside";

struct ModelArgument {
  std::string name;
  std::string path;  // a folder or a GGUF file
  std::optional<kernels::WeightFormat> weights;
  Prefill prefill = Prefill::kExact;
  kernels::StateFormat state = kernels::StateFormat::kF32;
  std::string chat = kChatAuto;
};

struct TlsFiles {
  std::string certificate;  // PEM; empty: plaintext
  std::string key;
  std::string client_ca;  // empty: clients need no certificate
  bool enabled() const { return !certificate.empty(); }
};

struct Options {
  std::vector<ModelArgument> models;
  std::optional<int> gpu;  // ordinal; absent: the CPU computes
  bool plain_gpu_kernels = false;
  bool fast_gemm = false;           // prompts' products by cuBLASLt
  std::optional<kernels::Isa> isa;  // absent: the best that this CPU has
  int threads = 0;                  // 0: one per CPU
  bool pin_threads = false;
  ListenAddress grpc_listen{"127.0.0.1", 50051};
  ListenAddress http_listen{"127.0.0.1", 8080};
  std::vector<std::string> http_hosts;    // further names that the Host header may carry
  std::vector<std::string> http_origins;  // of pages that may ask; "*": any
  bool playground = true;                 // the page at /
  std::string ready_file;
  std::string token_file;
  TlsFiles tls;
  bool insecure = false;
  EngineLimits engine;
  // Where quantised weights are kept for the next start: a folder, or kCacheBeside. Empty: nowhere.
  std::string cache_dir;
  StateDirOptions state_dir;
  ReplicaOptions replica;
  RequestLimits request;
  ServerLimits server;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  SlowRequests log_slow;
};

// What a command line asks for: to run (`options` is set), or to print and exit.
struct CommandLine {
  std::optional<Options> options;
  int exit_code = 0;
  std::string output;  // for standard output (--help, --version)
  std::string error;   // for standard error
};
CommandLine ParseCommandLine(int argc, const char* const* argv);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_OPTIONS_H_
