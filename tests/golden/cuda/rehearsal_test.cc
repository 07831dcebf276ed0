// A model is loaded on a GPU on which some kernel is wrong: it is served as if that kernel were not
// there. On the emulated GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "engine/models/language_model.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/fast_ops.h"
#include "tests/golden/golden_files.h"
#include "tests/simt/simt_control.h"

namespace ssmd {
namespace {

using kernels::cuda::FastKernels;
using kernels::cuda::KernelTable;
using kernels::cuda::PlainKernels;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LogitRows;
namespace fs = std::filesystem;

fs::path ModelFolder(const std::string& name) { return fs::path(SSMD_GOLDEN_DATA) / name; }

// A kernel that leaves all as it was.
template <typename Params>
void DoNothing(kernels::cuda::Stream& /*stream*/, const Params& /*params*/) {}

class RehearsalTest : public ::testing::Test {
 protected:
  ~RehearsalTest() override { fs::remove_all(folder_); }

  void Open(const KernelTable& fast) {
    device_.reset();
    std::string error;
    auto gpu = kernels::cuda::OpenGpu(0, &error);
    ASSERT_NE(gpu, nullptr) << error;
    auto stream = gpu->MakeStream();
    device_ =
        kernels::cuda::MakeDeviceOf(std::move(gpu), std::move(stream), options_, &error, fast);
    ASSERT_NE(device_, nullptr) << error;
  }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(const std::string& name) {
    ModelLoadOptions options;
    options.weights = kernels::WeightFormat::kBf16;
    options.max_rows = 64;
    options.max_logit_rows = 7;
    return LoadLanguageModel(ModelFolder(name), options, device_.get());
  }
  absl::Status Load(const std::string& name) { return LoadModel(name).status(); }
  LogitRows LogitsOf(const std::string& name) {
    const auto model = LoadModel(name);
    const auto pool = StatePool::Create(device_.get(), (*model)->state_layout(), 2);
    const auto expected = testing::ReadExpected(ModelFolder(name) / "expected.safetensors");
    const int length = static_cast<int>(expected.tokens.size());
    return testing::RunInSegments(**model, **pool, expected.tokens, {length - 3, 1, 1, 1});
  }
  std::string Profile() const { return device_->profile(kernels::WeightFormat::kBf16); }
  // Launches that loading takes.
  int64_t LaunchesOfLoading(const std::string& name) {
    Open(FastKernels());
    const int64_t before = simt::CountsSoFar().launches;
    EXPECT_TRUE(Load(name).ok());
    EXPECT_EQ(Profile(), "cuda/9.0");
    const int64_t launches = simt::CountsSoFar().launches - before;
    return launches;
  }
  void RememberChecks() { options_.check_folder = folder_; }

