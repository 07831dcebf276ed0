// Every fault point under every operation that meets it (README.md): its first hit fails, its
// second, and so on until an operation does not come to the hit; and each of these once with that
// hit alone, and once with all that follow it, as when a disk stays full.
//
// SSMD_FAULT_TABLE=FILE: where the table of README.md is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tests/fault/fault_world.h"
#include "tests/support/faults.h"

namespace ssmd::testing {
namespace {

using ::testing::IsEmpty;

struct Operation {
  std::string name;
  Adjust adjust;                            // of the engine; may be null
  std::function<void(FaultWorld*)> before;  // unharmed; null: nothing, with an engine that runs
  std::function<absl::Status(FaultWorld*)> run;
};

// --- The operations ---

void StartUnharmed(FaultWorld* world) {
  const absl::Status status = world->Start();
  ASSERT_TRUE(status.ok()) << status;
}

constexpr int kMoreThanHostKeeps = 10;  // states of each model, whatever the limit

// So that a state has to leave its slot, and host memory, for each turn.
void Narrow(EngineOptions* options) {
  options->limits.state_slots = 2;
  options->limits.host_state_bytes = 0;
}

std::vector<Operation> Operations() {
  std::vector<Operation> all;
  const auto add = [&](std::string name, Adjust adjust, std::function<void(FaultWorld*)> before,
                       std::function<absl::Status(FaultWorld*)> run) {
    all.push_back({std::move(name), std::move(adjust), std::move(before), std::move(run)});
  };
  const auto nothing = [](FaultWorld* /*world*/) {};
  add("start", nullptr, nothing, [](FaultWorld* world) { return world->Start(); });
  add("create", nullptr, StartUnharmed, [](FaultWorld* world) { return world->Create(); });
  add("turn", nullptr, StartUnharmed,
      [](FaultWorld* world) { return world->Turn(world->victim()); });
  add("turn (POWER)", nullptr, StartUnharmed,
      [](FaultWorld* world) { return world->Turn(world->victim(), Durability::kPower); });
  add("fork", nullptr, StartUnharmed, [](FaultWorld* world) { return world->Fork(); });
  add("rewind", nullptr, StartUnharmed, [](FaultWorld* world) { return world->Rewind(); });
  add("checkpoint", nullptr, StartUnharmed, [](FaultWorld* world) { return world->Checkpoint(); });
  add("export", nullptr, StartUnharmed, [](FaultWorld* world) { return world->Export().status(); });
  const auto snapshot = std::make_shared<std::string>();
  add(
      "import", nullptr,
      [snapshot](FaultWorld* world) {
        StartUnharmed(world);
        *snapshot = world->Export().value();
      },
      [snapshot](FaultWorld* world) { return world->Import(*snapshot); });
  add("delete", nullptr, StartUnharmed,
      [](FaultWorld* world) { return world->Delete(world->victim()); });
  add(
      "store states", [](EngineOptions* options) { options->state_dir.store_after = Duration(0); },
      [](FaultWorld* world) {
        StartUnharmed(world);
        EXPECT_TRUE(world->Turn(world->victim()).ok());
      },
      [](FaultWorld* world) { return world->engine()->Maintain(); });
  add(
      "compact the log", [](EngineOptions* options) { options->state_dir.compact_bytes = 1; },
      StartUnharmed, [](FaultWorld* world) { return world->engine()->Maintain(); });
  add(
      "evict and bring back", Narrow,
      [](FaultWorld* world) {
        StartUnharmed(world);
        for (int i = 0; i < kMoreThanHostKeeps; ++i) EXPECT_TRUE(world->Fork().ok());
      },
      [](FaultWorld* world) {
        std::vector<std::string> ids;
        for (const auto& [id, session] : world->sessions()) ids.push_back(id);
        absl::Status first;
        for (const std::string& id : ids) first.Update(world->Turn(id));
        first.Update(world->Turn(ids.front()));
        return first;
      });
  add(
      "turn without a session",
      [](EngineOptions* options) {
        Narrow(options);
        options->limits.prefix_cache_bytes = 1 << 20;
        options->limits.prefix_grid_tokens = 2;
      },
      StartUnharmed, [](FaultWorld* world) { return world->Anonymous(); });
  add(
      "drain and store all", nullptr,
      [](FaultWorld* world) {
        StartUnharmed(world);
        EXPECT_TRUE(world->Turn(world->victim()).ok());
      },
      [](FaultWorld* world) {
        world->engine()->Drain();
        return world->engine()->StoreAll(TimePoint::max());
      });
  return all;
}

// --- The table ---

struct Row {
  std::set<std::string> operations;
  int tries = 0;
  std::set<std::string> answers;
  int survived = 0;
  bool restarts = false;  // some needed one
};

const char* NameOf(kernels::FaultPoint::Kind kind) {
  using Kind = kernels::FaultPoint::Kind;
  switch (kind) {
    case Kind::kAllocation:
      return "allocation";
    case Kind::kOpen:
      return "open";
    case Kind::kRead:
      return "read";
    case Kind::kWrite:
      return "write";
    case Kind::kSync:
      return "fsync";
    case Kind::kName:
      return "names";
    case Kind::kNetwork:
      return "network";
    case Kind::kGpu:
      return "GPU";
  }
  return "";
}

class Table : public ::testing::Environment {
 public:
  std::map<std::string, Row> rows;  // by point

