// Sessions on a GPU: they say what they say on the CPU, wherever their states have been.
#include "tests/e2e/emulated/emulated_fixture.h"

namespace ssmd::test {
namespace {

using Ids = std::vector<int32_t>;

class EmulatedSessionsTest : public EmulatedFixture {
 protected:
  const TempDir dir_;
};

TEST_F(EmulatedSessionsTest, GreedyTextIsTheCpus) {
  const v1::GenerateRequest request = GreedyRequest("Once upon a time", 40);
  ASSERT_NO_FATAL_FAILURE(StartOnCpu());
  const Turn on_cpu = RunTurn(*client_, request);
  ASSERT_NO_FATAL_FAILURE(StartEmulated());
  const Turn on_gpu = RunTurn(*client_, request);
  ASSERT_FALSE(on_gpu.error) << on_gpu.Describe();
  EXPECT_EQ(on_gpu.only().ids.size(), 40U);
  EXPECT_EQ(on_gpu.only().ids, on_cpu.only().ids);
  EXPECT_EQ(on_gpu.only().text, on_cpu.only().text);
  EXPECT_NE(on_gpu.started.numerics_profile(), on_cpu.started.numerics_profile());
}

// Plain kernels have the CPU's bits, in 16 bits as well: they draw and round alike.
TEST_F(EmulatedSessionsTest, NarrowStatesAreTheCpus) {
  v1::GenerateRequest request = GreedyRequest("Once upon a time", 12);
  request.set_logprobs(0);
  const std::vector<std::string> flags = {"--model-option", "tales.state=bf16", "--isa", "scalar"};
  ASSERT_NO_FATAL_FAILURE(StartOnCpu(flags));
  const Turn on_cpu = RunTurn(*client_, request);
  ASSERT_NO_FATAL_FAILURE(
      StartEmulated({"--model-option", "tales.state=bf16", "--gpu-kernels", "plain"}));
  const Turn on_gpu = RunTurn(*client_, request);
  ASSERT_FALSE(on_gpu.error) << on_gpu.Describe();
  EXPECT_EQ(on_gpu.only().ids, on_cpu.only().ids);
  EXPECT_EQ(LogprobBits(on_gpu.only().logprobs), LogprobBits(on_cpu.only().logprobs));
}

// More sessions than slots, a fork, a checkpoint that is gone back to, and a restart in between.
class EmulatedCourse : public EmulatedSessionsTest {
 protected:
  std::vector<std::string> Flags(const char* name) const {
    return {"--state-slots",        "3", "--host-state-bytes", "0",
            "--prefix-cache-bytes", "0", "--state-dir",        dir_.File(name)};
  }
  void SayAll(const std::string& text, std::vector<Ids>* said) {
    for (const std::string& id : ids_) {
      const Turn turn = Say(id, text, 3);
      ASSERT_FALSE(turn.error) << turn.Describe();
      said->push_back(turn.only().ids);
    }
  }
  void Begin(std::vector<Ids>* said) {
    ids_.clear();
    for (int i = 0; i < 4; ++i) ids_.push_back(Create());
    ASSERT_NO_FATAL_FAILURE(SayAll("Once", said));
    v1::ForkSessionRequest fork;
    fork.set_session_id(ids_[0]);
    const auto children = client_->ForkSession(fork);
    ASSERT_TRUE(children.ok());
    ids_.push_back(children.value().at(0).session_id());
    v1::CheckpointSessionRequest checkpoint;
    checkpoint.set_session_id(ids_[1]);
    checkpoint.set_name("early");
    ASSERT_TRUE(client_->CheckpointSession(checkpoint).ok());
    ASSERT_NO_FATAL_FAILURE(SayAll(" a dog", said));
  }
  void GoOn(std::vector<Ids>* said) {
    v1::RewindSessionRequest rewind;
    rewind.set_session_id(ids_[1]);
    rewind.set_checkpoint("early");
    ASSERT_TRUE(client_->RewindSession(rewind).ok());
    ASSERT_NO_FATAL_FAILURE(SayAll(" and", said));
  }

  std::vector<std::string> ids_;
};

TEST_F(EmulatedCourse, IsTheSameAsOnTheCpu) {
  std::vector<Ids> on_cpu;
  ASSERT_NO_FATAL_FAILURE(StartOnCpu(Flags("cpu")));
  ASSERT_NO_FATAL_FAILURE(Begin(&on_cpu));
  ASSERT_NO_FATAL_FAILURE(GoOn(&on_cpu));
  ASSERT_NO_FATAL_FAILURE(End());

  std::vector<Ids> on_gpu;
  ASSERT_NO_FATAL_FAILURE(StartEmulated(Flags("gpu")));
  ASSERT_NO_FATAL_FAILURE(Begin(&on_gpu));
  EXPECT_GT(StatsOf(*client_).host_states(), 0);
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(StartEmulated(Flags("gpu")));
  ASSERT_NO_FATAL_FAILURE(GoOn(&on_gpu));
  EXPECT_EQ(on_gpu, on_cpu);
}

}  // namespace
}  // namespace ssmd::test
