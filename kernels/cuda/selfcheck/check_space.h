// Made-up operands for the comparison of kernels: random numbers on the device, in memory of their
// own that is given back with them, and what kernels made of them.
//
// Operands lie as those of the model do: with the same strides, and at the same distance from a
// multiple of 64 bytes, as kernels choose their loads by that. Guards lie around them.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_CHECK_SPACE_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_CHECK_SPACE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/selfcheck/comparison.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

// Where operands come from. The same numbers in every process.
class CheckSpace {
 public:
  // Both outlive it.
  CheckSpace(Gpu& gpu, Stream& stream) : gpu_(gpu), stream_(stream) {}

  Gpu& gpu() { return gpu_; }
  Stream& stream() { return stream_; }

  // An empty Buffer where there is no memory, which out_of_memory() says from then on.
  Buffer Allocate(size_t bytes);
  bool out_of_memory() const { return out_of_memory_; }

  std::vector<float> Random(size_t count, float low, float high);

 private:
  Gpu& gpu_;
  Stream& stream_;
  bool out_of_memory_ = false;
  uint64_t drawn_ = 0;
};

// Numbers on the device that can be put back to what they were at first.
class CheckFloats {
 public:
  // data() is `first` floats behind what the copy begins with; null where there is no memory.
  CheckFloats(CheckSpace& space, std::vector<float> initial, size_t first, const float* like);

  float* data() const { return data_; }
  const std::vector<float>& initial() const { return initial_; }
  void Reset();
  std::vector<float> Read();

 private:
  CheckSpace& space_;
  std::vector<float> initial_;
  size_t first_;
  Buffer memory_;
  float* data_ = nullptr;
};

struct RowsShape {
  int64_t rows = 0, cols = 0, stride = 0;
  const float* like = nullptr;  // where the model has them; null: it has none
};

// (rows, cols) with stride, random between bounds.
class CheckRows {
 public:
  CheckRows(CheckSpace& space, const RowsShape& shape, float low, float high);

  float* data() const { return shape_.like == nullptr ? nullptr : floats_.data(); }
  void Reset() { floats_.Reset(); }
  std::vector<float> Read() { return floats_.Read(); }
  const float* initial(int64_t row) const { return RowOf(floats_.initial(), row); }
  // A row of what was read.
  const float* RowOf(const std::vector<float>& values, int64_t row) const;

  // Rows that `written` names are near the plain ones, against their own size; nothing else was
  // touched.
  void Compare(const std::vector<float>& fast, const std::vector<float>& plain,
               const std::vector<bool>& written, Comparison* comparison) const;
  void CompareUntouched(const std::vector<float>& fast, const std::vector<bool>& written,
                        Comparison* comparison) const;
  // Those rows have the same bits.
  void CompareBits(const std::vector<float>& a, const std::vector<float>& b,
                   const std::vector<bool>& written, const char* otherwise,
                   Comparison* comparison) const;

 private:
  const RowsShape shape_;
  CheckFloats floats_;
};

// Slots of one field of a state, apart from each other; zero where `padding` is true of an index
// within the field. Format and layer are those of `like`; values are numbers, whatever the format.
class CheckStates {
 public:
  CheckStates(CheckSpace& space, const StateField& like, int slots, int64_t elements,
              const std::function<bool(int64_t)>& padding);

  StateField field() const;
  void Reset() { floats_.Reset(); }
  std::vector<float> Read() { return NumbersOf(floats_.Read()); }
  const float* SlotOf(const std::vector<float>& values, int slot) const;

  // Slots that `written` names are near the plain ones; padding and all else was left alone.
  void Compare(const std::vector<float>& fast, const std::vector<float>& plain,
               const std::vector<bool>& written, Comparison* comparison) const;
  void CompareBits(const std::vector<float>& a, const std::vector<float>& b, int slot,
                   const char* otherwise, Comparison* comparison) const;

 private:
  std::vector<float> NumbersOf(const std::vector<float>& memory) const;

  const StateFormat format_;
  const uint32_t layer_;
  int slots_;
  int64_t elements_;
  CheckFloats floats_;  // the memory, as it lies: of narrow formats two numbers a float
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_CHECK_SPACE_H_
