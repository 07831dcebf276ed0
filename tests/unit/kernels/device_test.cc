#include "kernels/device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "tests/unit/kernels/kernel_test_util.h"

// GCC says it with macros, clang with features.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SSMD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SSMD_SANITIZED 1
#endif
#endif

namespace ssmd::kernels {
namespace {

#if defined(SSMD_SANITIZED)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST(Isa, NamesAndParsingAreInverse) {
  for (Isa isa :
       {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAvx512Bf16, Isa::kNeon}) {
    EXPECT_EQ(ParseIsa(IsaName(isa)), isa);
  }
  for (const char* name : {"", "AVX2", "avx", "avx512 ", "neon2"}) {
    EXPECT_EQ(ParseIsa(name), std::nullopt) << name;
  }
}

TEST(Isa, ScalarIsAlwaysSupportedAndBestIsLast) {
  const std::vector<Isa> isas = SupportedIsas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kScalar);
  EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
  EXPECT_EQ(MakeCpuDevice({})->name(), "cpu/" + std::string(IsaName(isas.back())));
}

TEST(CpuDevice, ItsProfileNamesWhatChangesBitsAndNothingElse) {
#if defined(__x86_64__)
  const std::string shared = "cpu/x86-64";
#elif defined(__aarch64__)
  const std::string shared = "cpu/arm64";
#else
  const std::string shared = "cpu/other";
#endif
  for (const Isa isa : SupportedIsas()) {
    const auto device = MakeCpuDevice({isa, 1});
    for (const WeightFormat format : kWeightFormats) {
      const bool rounds = isa == Isa::kAvx512Bf16 && format == WeightFormat::kBf16;
      EXPECT_EQ(device->profile(format), rounds ? "cpu/avx512bf16" : shared)
          << IsaName(isa) << ' ' << WeightFormatName(format);
    }
  }
}

TEST(CpuDevice, TakesTheThreadsAskedFor) {
  EXPECT_EQ(MakeCpuDevice({std::nullopt, 3})->threads(), 3);
  EXPECT_GE(MakeCpuDevice({})->threads(), 1);
}

TEST(Device, MemoryIsAlignedZeroedAndAsLongAsAsked) {
  const auto device = MakeCpuDevice({std::nullopt, 1});
  for (size_t bytes : {size_t{1}, size_t{63}, size_t{4096}, (size_t{9} << 20) + 1}) {
    const Buffer buffer = device->Allocate(bytes);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + bytes,
                            [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(Device, ImpossibleAllocationsAreEmpty) {
  const auto device = MakeCpuDevice({std::nullopt, 1});
  EXPECT_FALSE(device->Allocate(std::numeric_limits<size_t>::max()));
  if (kSanitized) GTEST_SKIP() << "sanitizers end the process where an allocation fails";
  EXPECT_FALSE(device->Allocate(std::numeric_limits<size_t>::max() / 2));
}

TEST(Device, CopyAndZero) {
  for (const auto& device : {MakeCpuDevice({std::nullopt, 1}), MakeReferenceDevice()}) {
    const Buffer from = device->Allocate(100);
    const Buffer to = device->Allocate(100);
    std::memset(from.data(), 7, 100);
    device->Copy(to.data() + 10, from.data(), 20);
    EXPECT_EQ(to.data()[9], std::byte{0});
    EXPECT_EQ(to.data()[10], std::byte{7});
    EXPECT_EQ(to.data()[29], std::byte{7});
    EXPECT_EQ(to.data()[30], std::byte{0});
    device->Zero(to.data() + 10, 20);
    EXPECT_EQ(to.data()[10], std::byte{0});
  }
}

#if defined(__x86_64__) || defined(__aarch64__)
uint64_t FloatMode() {
#if defined(__x86_64__)
  return _mm_getcsr() & ~0x3Fu;  // without the sticky flags
#else
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
#endif
}

TEST(CpuDevice, LeavesTheCallersFloatingPointModeAlone) {
  const auto device = MakeCpuDevice({std::nullopt, 2});
  const uint64_t mode = FloatMode();
  const Tensor x(4096, 1e-30f);
  Tensor out(4096);
  RmsNormParams params;
  params.x = x.data();
  params.x_stride = params.out_stride = params.cols = 4096;
  params.rows = 1;
  params.eps = 1e-5f;
  params.out = out.data();
  device->RmsNorm(params);
  EXPECT_EQ(FloatMode(), mode);
}
#endif

}  // namespace
}  // namespace ssmd::kernels
