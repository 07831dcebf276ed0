// ssmd: flags → engine → listeners → wait for a signal → drain. Wiring only.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/engine.h"
#include "server/daemon.h"
#include "server/lifecycle.h"
#include "server/options.h"
#include "server/service_manager.h"
#include "server/telemetry/engine_observer.h"

namespace ssmd::server {
namespace {

constexpr std::chrono::milliseconds kTick(250);
constexpr char kDraining[] = "draining: no new turns";

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "ssmd: %s\n", std::string(status.message()).c_str());
  return 1;
}

// Of a model that is a folder or a file.
std::string FolderOf(const std::string& model) {
  std::error_code error;
  if (std::filesystem::is_directory(model, error)) return model;
  const std::string folder = std::filesystem::path(model).parent_path().string();
  return folder.empty() ? "." : folder;
}

// Empty where nothing is to be kept.
std::string CacheFolder(const Options& options, const ModelArgument& model) {
  return options.cache_dir == kCacheBeside ? FolderOf(model.path) : options.cache_dir;
}

absl::StatusOr<std::unique_ptr<kernels::Device>> MakeDevice(const Options& options) {
  if (!options.gpu) {
    return kernels::MakeCpuDevice({options.isa, options.threads, options.pin_threads});
  }
  std::string error;
  kernels::CudaOptions cuda;
  cuda.ordinal = *options.gpu;
  cuda.plain = options.plain_gpu_kernels;
  cuda.fast_gemm = options.fast_gemm;
  cuda.check_folder = CacheFolder(options, options.models.front());
  std::unique_ptr<kernels::Device> device = kernels::MakeCudaDevice(cuda, &error);
  if (device != nullptr) return device;
  return absl::FailedPreconditionError(absl::StrCat("--device cuda:", cuda.ordinal, ": ", error));
}

// --gemm=fast would do nothing, and say nothing.
absl::Status CheckFastGemm(const Engine& engine) {
  for (const ServedModel& model : engine.Models()) {
    if (model.info.weights == "bf16" || model.info.weights == "f16") return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "--gemm=fast: cuBLASLt takes weights in bf16 and f16, which no model has here: see "
      "--model-option NAME.weights, or leave it exact");
}

// A manager that does not hear is no reason to serve nobody.
void LogUntold(const absl::Status& told, Log* log) {
  if (told.ok()) return;
  const std::string message(told.message());
  log->Write(LogLevel::kWarn, "service_manager_not_told", {{"message", std::string_view(message)}});
}

std::unique_ptr<ServiceManager> ConnectServiceManager(const Clock* clock, Log* log) {
  auto config =
      ServiceManager::ReadEnvironment([](const char* name) { return std::getenv(name); }, getpid());
  LogUntold(config.status(), log);
  if (config.ok()) {
    auto manager = ServiceManager::Connect(*std::move(config), clock);
    if (manager.ok()) return *std::move(manager);
    LogUntold(manager.status(), log);
  }
  return *ServiceManager::Connect({}, clock);
}

// "serving a, b"
std::string ServingWhat(const Engine& engine) {
  std::vector<std::string> names;
  for (const ServedModel& model : engine.Models()) names.push_back(model.name);
  return absl::StrCat("serving ", absl::StrJoin(names, ", "));
}

absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(const Options& options, Observer* observer,
                                                   ServiceManager* manager, Log* log) {
  const SteadyClock clock;
  const bool terminal = isatty(STDERR_FILENO) == 1;
  std::deque<LoadProgress> progress;  // stays in place while it grows
  EngineOptions engine;
  engine.limits = options.engine;
  engine.state_dir = options.state_dir;
  engine.observer = observer;
  engine.durability = options.request.durability;
  if (options.replica.shared()) {
    SSMD_ASSIGN_OR_RETURN(engine.sharing.store, OpenRedisStore(options.replica.store));
    engine.sharing.limits = options.replica.limits;
    engine.sharing.address =
        options.replica.address.empty() ? options.grpc_listen.ToString() : options.replica.address;
  }
  for (const ModelArgument& model : options.models) {
    ModelSpec spec;
    spec.name = model.name;
    spec.path = model.path;
    spec.load.weights = model.weights;
    spec.load.state = model.state;
    spec.load.prefill = model.prefill;
    spec.chat = model.chat;
    spec.load.cache_dir = CacheFolder(options, model);
    spec.load.max_rows = options.engine.token_budget;
    LoadProgress& line = progress.emplace_back(model.name, terminal, &clock);
    spec.load.progress = [&line, manager, log, name = model.name](int64_t done, int64_t total) {
      line.Update(done, total);
      const int64_t percent = total > 0 ? done * 100 / total : 0;
      LogUntold(manager->Say(absl::StrCat("loading ", name, ": ", percent, "%")), log);
    };
    engine.models.push_back(std::move(spec));
  }
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<kernels::Device> device, MakeDevice(options));
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<Engine> loaded,
                        Engine::Create(std::move(device), std::move(engine)));
  if (options.fast_gemm) SSMD_RETURN_IF_ERROR(CheckFastGemm(*loaded));
  return loaded;
}

