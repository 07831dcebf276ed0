// Every metric, its labels and its buckets, against a committed list: dashboards and alerts hang on
// them. Additions need a line more in that list; what removes or renames something fails.
//
// To accept additions: SSMD_UPDATE_METRICS=1 unit_server_test --gtest_filter='MetricsContract.*'
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {
namespace {

const char kMetricsPath[] = SSMD_METRICS_CONTRACT;

// The text of all series that there can be.
std::string ScrapeOfAll() {
  Metrics metrics({"MODEL"});
  ModelStats stats;
  stats.model = std::string("MODEL");
  EngineFigures figures;
  figures.fast_kernels = {{"KERNEL", ""}};
  figures.sharing.emplace();
  return metrics.Scrape({stats}, figures, {});
}

std::string WithoutSuffix(const std::string& sample) {
  return std::regex_replace(sample, std::regex("_(bucket|sum|count)$"), "");
}

// "histogram ssmd_step_seconds", "label ssmd_step_seconds phase mixed", "buckets ssmd_… 0.1 0.2 …".
std::set<std::string> PresentMetrics() {
  std::set<std::string> lines;
  std::set<std::string> histograms;
  std::map<std::string, std::string> buckets;
  std::istringstream text(ScrapeOfAll());
  for (std::string line; std::getline(text, line);) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex("# TYPE (\\S+) (\\S+)"))) {
      lines.insert(absl::StrCat(match.str(2), " ", match.str(1)));
      if (match[2] == "histogram") histograms.insert(match[1]);
    }
    if (!std::regex_match(line, match, std::regex("([a-z_]+)\\{(.*)\\} \\S+"))) continue;
    std::string name = match[1];
    if (histograms.count(WithoutSuffix(name)) > 0) name = WithoutSuffix(name);
    const std::string labels = match[2];
    const std::regex label("([a-z]+)=\"([^\"]*)\"");
    for (std::sregex_iterator it(labels.begin(), labels.end(), label), end; it != end; ++it) {
      const std::string key = (*it)[1];
      const std::string value = key == "version" ? "VERSION" : it->str(2);
      if (key == "le") {
        std::string& bounds = buckets[name];
        // Once for all series of the name.
        if (bounds.find("+Inf") == std::string::npos) absl::StrAppend(&bounds, " ", value);
      } else {
        lines.insert(absl::StrCat("label ", name, " ", key, " ", value));
      }
    }
  }
  for (const auto& [name, bounds] : buckets) lines.insert("buckets " + name + bounds);
  return lines;
}

std::set<std::string> WrittenMetrics() {
  std::set<std::string> lines;
  std::ifstream file(kMetricsPath);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') lines.insert(line);
  }
  return lines;
}

TEST(MetricsContract, NothingThatWasPromisedIsGone) {
  const auto present = PresentMetrics();
  const auto written = WrittenMetrics();
  ASSERT_FALSE(written.empty()) << kMetricsPath;
  for (const std::string& line : written) {
    EXPECT_EQ(present.count(line), 1U) << "removed or changed: " << line;
  }
}

TEST(MetricsContract, AdditionsAreWrittenDown) {
  const auto present = PresentMetrics();
  if (std::getenv("SSMD_UPDATE_METRICS") != nullptr) {
    // Old lines stay, so that this cannot hide what was removed.
    auto all = WrittenMetrics();
    all.insert(present.begin(), present.end());
    std::ofstream file(kMetricsPath);
    file << "# What /metrics has: what dashboards rely on. See metrics_contract_test.cc.\n";
    for (const std::string& line : all) file << line << "\n";
  }
  const auto written = WrittenMetrics();
  for (const std::string& line : present) {
    EXPECT_EQ(written.count(line), 1U) << "not in the list yet: " << line;
  }
}

}  // namespace
}  // namespace ssmd::server
