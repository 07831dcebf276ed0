#include "kernels/cuda/matrix_upload.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "kernels/cuda/layout.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/staging.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr size_t kSliceBytes = size_t{16} << 20;
constexpr int kMaxThreads = 16;

int Threads() {
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
}

}  // namespace

MatrixUpload::MatrixUpload(Gpu& gpu, Stream& stream)
    : gpu_(gpu), stream_(stream), pool_(Threads()) {}

// Fills and copies whole units, two slices taking turns.
bool MatrixUpload::Send(const Fill& fill, size_t unit, PackedMatrix* matrix) {
  const size_t total = matrix->data.bytes();
  const size_t slice = std::min(std::max(kSliceBytes / unit, size_t{1}) * unit, total);
  struct Side {
    Buffer memory;
    std::unique_ptr<Event> copied;
  };
  std::array<Side, 2> sides;
  bool filled = true;
  for (size_t begin = 0, turn = 0; begin < total && filled; begin += slice, turn = 1 - turn) {
    Side& side = sides[turn];
    if (!side.memory) side.memory = AllocatePinned(gpu_, slice);
    if (!side.memory) return false;
    if (side.copied != nullptr) side.copied->Wait();
    const size_t end = std::min(begin + slice, total);
    filled = fill(begin, end, side.memory.data());
    stream_.CopyIn(matrix->data.data() + begin, side.memory.data(), end - begin);
    side.copied = stream_.Record();
  }
  stream_.Synchronize();  // the slices go now
  return filled;
}

PackedMatrix MatrixUpload::Pack(const MatrixSource& source, WeightFormat format) {
  PackedMatrix matrix;
  matrix.outputs = source.outputs;
  matrix.inputs = source.inputs;
  matrix.format = format;
  matrix.data = AllocateOn(gpu_, PackedMatrixBytes(source.outputs, source.inputs, format));
  if (!matrix.data) return matrix;

  const auto panel_bytes = static_cast<size_t>(PanelBytes(source.inputs, format));
  const Fill fill = [&](size_t begin, size_t end, std::byte* to) {
    const auto first = static_cast<int64_t>(begin / panel_bytes);
    const auto panels = static_cast<int64_t>((end - begin) / panel_bytes);
    std::atomic<bool> packed = true;
    pool_.Run(static_cast<int>(panels), [&](int panel, int /*thread*/) {
      if (!PackPanels(source, format, first + panel, first + panel + 1,
                      to + static_cast<size_t>(panel) * panel_bytes)) {
        packed = false;
      }
    });
    return packed.load();
  };
  return Send(fill, panel_bytes, &matrix) ? std::move(matrix) : PackedMatrix();
}

PackedMatrix MatrixUpload::Restore(const PackedBytes& packed) {
  PackedMatrix matrix;
  matrix.outputs = packed.outputs;
  matrix.inputs = packed.inputs;
  matrix.format = packed.format;
  matrix.data = AllocateOn(gpu_, packed.bytes);
  if (!matrix.data) return matrix;
  const Fill fill = [&](size_t begin, size_t end, std::byte* to) {
    std::memcpy(to, packed.data + begin, end - begin);
    return true;
  };
  return Send(fill, 1, &matrix) ? std::move(matrix) : PackedMatrix();
}

}  // namespace ssmd::kernels::cuda
