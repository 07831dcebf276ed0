// A real Prometheus for a test, on a free port, that scrapes one daemon every second.
//
// Owned by one test, which asks Installed() first: the programs are looked for on the PATH.
#ifndef SSMD_TESTS_SUPPORT_PROMETHEUS_H_
#define SSMD_TESTS_SUPPORT_PROMETHEUS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace ssmd::test {

class Prometheus {
 public:
  static bool Installed();
  // Of the job ssmd. Waits for the first scrape of `target` ("HOST:PORT"); when there is none the
  // test has failed and null is returned.
  static std::unique_ptr<Prometheus> Start(const std::string& target,
                                           const std::vector<std::string>& rule_files = {});

  // The values of an instant query; nothing when it is refused.
  std::optional<std::vector<double>> Query(const std::string& expression) const;
  // The only value; nothing when there is none, or more.
  std::optional<double> QueryOne(const std::string& expression) const;
  // The body of /api/v1/`path`, empty when there is none.
  std::string Get(const std::string& path) const;

 private:
  Prometheus(const std::string& target, const std::vector<std::string>& rule_files);

  const TempDir dir_;
  const std::string address_;
  std::unique_ptr<Process> process_;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_PROMETHEUS_H_
