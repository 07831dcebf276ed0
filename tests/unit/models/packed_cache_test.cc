// Packed weights in a file: what is read is what was written, and a file that is not whole, not
// ours or for another model is refused by name.
#include "engine/models/packed_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/support/memory_device.h"
#include "tests/support/temp_folder.h"

namespace ssmd {
namespace {

using kernels::WeightFormat;
using ::testing::HasSubstr;

// Of a device in host memory.
kernels::PackedBytes BytesOf(const kernels::PackedMatrix& matrix) {
  return {matrix.outputs, matrix.inputs, matrix.format, matrix.data.data(), matrix.bytes()};
}

class PackedCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 20 * 70; ++i) weights_.push_back(static_cast<float>(i % 97) - 40);
    source_ = {reinterpret_cast<const std::byte*>(weights_.data()),
               kernels::MatrixSource::Type::kF32, 20, 70};
    digest_[5] = 77;
  }

  void Write() {
    auto writer = PackedCacheWriter::Create(&files_, path_, "the key");
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const WeightFormat format : {WeightFormat::kBf16, WeightFormat::kQ8, WeightFormat::kQ4}) {
      const kernels::PackedMatrix matrix = device_->Pack(source_, format);
      const std::string name(kernels::WeightFormatName(format));
      ASSERT_TRUE((*writer)->Add(name, digest_, BytesOf(matrix)).ok());
    }
    ASSERT_TRUE((*writer)->Finish().ok());
  }

  absl::StatusOr<PackedCache> Open(const std::string& key = "the key") {
    return PackedCache::Open(path_, key, *device_);
  }

  std::string Bytes() {
    std::ifstream file(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  void Overwrite(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  testing::TempFolder folder_;
  const std::string path_ = folder_.path() + "/cache";
  PosixFileSystem files_;
  std::unique_ptr<kernels::Device> device_ = kernels::MakeCpuDevice({std::nullopt, 1});
  std::vector<float> weights_;
  kernels::MatrixSource source_;
  Sha256 digest_ = {};
};

TEST_F(PackedCacheTest, GivesBackWhatWasAdded) {
  ASSERT_NO_FATAL_FAILURE(Write());
  const auto cache = Open();
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_EQ(cache->Find("f32"), nullptr);
  for (const WeightFormat format : {WeightFormat::kBf16, WeightFormat::kQ8, WeightFormat::kQ4}) {
    const CachedMatrix* cached = cache->Find(std::string(kernels::WeightFormatName(format)));
    ASSERT_NE(cached, nullptr);
    EXPECT_EQ(cached->source, digest_);
    const kernels::PackedMatrix matrix = device_->Restore(cached->packed);
    const kernels::PackedMatrix original = device_->Pack(source_, format);
    ASSERT_EQ(matrix.bytes(), original.bytes());
    EXPECT_EQ(matrix.outputs, 20);
    EXPECT_EQ(matrix.inputs, 70);
    EXPECT_EQ(std::memcmp(matrix.data.data(), original.data.data(), matrix.bytes()), 0);
    std::vector<float> x(70, 0.5f), first(20), second(20);
    device_->MatMul({x.data(), 70, 1, &original, nullptr, nullptr, 0, first.data(), 20});
    device_->MatMul({x.data(), 70, 1, &matrix, nullptr, nullptr, 0, second.data(), 20});
    EXPECT_EQ(first, second);
  }
}

// Its memory is not the host's: what the host sees there is not what Download gives.
class VeiledDevice final : public testing::MemoryDevice {
 public:
  VeiledDevice() : MemoryDevice(1 << 20) {}
  bool Keeps(WeightFormat) const override { return true; }
  kernels::PackedMatrix Pack(const kernels::MatrixSource& source, WeightFormat format) override {
    kernels::PackedMatrix matrix;
    matrix.outputs = source.outputs;
    matrix.inputs = source.inputs;
    matrix.format = format;
    matrix.data = Allocate(kBytes);
    return matrix;
  }
  size_t PackedSize(int64_t, int64_t, WeightFormat) const override { return kBytes; }
  void Download(std::byte* host, const std::byte*, size_t bytes) override {
    std::memset(host, 0x5A, bytes);
  }
  std::string failure() const override { return failed ? "unplugged" : ""; }

  static constexpr size_t kBytes = 100;
  bool failed = false;
};

class VeiledCacheTest : public PackedCacheTest {
 protected:
  // Packs a tensor with a cache to be written, and returns what became of that.
  absl::Status PackAndWrite(VeiledDevice* device) {
    TensorInfo tensor;
    tensor.name = "w";
    tensor.type = TensorType::kF32;
    tensor.shape = {20, 70};
    tensor.elements = 20 * 70;
    tensor.data = source_.data;
    tensor.bytes = weights_.size() * sizeof(float);
    auto writer = PackedCacheWriter::Create(&files_, path_, "the key");
    EXPECT_TRUE(writer.ok()) << writer.status();
    WeightLoader loader(device, WeightFormat::kQ8, 0, nullptr);
    loader.UseCache(nullptr, writer->get());
    EXPECT_TRUE(loader.Matrix(tensor, MatrixRole::kProjection).ok());
    return loader.writing().ok() ? (*writer)->Finish() : loader.writing();
  }
};

TEST_F(VeiledCacheTest, KeepsWhatTheDeviceGivesTheHost) {
  VeiledDevice device;
  const absl::Status written = PackAndWrite(&device);
  ASSERT_TRUE(written.ok()) << written;
  const auto cache = PackedCache::Open(path_, "the key", device);
  ASSERT_TRUE(cache.ok()) << cache.status();
  const CachedMatrix* cached = cache->Find("w");
  ASSERT_NE(cached, nullptr);
  ASSERT_EQ(cached->packed.bytes, VeiledDevice::kBytes);
  for (size_t i = 0; i < cached->packed.bytes; ++i) {
    EXPECT_EQ(cached->packed.data[i], std::byte{0x5A}) << i;
  }
}

TEST_F(VeiledCacheTest, KeepsNothingOfADeviceThatHasFailed) {
  VeiledDevice device;
  device.failed = true;
  EXPECT_EQ(PackAndWrite(&device).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(PackedCacheTest, IsNotFoundOrOfAnotherKey) {
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
  ASSERT_NO_FATAL_FAILURE(Write());
  EXPECT_EQ(Open("the kez").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Open().ok());
}

TEST_F(PackedCacheTest, EveryCutAndEveryChangedByteIsSeen) {
  ASSERT_NO_FATAL_FAILURE(Write());
  const std::string whole = Bytes();
  for (size_t bytes = 0; bytes < whole.size(); bytes += bytes < 100 ? 1 : 61) {
    Overwrite(whole.substr(0, bytes));
    EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
  int unseen = 0;
  for (size_t at = 0; at < whole.size(); at += 13) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    Overwrite(changed);
    if (Open().ok()) ++unseen;
  }
  // Only the few bytes between matrices mean nothing.
  EXPECT_LT(unseen, 15);
  Overwrite(whole + "x");
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(PackedCacheTest, AMatrixOfAnotherSizeIsRefused) {
  auto writer = PackedCacheWriter::Create(&files_, path_, "the key");
  ASSERT_TRUE(writer.ok());
  kernels::PackedMatrix matrix = device_->Pack(source_, WeightFormat::kQ8);
  matrix.inputs = 7000;
  ASSERT_TRUE((*writer)->Add("m", digest_, BytesOf(matrix)).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  const auto cache = Open();
  EXPECT_EQ(cache.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(cache.status().message()), HasSubstr("another size than its shape says"));
}

TEST_F(PackedCacheTest, WhatACrashLeftIsRemoved) {
  folder_.Write("other.ssmd-packed.0123.part", "of a start that was killed");
  folder_.Write("theirs.part", "of somebody else");
  ASSERT_NO_FATAL_FAILURE(Write());
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(files_.List(folder_.path())->size(), 2u);
}

// Two processes that start at the same time each write a whole file, and the last one's stays.
TEST_F(PackedCacheTest, TwoWritersDoNotDisturbEachOther) {
  auto one = PackedCacheWriter::Create(&files_, path_, "the key");
  ASSERT_TRUE(one.ok());
  auto other = PackedCacheWriter::Create(&files_, path_, "the key");
  ASSERT_TRUE(other.ok());
  for (auto* writer : {&one, &other}) {
    ASSERT_TRUE(
        (**writer)->Add("m", digest_, BytesOf(device_->Pack(source_, WeightFormat::kQ8))).ok());
  }
  ASSERT_TRUE((*one)->Finish().ok());
  EXPECT_TRUE(Open().ok());
  other->reset();  // is cut off
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(files_.List(folder_.path())->size(), 1u);
}

TEST_F(PackedCacheTest, WhatIsNotFinishedLeavesNothing) {
  {
    auto writer = PackedCacheWriter::Create(&files_, path_, "the key");
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(
        (*writer)->Add("m", digest_, BytesOf(device_->Pack(source_, WeightFormat::kQ8))).ok());
  }
  EXPECT_TRUE(files_.List(folder_.path())->empty());
}

}  // namespace
}  // namespace ssmd
