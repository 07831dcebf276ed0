#include "tests/bench/server_under_test.h"

#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/base/status_macros.h"
#include "tests/bench/device_flag.h"
#include "tests/bench/json_text.h"
#include "tests/bench/roofline.h"
#include "tests/support/http_get.h"

namespace ssmd::bench {
namespace {

constexpr char kGroup[] = "The daemon";

client::CallOptions Question() { return {.timeout = std::chrono::seconds(30), .cancel = {}}; }

std::string BinaryBesideThis() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "ssmd" : (self.parent_path() / "ssmd").string();
}

}  // namespace

void AddChildFlags(CLI::App* command, ServerFlags* flags) {
  command->add_option("--model", flags->model, "NAME=PATH to serve (default: the bundled model)")
      ->group(kGroup);
  command->add_option("--random", flags->random, "Or a shape, with random bf16 weights")
      ->check(CLI::IsMember(RandomShapes()))
      ->group(kGroup);
  command
      ->add_option("--weights", flags->weights,
                   "f32, bf16, q8, q4; on a GPU f16 and fp8 too (default: as its files)")
      ->check(CLI::IsMember({"f32", "bf16", "f16", "fp8", "q8", "q4"}))
      ->group(kGroup);
  AddDeviceFlag(command, &flags->device)->group(kGroup);
  command->add_option("--threads", flags->threads, "Its compute threads (default: one a CPU)")
      ->check(CLI::Range(1, 1024))
      ->group(kGroup);
  command
      ->add_option("--ssmd", flags->binary, "The program to start (default: the one beside this)")
      ->group(kGroup);
}

void AddServerFlags(CLI::App* command, ServerFlags* flags) {
  AddChildFlags(command, flags);
  auto* address =
      command->add_option("--address", flags->address,
                          "HOST:PORT of a daemon that runs already, instead of starting one");
  address->group(kGroup);
  command->add_option("--http", flags->http, "Its HOST:PORT for metrics")
      ->needs(address)
      ->group(kGroup);
}

absl::Status StatusOf(const client::Error& error) {
  return {static_cast<absl::StatusCode>(error.code), client::ToString(error)};
}

absl::Status ServerUnderTest::StartChild(const std::vector<std::string>& more) {
  if (!flags_.random.empty() && random_ == nullptr) {
    random_ = std::make_unique<RandomCheckpoint>(flags_.random);
    SSMD_RETURN_IF_ERROR(random_->status());
  }
  std::string model = flags_.model.empty() ? "tales-2m=" SSMD_TALES_MODEL : flags_.model;
  if (random_ != nullptr) model = absl::StrCat(flags_.random, "=", random_->folder());
  const size_t equals = model.find('=');
  if (equals == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("--model must be NAME=PATH, got ", model));
  }
  model_path_ = model.substr(equals + 1);
  std::vector<std::string> arguments = {"--model", model, "--log-level", "warn"};
  if (!flags_.weights.empty()) {
    arguments.insert(
        arguments.end(),
        {"--model-option", absl::StrCat(model.substr(0, equals), ".weights=", flags_.weights)});
  }
  if (flags_.device != "cpu") arguments.insert(arguments.end(), {"--device", flags_.device});
  if (flags_.threads > 0) {
    arguments.insert(arguments.end(), {"--threads", absl::StrCat(flags_.threads)});
  }
  arguments.insert(arguments.end(), more.begin(), more.end());
  SSMD_ASSIGN_OR_RETURN(
      child_, test::DaemonProcess::Start(flags_.binary.empty() ? BinaryBesideThis() : flags_.binary,
                                         arguments));
  address_ = child_->grpc();
  http_ = child_->http();
  return absl::OkStatus();
}

absl::Status ServerUnderTest::Start(const std::vector<std::string>& more) {
  if (is_ours()) {
    SSMD_RETURN_IF_ERROR(StartChild(more));
  } else {
    address_ = flags_.address;
    http_ = flags_.http;
  }
  client::ConnectOptions options;
  options.server = address_;
  SSMD_ASSIGN_OR_RETURN(client_, ValueOf(client::Client::Create(options)));
  SSMD_ASSIGN_OR_RETURN(const std::vector<v1::Model> models,
                        ValueOf(client_->ListModels(Question())));
  if (models.size() != 1) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s serves %d models: measure a daemon that serves one", address_, models.size()));
  }
  model_ = models[0];
  return absl::OkStatus();
}

absl::Status ServerUnderTest::Stop() {
  client_ = nullptr;
  if (child_ == nullptr) return absl::OkStatus();
  const auto status = child_->Stop();
  const std::string errors = child_->process().errors();
  child_ = nullptr;
  if (status == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrFormat("ssmd ended with status %d:\n%s", status.value_or(-1), errors));
}

absl::StatusOr<std::string> ServerUnderTest::Metrics() const {
  if (http_.empty()) return absl::InvalidArgumentError("say where its metrics are: --http");
  test::HttpAnswer answer = test::HttpGet(http_, "/metrics");
  if (answer.status == 200) return std::move(answer.body);
  return absl::UnavailableError(
      absl::StrFormat("no metrics at http://%s/metrics (status %d)", http_, answer.status));
}

absl::StatusOr<v1::ModelStats> ServerUnderTest::Stats() {
  SSMD_ASSIGN_OR_RETURN(const v1::GetStatsResponse stats, ValueOf(client_->GetStats(Question())));
  if (stats.models_size() == 1) return stats.models(0);
  return absl::InternalError("its figures are not of one model");
}

std::string ServerUnderTest::HeaderJson(const std::string& bench) const {
  const unsigned cpus = std::thread::hardware_concurrency();
  const unsigned threads = flags_.threads > 0 ? static_cast<unsigned>(flags_.threads) : cpus;
  return absl::StrFormat(
      R"("bench":"%s","date":"%s","machine":{"cpu":%s,"cpus":%d,"threads":%s},)"
      R"("model":{"name":%s,"parameters":%d,"state_bytes":%d,"device":%s,"numerics_profile":%s})",
      bench, absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()), JsonText(CpuName()),
      cpus, is_ours() ? absl::StrCat(threads) : "null", JsonText(model_.name()),
      model_.parameters(), model_.state_bytes_per_session(), JsonText(model_.device()),
      JsonText(model_.numerics_profile()));
}

}  // namespace ssmd::bench
