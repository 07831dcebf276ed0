// --gemm=fast: prompts' products by cuBLASLt, of which a fake one stands in here
// (tests/simt/fake_cublas_lt.cc).
#include <gmock/gmock.h>

#include <fstream>

#include "tests/e2e/emulated/emulated_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/models.h"

namespace ssmd::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class EmulatedGemmTest : public EmulatedFixture {
 protected:
  Environment With(const std::string& how = "") const {
    return {{"LD_LIBRARY_PATH", SSMD_FAKE_CUBLAS_FOLDER},
            {"SSMD_FAKE_CUBLAS", how},
            {"SSMD_FAKE_CUBLAS_LOG", dir_.File("log")}};
  }
  void Begin(const std::string& gemm, const Environment& environment) {
    DaemonOptions options;
    options.flags = {"--device",       "cuda", "--gemm",         gemm,
                     "--token-budget", "256",  "--model-option", "small.weights=bf16"};
    options.model = "small=" + dir_.File("model");
    options.binary = SSMD_EMULATED;
    options.environment = environment;
    ASSERT_NO_FATAL_FAILURE(StartWith(options));
  }
  void SetUp() override {
    WriteRandomMamba(dir_.File("model"), {.d_model = 40, .vocabulary = 50, .state = 8}, 1);
  }
  // Products so far.
  int Logged() const {
    std::ifstream file(dir_.File("log"));
    int lines = 0;
    for (std::string line; std::getline(file, line);) ++lines;
    return lines;
  }
  v1::GenerateRequest Request(int tokens) const {
    std::vector<int32_t> prompt;
    for (int i = 0; i < tokens; ++i) prompt.push_back((i * i * 7 + i) % 50);
    v1::GenerateRequest request = GreedyRequest("", 3);
    SetTokens(prompt, &request);
    request.set_logprobs(0);
    return request;
  }

  const TempDir dir_;
};

TEST_F(EmulatedGemmTest, LongPromptsGoThroughItAndSayNearlyTheSame) {
  ASSERT_NO_FATAL_FAILURE(Begin("exact", With()));
  const Turn exact = RunTurn(*client_, Request(200));
  EXPECT_THAT(exact.started.numerics_profile(), Not(HasSubstr("cublaslt")));
  EXPECT_EQ(Logged(), 0);
  ASSERT_NO_FATAL_FAILURE(Begin("fast", With()));
  const int of_start = Logged();
  EXPECT_GT(of_start, 0) << "it is compared with plain kernels";
  // Few rows are ours.
  EXPECT_EQ(LogprobBits(RunTurn(*client_, Request(20)).only().logprobs).size(), 3U);
  EXPECT_EQ(Logged(), of_start);
  const Turn fast = RunTurn(*client_, Request(200));
  ASSERT_FALSE(fast.error) << fast.Describe();
  EXPECT_GT(Logged(), of_start);
  EXPECT_THAT(fast.started.numerics_profile(), HasSubstr("+cublaslt;"));
  EXPECT_EQ(fast.only().ids, exact.only().ids);
  for (size_t i = 0; i < fast.only().logprobs.size(); ++i) {
    EXPECT_NEAR(fast.only().logprobs[i].token().logprob(),
                exact.only().logprobs[i].token().logprob(), 1e-2);
  }
}

TEST_F(EmulatedGemmTest, ALibraryThatIsWrongOrRefusesIsNotUsed) {
  for (const char* how : {"wrong", "refuse", "no_way"}) {
    SCOPED_TRACE(how);
    ASSERT_NO_FATAL_FAILURE(Begin("fast", With(how)));
    EXPECT_TRUE(Eventually([&] {
      const std::string log = daemon_->log();
      return log.find("fast_kernels_off") != std::string::npos &&
             log.find("cublaslt") != std::string::npos;
    })) << daemon_->log();
    const int of_start = Logged();
    const Turn turn = RunTurn(*client_, Request(200));
    ASSERT_FALSE(turn.error) << turn.Describe();
    EXPECT_THAT(turn.started.numerics_profile(), Not(HasSubstr("cublaslt")));
    EXPECT_EQ(Logged(), of_start);
  }
}

TEST_F(EmulatedGemmTest, IsRefusedWhereItCannotBe) {
  const std::string model = "tales=" + TalesModel();
  const Finished none = RunEmulated("cuda", {"--model", model, "--gemm", "fast"}, {});
  EXPECT_EQ(none.status, 1);
  // A real one that is installed finds no GPU.
  EXPECT_THAT(none.errors,
              AnyOf(StartsWith("ssmd: --device cuda:0: neither libcublasLt.so.13 nor .12"),
                    StartsWith("ssmd: --device cuda:0: cuBLASLt does not start")));
  const Finished idle = RunEmulated("cuda",
                                    {"--model", "small=" + dir_.File("model"), "--gemm", "fast",
                                     "--model-option", "small.weights=q8"},
                                    With());
  EXPECT_EQ(idle.status, 1);
  EXPECT_THAT(idle.errors, HasSubstr("--gemm=fast: cuBLASLt takes weights in bf16 and f16"));
  const Finished cpu = RunEmulated("cpu", {"--model", model, "--gemm", "fast"}, {});
  EXPECT_EQ(cpu.status, 2);
  EXPECT_THAT(cpu.errors, HasSubstr("--gemm=fast is for GPUs"));
}

}  // namespace
}  // namespace ssmd::test
