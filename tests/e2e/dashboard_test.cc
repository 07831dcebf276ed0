// What is given to operators, on a real daemon with some load and a real Prometheus: every query of
// the dashboard has data, and no rule has an error.
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <regex>
#include <set>

#include "absl/strings/str_replace.h"
#include "tests/e2e/session_fixture.h"
#include "tests/support/prometheus.h"
#include "tests/support/redis_process.h"

namespace ssmd::test {
namespace {

constexpr char kDashboard[] = SSMD_DEPLOY "/grafana/ssmd.json";
constexpr size_t kSlots = 4;
// Host memory takes eight at least: with these a few have to be on disk.
constexpr size_t kSessions = 20;

using Queries = std::map<std::string, std::string>;  // by where they stand

// As Grafana does it, for all instances and models.
std::string Substituted(const std::string& query) {
  return absl::StrReplaceAll(query,
                             {{"$__rate_interval", "10s"}, {"$instance", ".*"}, {"$model", ".*"}});
}

class DashboardTest : public SessionFixture {
 protected:
  void SetUp() override {
    if (!Prometheus::Installed()) {
      GTEST_SKIP() << "prometheus is not installed (Debian package prometheus)";
    }
    if (!RedisProcess::Installed()) GTEST_SKIP() << RedisProcess::kNotInstalled;
    redis_ = RedisProcess::Start();
    ASSERT_NE(redis_, nullptr);
    Start({"--state-dir", dir_.File("state"), "--state-slots", std::to_string(kSlots),
           "--host-state-bytes", "0", "--shared-store", redis_->url()});
    prometheus_ = Prometheus::Start(daemon_->http(), {SSMD_DEPLOY "/prometheus/recording.yml",
                                                      SSMD_DEPLOY "/prometheus/alerts.yml"});
    ASSERT_NE(prometheus_, nullptr);
    for (size_t i = 0; i < kSessions; ++i) sessions_.push_back(Create());
  }

  void TearDown() override { daemon_.reset(); }  // while there is a store to give sessions up to

  // Some of everything: sessions more than there is room for, prompts without a session that begin
  // alike, and errors.
  void Load() {
    for (const std::string& session : sessions_) {
      v1::GenerateRequest request = GreedyRequest("Once upon a time", 4);
      request.set_session_id(session);
      EXPECT_FALSE(RunTurn(*client_, request).error);
    }
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(RunTurn(*client_, GreedyRequest("One day, a girl named Lily", 8)).error);
    }
    EXPECT_TRUE(RunTurn(*client_, GreedyRequest("", 4)).error);
  }
  // Finite values are there, as a panel needs one.
  bool HasData(const std::string& query) {
    const auto values = prometheus_->Query(query);
    EXPECT_TRUE(values.has_value()) << "refused: " << query;
    return values.has_value() && std::any_of(values->begin(), values->end(),
                                             [](double value) { return std::isfinite(value); });
  }

  const TempDir dir_;
  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<Prometheus> prometheus_;
  std::vector<std::string> sessions_;
};

void ReadDashboard(rapidjson::Document* dashboard) {
  dashboard->Parse(ReadFile(kDashboard).c_str());
  ASSERT_FALSE(dashboard->HasParseError()) << kDashboard << " at " << dashboard->GetErrorOffset();
}

Queries QueriesOf(const rapidjson::Document& dashboard) {
  Queries queries;
  for (const auto& panel : dashboard["panels"].GetArray()) {
    if (!panel.HasMember("targets")) continue;
    for (const auto& target : panel["targets"].GetArray()) {
      const std::string place =
          std::string(panel["title"].GetString()) + ", " + target["refId"].GetString();
      EXPECT_TRUE(queries.emplace(place, Substituted(target["expr"].GetString())).second) << place;
    }
  }
  // A variable lists what a query finds.
  const std::regex label_values("label_values\\((.*), (\\w+)\\)");
  for (const auto& variable : dashboard["templating"]["list"].GetArray()) {
    if (std::string(variable["type"].GetString()) != "query") continue;
    queries[std::string("$") + variable["name"].GetString()] = std::regex_replace(
        Substituted(variable["query"]["query"].GetString()), label_values, "count by ($2) ($1)");
  }
  return queries;
}

TEST_F(DashboardTest, EveryQueryHasData) {
  rapidjson::Document dashboard;
  ReadDashboard(&dashboard);
  Queries without = QueriesOf(dashboard);
  EXPECT_GT(without.size(), 50U);
  Eventually(
      [&] {
        Load();
        for (auto it = without.begin(); it != without.end();) {
          it = HasData(it->second) ? without.erase(it) : std::next(it);
        }
        return without.empty() || HasFailure();
      },
      std::chrono::seconds(45));
  for (const auto& [place, query] : without) ADD_FAILURE() << place << ": no data: " << query;
}

TEST_F(DashboardTest, NoRuleHasAnError) {
  Load();
  rapidjson::Document rules;
  // Until all have been evaluated.
  ASSERT_TRUE(Eventually([&] {
    const std::string body = prometheus_->Get("rules");
    rules.Parse(body.c_str());
    return body.find("\"unknown\"") == std::string::npos;
  }));
  size_t count = 0;
  for (const auto& group : rules["data"]["groups"].GetArray()) {
    for (const auto& rule : group["rules"].GetArray()) {
      ++count;
      EXPECT_STREQ(rule["health"].GetString(), "ok") << rule["name"].GetString();
    }
  }
  EXPECT_GT(count, 20U);
  EXPECT_EQ(prometheus_->Query("ALERTS{alertstate=\"firing\"}"), std::vector<double>());
}

TEST(Dashboard, EveryPanelSaysWhatItShowsAndHasItsPlace) {
  rapidjson::Document dashboard;
  ReadDashboard(&dashboard);
  EXPECT_STREQ(dashboard["uid"].GetString(), "ssmd");
  std::set<int> ids;
  std::set<std::pair<int, int>> places;
  for (const auto& panel : dashboard["panels"].GetArray()) {
    const std::string title = panel["title"].GetString();
    EXPECT_TRUE(ids.insert(panel["id"].GetInt()).second) << title << " has another one's id";
    if (std::string(panel["type"].GetString()) == "row") continue;
    EXPECT_GT(std::string(panel["description"].GetString()).size(), 20U) << title;
    EXPECT_STREQ(panel["datasource"]["uid"].GetString(), "${datasource}") << title;
    const auto& grid = panel["gridPos"];
    EXPECT_LE(grid["x"].GetInt() + grid["w"].GetInt(), 24) << title;
    for (int x = 0; x < grid["w"].GetInt(); ++x) {
      for (int y = 0; y < grid["h"].GetInt(); ++y) {
        EXPECT_TRUE(places.emplace(grid["x"].GetInt() + x, grid["y"].GetInt() + y).second)
            << title << " lies on another one";
      }
    }
  }
}

}  // namespace
}  // namespace ssmd::test
