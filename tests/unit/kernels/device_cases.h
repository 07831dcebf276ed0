// The devices that the tests of kernels run on. Each program of them has a DeviceCases() of its
// own: cpu_cases.cc or gpu_cases.cc.
#ifndef SSMD_TESTS_UNIT_KERNELS_DEVICE_CASES_H_
#define SSMD_TESTS_UNIT_KERNELS_DEVICE_CASES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/device.h"

namespace ssmd::kernels {

struct DeviceCase {
  std::string name;
  // A new one, with that many threads if it has threads. Null, and why in *error, where it cannot
  // be had.
  std::function<std::unique_ptr<Device>(int threads, std::string* error)> make;
  int threads = 1;
  std::optional<Isa> isa;  // of the CPU's
  // Whether it gives the bits of the CPU's scalar code. Where it does not, what it gives may be off
  // by `tolerance`, of the largest.
  bool bitwise = true;
  double tolerance = 0;
  bool slow = false;  // so that tests ask for less of it: an emulated GPU
};

inline std::ostream& operator<<(std::ostream& out, const DeviceCase& c) { return out << c.name; }

std::vector<DeviceCase> DeviceCases();

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_DEVICE_CASES_H_
