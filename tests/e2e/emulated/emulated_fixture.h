// What the tests of the daemon on an emulated GPU share. It computes some ten tokens a second, so
// they say little.
#ifndef SSMD_TESTS_E2E_EMULATED_EMULATED_FIXTURE_H_
#define SSMD_TESTS_E2E_EMULATED_EMULATED_FIXTURE_H_

#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {

using Environment = std::vector<std::pair<std::string, std::string>>;

class EmulatedFixture : public SessionFixture {
 protected:
  // The bundled model in f32, whose text is the CPU's. `environment`: tests/simt/README.md.
  void StartEmulated(std::vector<std::string> flags = {}, const Environment& environment = {}) {
    flags.insert(flags.end(), {"--device", "cuda"});
    DaemonOptions options = {InF32(std::move(flags)), ""};
    options.binary = SSMD_EMULATED;
    options.environment = environment;
    StartWith(options);
  }
  void StartOnCpu(std::vector<std::string> flags = {}) { Start(InF32(std::move(flags))); }
  void End() { ASSERT_EQ(daemon_->Stop(), std::optional<int>(0)) << daemon_->log(); }

 private:
  static std::vector<std::string> InF32(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--model-option", "tales.weights=f32", "--threads", "1"});
    return flags;
  }
};

// Runs it to its end, which comes soon: it is refused.
inline Finished RunEmulated(const std::string& device, const std::vector<std::string>& flags,
                            const Environment& environment) {
  std::vector<std::string> all = {SSMD_EMULATED, "--device",      device,       "--grpc-listen",
                                  "127.0.0.1:0", "--http-listen", "127.0.0.1:0"};
  all.insert(all.end(), flags.begin(), flags.end());
  Process::Options options;
  options.environment = environment;
  return RunProgram(all, options);
}

}  // namespace ssmd::test

#endif  // SSMD_TESTS_E2E_EMULATED_EMULATED_FIXTURE_H_
