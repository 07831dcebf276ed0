#include "tests/bench/device_flag.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace ssmd::bench {
namespace {

// −1 for the CPU; absent for what is no device.
std::optional<int> ParseDevice(absl::string_view device) {
  if (device == "cpu") return -1;
  if (device == "cuda") return 0;
  int gpu = 0;
  if (!absl::ConsumePrefix(&device, "cuda:") || !absl::SimpleAtoi(device, &gpu) || gpu < 0) {
    return std::nullopt;
  }
  return gpu;
}

}  // namespace

CLI::Option* AddDeviceFlag(CLI::App* command, std::string* device) {
  return command->add_option("--device", *device, "Where to compute: cpu, cuda or cuda:N")
      ->check([](const std::string& text) -> std::string {
        return ParseDevice(text) ? "" : "must be cpu, cuda or cuda:N, got " + text;
      })
      ->capture_default_str();
}

std::optional<int> GpuOf(const std::string& device) {
  const int gpu = ParseDevice(device).value_or(-1);
  return gpu < 0 ? std::nullopt : std::optional(gpu);
}

absl::StatusOr<std::unique_ptr<kernels::Device>> MakeDevice(const std::string& device,
                                                            const kernels::CpuOptions& cpu) {
  const std::optional<int> gpu = GpuOf(device);
  if (!gpu) return kernels::MakeCpuDevice(cpu);
  kernels::CudaOptions options;
  options.ordinal = *gpu;
  std::string error;
  std::unique_ptr<kernels::Device> made = kernels::MakeCudaDevice(options, &error);
  if (made != nullptr) return made;
  return absl::FailedPreconditionError(absl::StrCat("--device ", device, ": ", error));
}

}  // namespace ssmd::bench