void LogStart(const Daemon& daemon, const Engine& engine, Log* log) {
  const std::string grpc = daemon.grpc_listen().ToString();
  const std::string http = daemon.http_listen().ToString();
  for (const ServedModel& model : engine.Models()) {
    log->Write(LogLevel::kInfo, "serving",
               {{"model", std::string_view(model.name)},
                {"architecture", std::string_view(model.info.architecture)},
                {"weights", std::string_view(model.info.weights)},
                {"parameters", model.info.parameters},
                {"state_slots", int64_t{model.state_slots}},
                {"state_bytes", model.state_bytes_per_session},
                {"device", std::string_view(model.device)},
                {"numerics", std::string_view(model.numerics_profile)},
                {"grpc", std::string_view(grpc)},
                {"http", std::string_view(http)}});
    if (!model.info.weight_cache.empty()) {
      log->Write(LogLevel::kInfo,
                 model.info.weights_from_cache ? "weights_read_from_cache" : "weights_cached",
                 {{"model", std::string_view(model.name)},
                  {"file", std::string_view(model.info.weight_cache)}});
    }
    for (const std::string& warning : model.info.warnings) {
      log->Write(LogLevel::kWarn, "model_warning",
                 {{"model", std::string_view(model.name)}, {"message", std::string_view(warning)}});
    }
  }
}

int Run(const Options& options) {
  const SteadyClock clock;
  RemoveReadyFile(options.ready_file);
  std::vector<std::string> names;
  for (const ModelArgument& model : options.models) names.push_back(model.name);
  Log log(options.log_level, options.log_format);
  if (const absl::Status files = Daemon::CheckFiles(options); !files.ok()) return Fail(files);
  Metrics metrics(names);
  TenantRates rates({static_cast<double>(options.server.tenant_rate),
                     static_cast<double>(options.server.tenant_tokens_per_minute)},
                    &clock);
  EngineObserver observer(&metrics, &log, options.log_slow, &rates);
  const auto manager = ConnectServiceManager(&clock, &log);
  auto engine = LoadEngine(options, &observer, manager.get(), &log);
  if (!engine.ok()) return Fail(engine.status());
  SignalWatch signals;
  auto daemon = Daemon::Start(options, engine->get(), {&metrics, &log, &rates});
  if (!daemon.ok()) return Fail(daemon.status());
  if (!options.ready_file.empty()) {
    const absl::Status written = WriteReadyFile(options.ready_file, (*daemon)->grpc_address(),
                                                (*daemon)->http_address(), getpid());
    if (!written.ok()) return Fail(written);
  }
  LogStart(**daemon, **engine, &log);
  LogUntold(manager->Ready(ServingWhat(**engine)), &log);
  const bool failed = signals.Wait(kTick, [&] {
    const bool going_on = (*daemon)->Tick();
    if ((*daemon)->draining()) LogUntold(manager->Say(kDraining), &log);
    LogUntold(manager->Beat([&] { return going_on && (*daemon)->alive(); }), &log);
    return going_on;
  }) == 0;
  LogUntold(manager->Stopping(kDraining), &log);
  const bool finished = (*daemon)->Stop();
  RemoveReadyFile(options.ready_file);
  log.Write(LogLevel::kInfo, "stopped", {{"all_turns_ended", finished}});
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace ssmd::server

int main(int argc, char** argv) {
  const ssmd::server::CommandLine command = ssmd::server::ParseCommandLine(argc, argv);
  std::fputs(command.output.c_str(), stdout);
  std::fputs(command.error.c_str(), stderr);
  if (!command.options.has_value()) return command.exit_code;
  return ssmd::server::Run(*command.options);
}
