// --device, as ssmd has it: where a benchmark's model computes.
#ifndef SSMD_TESTS_BENCH_DEVICE_FLAG_H_
#define SSMD_TESTS_BENCH_DEVICE_FLAG_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/device.h"

namespace ssmd::bench {

// cpu, cuda or cuda:N. Returns it, for more to be said of it.
CLI::Option* AddDeviceFlag(CLI::App* command, std::string* device);

// The number of the GPU; absent: the CPU. REQUIRES: AddDeviceFlag let it pass.
std::optional<int> GpuOf(const std::string& device);

// Likewise; `cpu` is for the CPU alone.
absl::StatusOr<std::unique_ptr<kernels::Device>> MakeDevice(const std::string& device,
                                                            const kernels::CpuOptions& cpu);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_DEVICE_FLAG_H_
