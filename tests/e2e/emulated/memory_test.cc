// Memories on a GPU: their coefficients are the CPU's to the bit, wherever their states have been.
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/e2e/emulated/emulated_fixture.h"
#include "tests/e2e/memory_requests.h"

namespace ssmd::test {
namespace {

using Numbers = std::vector<double>;

constexpr const char* kMemories[][2] = {
    {"legs", R"("basis": "legs", "d_state": 40, "channels": 2)"},
    {"bilinear", R"("basis": "legs", "d_state": 12, "discretization": "bilinear")"},
    {"legt", R"("basis": "legt", "d_state": 20, "window": 50)"},
    {"fourier", R"("basis": "fourier", "d_state": 9, "window": 30, "channels": 3)"},
};

class EmulatedMemoryTest : public EmulatedFixture {
 protected:
  // Two slots, so that states leave them.
  std::vector<std::string> Flags(const char* name) const {
    std::vector<std::string> flags = {"--state-slots", "2", "--state-dir", dir_.File(name)};
    for (const auto& [model, config] : kMemories) {
      const std::string folder = dir_.File(model);
      flags.insert(flags.end(), {"--model", absl::StrCat(model, "=", folder)});
    }
    return flags;
  }
  void SetUp() override {
    for (const auto& [model, config] : kMemories) {
      std::filesystem::create_directory(dir_.File(model));
      dir_.Write(absl::StrCat(model, "/config.json"),
                 absl::StrCat(R"({"model_type": "hippo_memory", )", config, "}"));
    }
  }

  std::string New(const std::string& model) {
    client::MemoryStream stream = client_->Memory("");
    return Ask(stream, OpenNew(model)).opened().session().session_id();
  }
  void Append(const std::string& id, int from, int to) {
    client::MemoryStream stream = client_->Memory(id);
    Ask(stream, OpenSession(id));
    Ask(stream, Samples(Wave(from, to)));
  }
  Numbers Coefficients(const std::string& id) {
    client::MemoryStream stream = client_->Memory(id);
    Ask(stream, OpenSession(id));
    const v1::MemoryResponse response = Ask(stream, Query({}));
    Numbers all;
    for (const auto& channel : response.reading().channels()) {
      all.insert(all.end(), channel.coefficients().begin(), channel.coefficients().end());
    }
    return all;
  }

  // Sessions of each memory and a fork of each, all of them appended to in parts.
  void Begin() {
    ids_.clear();
    for (const auto& [model, config] : kMemories) ids_.push_back(New(model));
    for (const std::string& id : ids_) Append(id, 0, 90);
    for (int i = 0; i < 4; ++i) {
      v1::ForkSessionRequest fork;
      fork.set_session_id(ids_[static_cast<size_t>(i)]);
      const auto children = client_->ForkSession(fork);
      ASSERT_TRUE(children.ok());
      ids_.push_back(children.value().at(0).session_id());
      Append(ids_.back(), 500, 506);
    }
  }
  // Goes on with all of them, and with one from further back.
  std::vector<Numbers> GoOn() {
    v1::RewindSessionRequest rewind;
    rewind.set_session_id(ids_[0]);
    rewind.set_position(60);
    rewind.set_allow_recompute(true);
    EXPECT_TRUE(client_->RewindSession(rewind).ok());
    std::vector<Numbers> all;
    for (const std::string& id : ids_) {
      Append(id, 90, 96);
      all.push_back(Coefficients(id));
    }
    return all;
  }

  const TempDir dir_;
  std::vector<std::string> ids_;
};

TEST_F(EmulatedMemoryTest, CoefficientsAreTheCpus) {
  ASSERT_NO_FATAL_FAILURE(StartOnCpu(Flags("cpu")));
  ASSERT_NO_FATAL_FAILURE(Begin());
  const std::vector<Numbers> on_cpu = GoOn();
  ASSERT_NO_FATAL_FAILURE(End());

  ASSERT_NO_FATAL_FAILURE(StartEmulated(Flags("gpu")));
  ASSERT_NO_FATAL_FAILURE(Begin());
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(StartEmulated(Flags("gpu")));
  EXPECT_EQ(GoOn(), on_cpu);
  ASSERT_EQ(on_cpu.size(), 8U);
  EXPECT_EQ(on_cpu[0].size(), 80U);
  EXPECT_NE(on_cpu[0], on_cpu[4]);
}

}  // namespace
}  // namespace ssmd::test