  const simt::ScopedControl control_;
  const std::string folder_ = ::testing::TempDir() + "ssmd_rehearsal_" + std::to_string(getpid());
  kernels::CudaOptions options_;
  std::unique_ptr<kernels::Device> device_;
};

struct WrongKernel {
  const char* name;
  const char* model;
  void (*plant)(KernelTable* table);
  void (*replace)(KernelTable* table, const KernelTable& plain);
};

const WrongKernel kWrongKernels[] = {
    {"product", "mamba_odd",
     [](KernelTable* t) {
       t->mat_mul = [](const kernels::cuda::fast::ProductOptions&, kernels::cuda::Stream&,
                       const kernels::MatMulParams&, std::byte*) {};
     },
     [](KernelTable* t, const KernelTable& plain) { t->mat_mul = plain.mat_mul; }},
    {"scan", "falcon_odd", [](KernelTable* t) { t->scan_prompt = DoNothing; },
     [](KernelTable* t, const KernelTable& plain) {
       t->scan_step = plain.scan_step;
       t->scan_prompt = plain.scan_prompt;
     }},
    {"ssd", "mamba2_odd", [](KernelTable* t) { t->ssd_step = DoNothing; },
     [](KernelTable* t, const KernelTable& plain) {
       t->ssd_step = plain.ssd_step;
       t->ssd_prompt = plain.ssd_prompt;
       t->ssd_chunks = plain.ssd_chunks;
     }},
    {"conv", "mamba2_odd", [](KernelTable* t) { t->conv_step = DoNothing; },
     [](KernelTable* t, const KernelTable& plain) { t->conv_step = plain.conv_step; }},
    {"norm", "mamba2_odd", [](KernelTable* t) { t->gated_rms_norm = DoNothing; },
     [](KernelTable* t, const KernelTable& plain) {
       t->rms_norm = plain.rms_norm;
       t->gated_rms_norm = plain.gated_rms_norm;
     }},
};

TEST_F(RehearsalTest, AKernelThatIsWrongIsOffAndThePlainOneServes) {
  for (const WrongKernel& wrong : kWrongKernels) {
    SCOPED_TRACE(wrong.name);
    KernelTable table = FastKernels();
    wrong.plant(&table);
    Open(table);
    const LogitRows logits = LogitsOf(wrong.model);
    EXPECT_EQ(Profile(), std::string("cuda/9.0-") + wrong.name);
    for (const kernels::FastKernelState& kernel : device_->fast_kernels()) {
      // A product is wrong by either instruction.
      const bool by_wgmma = kernel.name == "wgmma" && wrong.name == std::string("product");
      if (kernel.name != wrong.name && !by_wgmma) {
        EXPECT_EQ(kernel.off_because, "");
        continue;
      }
      EXPECT_THAT(kernel.off_because, HasSubstr("disagree with the plain ones: errors are up to"));
      EXPECT_THAT(kernel.off_because, HasSubstr("emulated (9.0), driver 13000"));
    }
    // As with plain kernels in its place from the start.
    table = FastKernels();
    wrong.replace(&table, PlainKernels());
    Open(table);
    testing::ExpectSameBits(LogitsOf(wrong.model), logits);
    EXPECT_EQ(Profile(), "cuda/9.0");
  }
}

TEST_F(RehearsalTest, WhereWgmmaIsWrongProductsGoByTheOlderInstruction) {
  KernelTable table = FastKernels();
  table.mat_mul = [](const kernels::cuda::fast::ProductOptions& options,
                     kernels::cuda::Stream& stream, const kernels::MatMulParams& params,
                     std::byte* scratch) {
    if (options.unit == kernels::cuda::fast::ProductUnit::kWgmma) return;
    kernels::cuda::fast::MatMulWith(options, stream, params, scratch);
  };
  Open(table);
  const LogitRows logits = LogitsOf("mamba_odd");
  EXPECT_EQ(Profile(), "cuda/9.0-wgmma");
  for (const kernels::FastKernelState& kernel : device_->fast_kernels()) {
    EXPECT_EQ(kernel.off_because.empty(), kernel.name != "wgmma") << kernel.off_because;
  }
  // The emulated units add alike.
  Open(FastKernels());
  testing::ExpectSameBits(LogitsOf("mamba_odd"), logits);
}

TEST_F(RehearsalTest, OtherGpusHaveNoWgmma) {
  kernels::cuda::GpuFacts facts = simt::DefaultFacts();
  facts.major = 8;
  simt::SetGpus({facts});
  Open(FastKernels());
  ASSERT_TRUE(Load("mamba_odd").ok());
  EXPECT_EQ(Profile(), "cuda/8.0");
  for (const kernels::FastKernelState& kernel : device_->fast_kernels()) {
    EXPECT_NE(kernel.name, "wgmma");
  }
}

TEST_F(RehearsalTest, LayersWhoseOpsGoTogetherWronglyAreRunOpByOp) {
  for (const char* model : {"mamba_odd", "mamba2_odd"}) {
    SCOPED_TRACE(model);
    KernelTable table = FastKernels();
    // The last op is left out where there are many rows.
    table.mamba_layer = [](const kernels::cuda::LayerTools& tools,
                           const kernels::MambaLayerParams& params) {
      kernels::MambaLayerParams wrong = params;
      if (params.norm.rows > 8) wrong.out_proj.rows = 0;
      kernels::cuda::RunMambaLayer(tools, wrong);
    };
    table.mamba2_layer = [](const kernels::cuda::LayerTools& tools,
                            const kernels::Mamba2LayerParams& params) {
      kernels::Mamba2LayerParams wrong = params;
      if (params.norm.rows > 8) wrong.out_proj.rows = 0;
      kernels::cuda::RunMamba2Layer(tools, wrong);
    };
    Open(table);
    const LogitRows logits = LogitsOf(model);
    EXPECT_EQ(Profile(), "cuda/9.0") << "bits do not depend on it";
    for (const kernels::FastKernelState& kernel : device_->fast_kernels()) {
      EXPECT_EQ(kernel.off_because.empty(), kernel.name != "layer") << kernel.off_because;
    }
    EXPECT_THAT(device_->fast_kernels().back().off_because,
                HasSubstr("other bits than one by one"));
    Open(FastKernels());
    testing::ExpectSameBits(LogitsOf(model), logits);
    EXPECT_EQ(device_->fast_kernels().back().off_because, "");
  }
}

TEST_F(RehearsalTest, ADeviceOfPlainKernelsHasNothingToCompare) {
  options_.plain = true;
  Open(FastKernels());
  const int64_t before = simt::CountsSoFar().launches;
  EXPECT_TRUE(Load("mamba_odd").ok());
  EXPECT_EQ(simt::CountsSoFar().launches, before);
  EXPECT_THAT(device_->fast_kernels(), IsEmpty());
}

TEST_F(RehearsalTest, WhatAgreedIsRememberedForThatGpuAndTheseShapes) {
  RememberChecks();
  const int64_t first = LaunchesOfLoading("mamba_odd");
  EXPECT_GT(first, 100);
  EXPECT_EQ(LaunchesOfLoading("mamba_odd"), 0);
  EXPECT_GT(LaunchesOfLoading("mamba_biases"), 100) << "other shapes";
  EXPECT_EQ(LaunchesOfLoading("mamba_biases"), 0);
  EXPECT_EQ(LaunchesOfLoading("mamba_odd"), 0);

  using kernels::cuda::GpuFacts;
  const std::function<void(GpuFacts*)> kChanges[] = {
      [](GpuFacts* f) { f->driver_version = 13010; },
      [](GpuFacts* f) { f->runtime_version = 12040; },
      [](GpuFacts* f) { f->name = "emulated too"; }, [](GpuFacts* f) { f->multiprocessors = 8; },
      [](GpuFacts* f) { f->driver_build = "Kernel Module 580.1"; }};
  for (const auto& change : kChanges) {
    GpuFacts facts = simt::DefaultFacts();
    change(&facts);
    simt::SetGpus({facts});
    EXPECT_EQ(LaunchesOfLoading("mamba_odd"), first);
    EXPECT_EQ(LaunchesOfLoading("mamba_odd"), 0);
  }
}

TEST_F(RehearsalTest, WhatDisagreedIsNotRemembered) {
  RememberChecks();
  KernelTable table = FastKernels();
  table.scan_step = DoNothing;
  for (int start = 0; start < 2; ++start) {
    Open(table);
    EXPECT_TRUE(Load("mamba_odd").ok());
    EXPECT_EQ(Profile(), "cuda/9.0-scan");
  }
  Open(FastKernels());
  EXPECT_TRUE(Load("mamba_odd").ok());
  EXPECT_EQ(Profile(), "cuda/9.0");
}

// A GPU on which not even a comparison can be made is said to be just that.
TEST_F(RehearsalTest, LoadingFailsWithoutMemoryOrWithTheGpu) {
  Open(FastKernels());
  const int64_t before = simt::CountsSoFar().allocations;
  ASSERT_TRUE(Load("mamba_odd").ok());
  const int64_t allocations = simt::CountsSoFar().allocations - before;
  Open(FastKernels());
  simt::FailAllocation(allocations - 1);
  const absl::Status no_memory = Load("mamba_odd");
  EXPECT_TRUE(absl::IsResourceExhausted(no_memory)) << no_memory;
  EXPECT_EQ(device_->failure(), "");
  EXPECT_TRUE(Load("mamba_odd").ok());

  RememberChecks();
  Open(FastKernels());
  simt::FailLaunch(50, "an illegal instruction");
  const absl::Status failed = Load("mamba_odd");
  EXPECT_TRUE(absl::IsUnavailable(failed)) << failed;
  EXPECT_THAT(std::string(failed.message()), HasSubstr("an illegal instruction: "));
}

// A kernel on which the GPU fails is not tried again: the next start goes without.
TEST_F(RehearsalTest, WhatBroughtTheGpuDownIsOffFromThenOn) {
  RememberChecks();
  KernelTable table = FastKernels();
  table.ssd_step = [](kernels::cuda::Stream& stream, const kernels::SsdScanParams& params) {
    simt::FailLaunch(1, "an illegal instruction");
    kernels::cuda::fast::SsdStep(stream, params);
  };
  Open(table);
  EXPECT_TRUE(absl::IsUnavailable(Load("mamba2_odd")));
  simt::FailLaunch(0, "");  // a call after the failure may have asked for one more
  for (int start = 0; start < 2; ++start) {
    Open(table);
    ASSERT_TRUE(Load("mamba2_odd").ok());
    EXPECT_EQ(Profile(), "cuda/9.0-ssd");
    for (const kernels::FastKernelState& kernel : device_->fast_kernels()) {
      if (kernel.name != "ssd") continue;
      EXPECT_THAT(kernel.off_because, HasSubstr("did not come to an end"));
      EXPECT_THAT(kernel.off_because, HasSubstr("delete " + folder_));
    }
  }
  // What was told apart is tried again.
  fs::remove_all(folder_);
  Open(FastKernels());
  ASSERT_TRUE(Load("mamba2_odd").ok());
  EXPECT_EQ(Profile(), "cuda/9.0");
}

}  // namespace
}  // namespace ssmd
