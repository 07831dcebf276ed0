// What operators are given names metrics that there are, by the list of them (metrics.txt).
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace ssmd::server {
namespace {

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_FALSE(text.empty()) << path;
  return text;
}

std::set<std::string> NamesIn(const std::string& text) {
  std::set<std::string> names;
  // Not behind a colon or before one: those are recorded by a rule.
  const std::regex name("(^|[^:a-z_])((ssmd|process)_[a-z_]+)(?![:a-z_])");
  for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) {
    names.insert((*it)[2]);
  }
  return names;
}

// As PromQL knows them.
std::set<std::string> MetricNames() {
  std::set<std::string> names;
  std::istringstream list(TextOf(SSMD_METRICS_CONTRACT));
  for (std::string line; std::getline(list, line);) {
    std::istringstream words(line);
    std::string type;
    std::string name;
    words >> type >> name;
    if (type == "counter" || type == "gauge") names.insert(name);
    if (type != "histogram") continue;
    for (const char* suffix : {"_bucket", "_sum", "_count"}) names.insert(name + suffix);
  }
  return names;
}

TEST(MetricsInDeploy, AreThoseThatThereAre) {
  const auto there = MetricNames();
  for (const char* file :
       {"grafana/ssmd.json", "prometheus/alerts.yml", "prometheus/recording.yml"}) {
    const auto names = NamesIn(TextOf(absl::StrCat(SSMD_DEPLOY, "/", file)));
    EXPECT_GT(names.size(), 4U) << file;
    for (const std::string& name : names) {
      EXPECT_EQ(there.count(name), 1U) << file << " has " << name << ", which is no metric";
    }
  }
}

TEST(MetricsInDeploy, AlertsCompareWhatIsRecorded) {
  const std::string recording = TextOf(SSMD_DEPLOY "/prometheus/recording.yml");
  const std::string alerts = TextOf(SSMD_DEPLOY "/prometheus/alerts.yml");
  const std::regex recorded("instance_model:[a-z0-9_:]+");
  int found = 0;
  for (std::sregex_iterator it(alerts.begin(), alerts.end(), recorded), end; it != end; ++it) {
    EXPECT_NE(recording.find("record: " + it->str() + "\n"), std::string::npos) << it->str();
    ++found;
  }
  EXPECT_GT(found, 3);
}

}  // namespace
}  // namespace ssmd::server