  std::string Text() const {
    std::string text =
        "| point | kind | operations that met it | faults tried | answered with | survived |\n"
        "|---|---|---|---|---|---|\n";
    std::map<std::string, const kernels::FaultPoint*> points;
    for (const auto* point : Faults::Points()) points[std::string(point->name())] = point;
    for (const auto& [name, row] : rows) {
      absl::StrAppendFormat(&text, "| `%s` | %s | %s | %d | %s | %d%s |\n", name,
                            NameOf(points.at(name)->kind()), absl::StrJoin(row.operations, ", "),
                            row.tries, absl::StrJoin(row.answers, ", "), row.survived,
                            row.restarts ? " (some by a restart)" : "");
    }
    return text;
  }

  void TearDown() override {
    if (rows.empty()) return;
    std::cout << Text();
    if (const char* path = std::getenv("SSMD_FAULT_TABLE")) std::ofstream(path) << Text();
  }
};

Table* TheTable() {
  static Table* const table = static_cast<Table*>(::testing::AddGlobalTestEnvironment(new Table));
  return table;
}
const Table* const registered_table = TheTable();

// --- The test ---

bool IsOfRedis(const kernels::FaultPoint& point) {
  return point.name().find("redis") != std::string_view::npos;
}

// What may be said of a fault.
bool IsDocumented(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

class FaultPointsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { undisturbed_ = std::make_unique<Undisturbed>(); }
  static void TearDownTestSuite() { undisturbed_.reset(); }

  // Whether the operation has come to the hit. `point` may be null: none fails, and *hits gets how
  // often each was met.
  bool Try(const Operation& operation, Faults::Point* point, int64_t hit, int64_t count,
           std::map<Faults::Point*, int64_t>* hits);

  static std::unique_ptr<Undisturbed> undisturbed_;
};
std::unique_ptr<Undisturbed> FaultPointsTest::undisturbed_;

bool FaultPointsTest::Try(const Operation& operation, Faults::Point* point, int64_t hit,
                          int64_t count, std::map<Faults::Point*, int64_t>* hits) {
  FaultWorld world(undisturbed_.get(), operation.adjust);
  operation.before(&world);
  absl::Status status;
  bool reached = false;
  {
    Faults faults;
    if (point != nullptr) faults.FailAt(point, hit, count);
    status = operation.run(&world);
    if (world.engine() != nullptr) world.Settle();
    for (Faults::Point* each : Faults::Points()) {
      const int64_t met = faults.HitsOf(each);
      if (hits != nullptr && met > 0) (*hits)[each] = met;
      if (each == point) reached = met >= hit;
    }
  }
  EXPECT_TRUE(reached || status.ok()) << status;
  EXPECT_TRUE(IsDocumented(status)) << status;
  bool broken = false;
  const bool draining = operation.name == "drain and store all";
  if (world.engine() != nullptr && !draining) {
    broken = world.Look(/*restarted=*/false, reached);
  }
  world.Restart();
  if (::testing::Test::HasFatalFailure()) return reached;
  EXPECT_THAT(world.Unfinished(), IsEmpty());
  world.Look(/*restarted=*/true, /*may_be_broken=*/false);
  world.LookAtEmpty();
  if (reached) {
    Row& row = TheTable()->rows[std::string(point->name())];
    row.operations.insert(operation.name);
    row.answers.insert(absl::StatusCodeToString(status.code()));
    ++row.tries;
    if (!::testing::Test::HasFailure()) ++row.survived;
    row.restarts = row.restarts || broken;
  }
  return reached;
}

TEST_F(FaultPointsTest, EachIsSurvivedByEachOperation) {
  constexpr int64_t kHitsMost = 500;
  const char* only = std::getenv("SSMD_FAULT_OPERATION");
  std::set<Faults::Point*> met;
  for (const Operation& operation : Operations()) {
    if (only != nullptr && operation.name != only) continue;
    SCOPED_TRACE(operation.name);
    std::map<Faults::Point*, int64_t> hits;
    Try(operation, nullptr, 0, 0, &hits);
    ASSERT_FALSE(HasFailure());
    EXPECT_FALSE(hits.empty()) << "it meets no point";
    for (const auto& [point, times] : hits) {
      met.insert(point);
      for (const int64_t count : {int64_t{1}, int64_t{1} << 40}) {
        for (int64_t n = 1; n < kHitsMost; ++n) {
          SCOPED_TRACE(absl::StrCat(std::string(point->name()), ", hit ", n,
                                    count == 1 ? "" : " and all after it"));
          if (std::getenv("SSMD_FAULT_VERBOSE") != nullptr)
            std::cerr << operation.name << " " << point->name() << " " << n << " " << count << "\n";
          if (!Try(operation, point, n, count, nullptr)) break;
          if (HasFailure() && std::getenv("SSMD_FAULT_VERBOSE") == nullptr) return;
        }
      }
    }
  }
  for (const Faults::Point* point : Faults::Points()) {
    if (only != nullptr || IsOfRedis(*point)) continue;
    EXPECT_TRUE(met.contains(const_cast<Faults::Point*>(point)))
        << "no operation meets " << point->name();
  }
}

TEST(FaultTable, NamesEveryPoint) {
  std::ifstream file(SSMD_FAULT_README);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const Faults::Point* point : Faults::Points()) {
    EXPECT_NE(text.find(absl::StrCat("| `", std::string(point->name()), "` |")), std::string::npos)
        << point->name() << " is not in the table of tests/fault/README.md: make it anew";
  }
}

}  // namespace
}  // namespace ssmd::testing
