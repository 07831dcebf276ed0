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
  void Begin(const std::string& gemm, const Environment& environment,
             const std::string& weights = "bf16") {
    DaemonOptions options;
    options.flags = {"--device",       "cuda", "--gemm",         gemm,
                     "--token-budget", "256",  "--model-option", "small.weights=" + weights};
    options.model = "small=" + dir_.File("model");
    options.binary = SSMD_EMULATED;
    options.environment = environment;
    ASSERT_NO_FATAL_FAILURE(StartWith(options));
  }
  void SetUp() override {
    WriteRandomMamba(dir_.File("model"), {.d_model = 40, .vocabulary = 50, .state = 8}, 1);
  }
  bool SaysOff() const {
    return Eventually([&] {
      const std::string log = daemon_->log();
      return log.find("fast_kernels_off") != std::string::npos &&
             log.find("cublaslt") != std::string::npos;
    });
  }
  // Products so far.
  int Logged() const {
    std::ifstream file(dir_.File("log"));
    int lines = 0;
    for (std::string line; std::getline(file, line);) ++lines;
    return lines;
  }
  // Another `first` makes another prompt, which shares no beginning with this one.
  v1::GenerateRequest Request(int tokens, int first = 0) const {
    std::vector<int32_t> prompt;
    for (int i = 0; i < tokens; ++i) prompt.push_back((i * i * 7 + i + first) % 50);
    v1::GenerateRequest request = GreedyRequest("", 3);
    SetTokens(prompt, &request);
    request.set_logprobs(0);
    return request;
  }

  const TempDir dir_;
};

void ExpectNearlyTheSame(const Turn& a, const Turn& b) {
  ASSERT_FALSE(a.error) << a.Describe();
  ASSERT_FALSE(b.error) << b.Describe();
  EXPECT_EQ(a.only().ids, b.only().ids);
  ASSERT_EQ(a.only().logprobs.size(), b.only().logprobs.size());
  for (size_t i = 0; i < a.only().logprobs.size(); ++i) {
    EXPECT_NEAR(a.only().logprobs[i].token().logprob(), b.only().logprobs[i].token().logprob(),
                1e-2);
  }
}

TEST_F(EmulatedGemmTest, LongPromptsGoThroughItAndSayNearlyTheSame) {
  for (const std::string weights : {"bf16", "f16"}) {
    SCOPED_TRACE(weights);
    const int before = Logged();
    ASSERT_NO_FATAL_FAILURE(Begin("exact", With(), weights));
    const Turn exact = RunTurn(*client_, Request(200));
    EXPECT_THAT(exact.started.numerics_profile(), Not(HasSubstr("cublaslt")));
    EXPECT_EQ(Logged(), before);
    ASSERT_NO_FATAL_FAILURE(Begin("fast", With(), weights));
    const int of_start = Logged();
    EXPECT_GT(of_start, before) << "it is compared with plain kernels";
    // Few rows are ours.
    EXPECT_EQ(LogprobBits(RunTurn(*client_, Request(20)).only().logprobs).size(), 3U);
    EXPECT_EQ(Logged(), of_start);
    const Turn fast = RunTurn(*client_, Request(200));
    EXPECT_GT(Logged(), of_start);
    EXPECT_THAT(fast.started.numerics_profile(), HasSubstr("+cublaslt;"));
    ExpectNearlyTheSame(fast, exact);
  }
}

TEST_F(EmulatedGemmTest, ARefusalWhileServingLeavesOurOwnProductsAndIsSaid) {
  ASSERT_NO_FATAL_FAILURE(Begin("exact", With()));
  const Turn exact = RunTurn(*client_, Request(200));
  ASSERT_NO_FATAL_FAILURE(Begin("fast", With("few")));
  const int of_start = Logged();
  EXPECT_EQ(HttpGet(daemon_->http(), "/readyz").body.find("cublaslt"), std::string::npos);
  ASSERT_FALSE(RunTurn(*client_, Request(140, 1)).error);
  const int of_140 = Logged();
  EXPECT_GT(of_140, of_start);
  ExpectNearlyTheSame(RunTurn(*client_, Request(200)), exact);
  EXPECT_TRUE(SaysOff()) << daemon_->log();
  EXPECT_THAT(HttpGet(daemon_->http(), "/readyz").body, HasSubstr("cublaslt"));
  EXPECT_THAT(HttpGet(daemon_->http(), "/metrics").body,
              HasSubstr("ssmd_gpu_kernels_off{kernel=\"cublaslt\"} 1"));
  ASSERT_FALSE(RunTurn(*client_, Request(140, 2)).error);
  EXPECT_EQ(Logged(), of_140) << "it is not asked again";
}

TEST_F(EmulatedGemmTest, ALibraryThatIsWrongOrRefusesIsNotUsed) {
  for (const char* how : {"wrong", "refuse", "no_way"}) {
    SCOPED_TRACE(how);
    ASSERT_NO_FATAL_FAILURE(Begin("fast", With(how)));
    EXPECT_TRUE(SaysOff()) << daemon_->log();
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
