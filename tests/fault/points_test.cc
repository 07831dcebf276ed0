// Every fault point under every operation that meets it (README.md): its first hit fails, its
// second, and so on until an operation does not come to the hit; and each of these once with that
// hit alone, and once with all that follow it, as when a disk stays full.
//
// SSMD_FAULT_TABLE=FILE: where the table of README.md is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/shared/redis_store.h"
#include "kernels/device.h"
#include "tests/fault/fault_world.h"
#include "tests/support/faults.h"
#include "tests/support/redis_process.h"

namespace ssmd::testing {
namespace {

using ::testing::IsEmpty;

#ifdef SSMD_FAULT_GPU
constexpr bool kHasGpu = true;
#else
constexpr bool kHasGpu = false;
#endif

struct Operation {
  std::string name;
  Adjust adjust;                            // of the engine; may be null
  std::function<void(FaultWorld*)> before;  // unharmed; null: nothing, with an engine that runs
  std::function<absl::Status(FaultWorld*)> run;
  std::string after;  // the first hit of this point fails as well; empty: none
  bool ends = false;  // the engine serves nothing more after it
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

Operation Of(std::string name, std::function<absl::Status(FaultWorld*)> run) {
  Operation operation;
  operation.name = std::move(name);
  operation.before = StartUnharmed;
  operation.run = std::move(run);
  return operation;
}

absl::Status VictimsTurn(FaultWorld* world) { return world->Turn(world->victim()); }
absl::Status Maintain(FaultWorld* world) { return world->engine()->Maintain(); }

Operation Start() {
  Operation start = Of("start", [](FaultWorld* world) { return world->Start(); });
  start.before = [](FaultWorld* /*world*/) {};
  return start;
}

Operation Import() {
  const auto snapshot = std::make_shared<std::string>();
  Operation take = Of("import", [snapshot](FaultWorld* world) { return world->Import(*snapshot); });
  take.before = [snapshot](FaultWorld* world) {
    StartUnharmed(world);
    *snapshot = world->Export().value();
  };
  return take;
}

Operation StoreStates() {
  Operation store = Of("store states", Maintain);
  store.adjust = [](EngineOptions* options) { options->state_dir.store_after = Duration(0); };
  store.before = [](FaultWorld* world) {
    StartUnharmed(world);
    EXPECT_TRUE(VictimsTurn(world).ok());
  };
  return store;
}

Operation Compact() {
  Operation compact = Of("compact the log", Maintain);
  compact.adjust = [](EngineOptions* options) { options->state_dir.compact_bytes = 1; };
  return compact;
}

Operation EvictAndBringBack() {
  Operation evict = Of("evict and bring back", [](FaultWorld* world) {
    absl::Status first = world->TurnOfEach(Durability::kProcess);
    first.Update(world->Turn(world->sessions().begin()->first));
    return first;
  });
  evict.adjust = Narrow;
  evict.before = [](FaultWorld* world) {
    StartUnharmed(world);
    for (int i = 0; i < kMoreThanHostKeeps; ++i) EXPECT_TRUE(world->Fork().ok());
  };
  return evict;
}

Operation WithoutSession() {
  Operation anonymous =
      Of("turn without a session", [](FaultWorld* world) { return world->Anonymous(); });
  anonymous.adjust = [](EngineOptions* options) {
    Narrow(options);
    options->limits.prefix_cache_bytes = 1 << 20;
    options->limits.prefix_grid_tokens = 2;
  };
  return anonymous;
}

Operation DrainAndStore() {
  Operation drain = Of("drain and store all", [](FaultWorld* world) {
    world->engine()->Drain();
    return world->engine()->StoreAll(TimePoint::max());
  });
  drain.before = [](FaultWorld* world) {
    StartUnharmed(world);
    EXPECT_TRUE(VictimsTurn(world).ok());
  };
  drain.ends = true;
  return drain;
}

Operation TurnAfterAFailedWrite() {
  Operation turn = Of("turn that is not written", VictimsTurn);
  turn.after = "file.write";
  return turn;
}

std::vector<Operation> LocalOperations() {
  return {Start(),
          Of("create", [](FaultWorld* world) { return world->Create(); }),
          Of("turn", VictimsTurn),
          Of("turn (POWER)",
             [](FaultWorld* world) { return world->Turn(world->victim(), Durability::kPower); }),
          TurnAfterAFailedWrite(),
          WithoutSession(),
          Of("fork", [](FaultWorld* world) { return world->Fork(); }),
          Of("rewind", [](FaultWorld* world) { return world->Rewind(); }),
          Of("checkpoint", [](FaultWorld* world) { return world->Checkpoint(); }),
          Of("export", [](FaultWorld* world) { return world->Export().status(); }),
          Import(),
          Of("delete", [](FaultWorld* world) { return world->Delete(world->victim()); }),
          EvictAndBringBack(),
          StoreStates(),
          Compact(),
          DrainAndStore()};
}

// --- Shared sessions ---

Operation TakeOver() {
  Operation take = Of("go on at another replica", [](FaultWorld* world) {
    absl::Status status = world->Start();
    if (status.ok()) status = world->TurnOfEach(Durability::kProcess);
    return status;
  });
  take.before = [](FaultWorld* world) {
    StartUnharmed(world);
    EXPECT_TRUE(world->TurnOfEach(Durability::kReplicated).ok());
    EXPECT_TRUE(world->engine()->LeaveReplicas(TimePoint::max()).ok());
    world->Stop();
    world->LoseFolder();
  };
  return take;
}

Operation Leave() {
  Operation leave = Of("leave the replicas", [](FaultWorld* world) {
    world->engine()->Drain();
    return world->engine()->LeaveReplicas(std::chrono::steady_clock::now() +
                                          std::chrono::seconds(2));
  });
  leave.before = [](FaultWorld* world) {
    StartUnharmed(world);
    EXPECT_TRUE(VictimsTurn(world).ok());
  };
  leave.ends = true;
  return leave;
}

// The first two meet every point.
std::vector<Operation> SharedOperations() {
  return {
      TakeOver(),
      Of("turn (REPLICATED)",
         [](FaultWorld* world) { return world->Turn(world->victim(), Durability::kReplicated); }),
      Of("create (shared)", [](FaultWorld* world) { return world->Create(); }), Leave()};
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

bool IsOf(const char* part, const Faults::Point& point) {
  return point.name().find(part) != std::string_view::npos;
}

// What may be said of a fault.
bool IsDocumented(const Faults::Point& point, const absl::Status& status) {
  using Code = absl::StatusCode;
  const Code code = status.code();
  // It says what failed, and not that there was no memory.
  if (point.kind() == Faults::Point::Kind::kGpu) {
    return code == Code::kOk || code == Code::kUnavailable;
  }
  if (code == Code::kOk || code == Code::kResourceExhausted) return true;
  // A store that cannot be read is one that is not there.
  if (IsOf("redis", point)) return code == Code::kUnavailable;
  if (point.kind() == Faults::Point::Kind::kAllocation) return false;
  return code == Code::kUnavailable || code == Code::kInternal || code == Code::kDataLoss;
}

using Hits = std::map<Faults::Point*, int64_t>;

Faults::Point* PointOf(const std::string& name) {
  for (Faults::Point* point : Faults::Points()) {
    if (point->name() == name) return point;
  }
  return nullptr;
}

class FaultPointsTest : public ::testing::Test {
 protected:
  using Concerns = std::function<bool(const Faults::Point&)>;

  // Thousands of syncs of a disk would take minutes, and say nothing of the code.
  static void SetUpTestSuite() {
    if (access("/dev/shm", W_OK) == 0) setenv("TEST_TMPDIR", "/dev/shm", /*overwrite=*/0);
  }

  // Each point that concerns the test, under each operation that meets it.
  void Sweep(const std::vector<Operation>& operations, const Concerns& concerns);
  // Whether the operation has come to the hit of the point.
  bool Try(const Operation& operation, Faults::Point* point, int64_t hit, int64_t count);
  // How often it comes to each.
  Hits HitsOf(const Operation& operation);

  // For where each try takes long: then the first hit alone is tried.
  static bool IsShort() { return std::getenv("SSMD_FAULT_LONG") == nullptr; }

  std::unique_ptr<Undisturbed> undisturbed_;
  Adjust share_;
  int64_t hits_most_ = std::numeric_limits<int64_t>::max();

 private:
  absl::Status RunWith(const Operation& operation, FaultWorld* world, Faults* faults);
  bool LookAfter(const Operation& operation, FaultWorld* world, bool failed);
};

absl::Status FaultPointsTest::RunWith(const Operation& operation, FaultWorld* world,
                                      Faults* faults) {
  if (!operation.after.empty()) faults->FailAt(PointOf(operation.after), 1, 1);
  absl::Status status = operation.run(world);
  if (world->engine() != nullptr && world->engine()->device_failure().empty()) world->Settle();
  faults->Stop();
  return status;
}

Hits FaultPointsTest::HitsOf(const Operation& operation) {
  FaultWorld world(undisturbed_.get(), operation.adjust, share_);
  operation.before(&world);
  Hits hits;
  Faults faults;
  const absl::Status status = RunWith(operation, &world, &faults);
  EXPECT_EQ(status.ok(), operation.after.empty()) << status;
  for (Faults::Point* point : Faults::Points()) {
    if (faults.HitsOf(point) > 0) hits[point] = faults.HitsOf(point);
  }
  return hits;
}

// True where it took a restart for everything to go on.
bool FaultPointsTest::LookAfter(const Operation& operation, FaultWorld* world, bool failed) {
  bool restart = false;
  if (world->engine() != nullptr && !operation.ends) {
    restart = !world->engine()->device_failure().empty();
    if (!restart) restart = world->Look(/*restarted=*/false, failed);
  }
  world->Restart();
  if (HasFatalFailure()) return restart;
  EXPECT_THAT(world->Unfinished(), IsEmpty());
  world->Look(/*restarted=*/true, /*may_be_broken=*/false);
  world->LookAtEmpty();
  return restart;
}

bool FaultPointsTest::Try(const Operation& operation, Faults::Point* point, int64_t hit,
                          int64_t count) {
  SCOPED_TRACE(absl::StrCat(operation.name, ": ", std::string(point->name()), ", hit ", hit,
                            count == 1 ? "" : " and all after it"));
  FaultWorld world(undisturbed_.get(), operation.adjust, share_);
  operation.before(&world);
  absl::Status status;
  bool reached = false;
  {
    Faults faults;
    faults.FailAt(point, hit, count);
    status = RunWith(operation, &world, &faults);
    reached = faults.HitsOf(point) >= hit;
  }
  EXPECT_TRUE(reached || status.ok() || !operation.after.empty()) << status;
  EXPECT_TRUE(IsDocumented(*point, status)) << status;
  const bool restart = LookAfter(operation, &world, reached);
  if (!reached) return false;
  Row& row = TheTable()->rows[std::string(point->name())];
  row.operations.insert(operation.name);
  row.answers.insert(absl::StatusCodeToString(status.code()));
  ++row.tries;
  if (!HasFailure()) ++row.survived;
  row.restarts = row.restarts || restart;
  return true;
}

void FaultPointsTest::Sweep(const std::vector<Operation>& operations, const Concerns& concerns) {
  // Each hit up to here; of what is met more often, at intervals that grow by an eighth.
  constexpr int64_t kEachHit = 64;
  std::set<const Faults::Point*> met;
  for (const Operation& operation : operations) {
    const Hits hits = HitsOf(operation);
    ASSERT_FALSE(HasFailure());
    for (const auto& [point, times] : hits) {
      if (!concerns(*point) || operation.after == point->name()) continue;
      met.insert(point);
      for (const int64_t count : {int64_t{1}, Faults::kAllThatFollow}) {
        if (count > 1 && hits_most_ == 1) break;
        for (int64_t n = 1; n <= hits_most_; n += n < kEachHit ? 1 : n / 8) {
          bool reached = false;
          // A thread's end frees what the emulated GPU keeps for it.
          std::thread([&] { reached = Try(operation, point, n, count); }).join();
          ASSERT_FALSE(HasFailure());
          if (!reached) break;
        }
      }
    }
  }
  for (const Faults::Point* point : Faults::Points()) {
    EXPECT_TRUE(!concerns(*point) || met.contains(point)) << "not met: " << point->name();
  }
}

MadeDevice CpuDevice() { return kernels::MakeCpuDevice({std::nullopt, 1}); }

TEST_F(FaultPointsTest, EachIsSurvivedByEachOperation) {
  undisturbed_ = std::make_unique<Undisturbed>(CpuDevice);
  Sweep(LocalOperations(),
        [](const Faults::Point& point) { return !IsOf("redis", point) && !IsOf("gpu.", point); });
}

TEST_F(FaultPointsTest, EachOfRedisIsSurvived) {
  if (!test::RedisProcess::Installed()) GTEST_SKIP() << test::RedisProcess::kNotInstalled;
  const auto redis = test::RedisProcess::Start();
  ASSERT_NE(redis, nullptr);
  undisturbed_ = std::make_unique<Undisturbed>(CpuDevice);
  // Each world has its own part of it, which its Restart finds again.
  share_ = [&](EngineOptions* options) {
    RedisOptions store;
    store.url = redis->url();
    store.prefix = options->state_dir.path + ":";
    store.timeout = std::chrono::seconds(5);  // nothing here is late but the machine
    store.retry_after = std::chrono::milliseconds(1);
    options->sharing.store = *OpenRedisStore(store);
    options->sharing.limits.presence = std::chrono::milliseconds(300);
    options->sharing.limits.patience = std::chrono::milliseconds(1000);
    options->sharing.limits.state_after = std::chrono::milliseconds(1);
  };
  std::vector<Operation> operations = SharedOperations();
  if (IsShort()) {
    hits_most_ = 1;
    operations.resize(2);
  }
  Sweep(operations, [](const Faults::Point& point) { return IsOf("redis", point); });
}

#ifdef SSMD_FAULT_GPU
TEST_F(FaultPointsTest, EachOfTheGpuIsSurvived) {
  undisturbed_ = std::make_unique<Undisturbed>([]() -> MadeDevice {
    kernels::CudaOptions options;
    options.plain = true;  // the emulated GPU would take long to try the others
    std::string error;
    MadeDevice device = kernels::MakeCudaDevice(options, &error);
    if (*device != nullptr) return device;
    return absl::StrContains(error, "no memory") ? absl::ResourceExhaustedError(error)
                                                 : absl::UnavailableError(error);
  });
  if (IsShort()) hits_most_ = 1;
  Operation evict = Of("turns of more sessions than slots",
                       [](FaultWorld* world) { return world->TurnOfEach(Durability::kProcess); });
  evict.adjust = Narrow;
  Sweep({Start(), Of("turn", VictimsTurn), evict,
         Of("export", [](FaultWorld* world) { return world->Export().status(); })},
        [](const Faults::Point& point) { return IsOf("gpu.", point); });
}
#endif

TEST(FaultTable, NamesEveryPointAndNoOther) {
  std::ifstream file(SSMD_FAULT_README);
  std::set<std::string> named;
  const std::string begin = "| `";
  for (std::string line; std::getline(file, line);) {
    const size_t end = line.find("` | ", begin.size());
    const bool is_point = line.starts_with(begin) && end != std::string::npos &&
                          std::count(line.begin(), line.end(), '|') == 7;
    if (is_point) named.insert(line.substr(begin.size(), end - begin.size()));
  }
  std::set<std::string> known;
  for (const Faults::Point* point : Faults::Points()) known.insert(std::string(point->name()));
  if (!kHasGpu) std::erase_if(named, [](const auto& name) { return name.starts_with("gpu."); });
  EXPECT_EQ(named, known) << "make the table of tests/fault/README.md anew";
}

}  // namespace
}  // namespace ssmd::testing
