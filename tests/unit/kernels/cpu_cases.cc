#include "tests/unit/kernels/device_cases.h"

namespace ssmd::kernels {

// Every instruction set that runs here, with 1 thread and with 3 (more than some machines have).
std::vector<DeviceCase> DeviceCases() {
  std::vector<DeviceCase> cases;
  for (const Isa isa : SupportedIsas()) {
    for (const int threads : {1, 3}) {
      DeviceCase& c = cases.emplace_back();
      c.name = std::string(IsaName(isa)) + "_" + std::to_string(threads);
      c.make = [isa](int count, std::string* /*error*/) { return MakeCpuDevice({isa, count}); };
      c.threads = threads;
      c.isa = isa;
    }
  }
  return cases;
}

}  // namespace ssmd::kernels
