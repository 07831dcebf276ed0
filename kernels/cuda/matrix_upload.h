// The way of a weight matrix to a GPU: packed some panels at a time by the CPU's threads into
// pinned memory, and copied from there while the next panels are packed.
//
// Thread-compatible, as its device; starts threads of its own.
#ifndef SSMD_KERNELS_CUDA_MATRIX_UPLOAD_H_
#define SSMD_KERNELS_CUDA_MATRIX_UPLOAD_H_

#include <array>
#include <cstddef>
#include <functional>
#include <memory>

#include "kernels/cpu/thread_pool.h"
#include "kernels/cuda/runtime.h"
#include "kernels/tensor.h"

namespace ssmd::kernels::cuda {

class MatrixUpload {
 public:
  // `gpu` and `stream` outlive it.
  MatrixUpload(Gpu& gpu, Stream& stream);

  // `data` is empty where memory ran out.
  PackedMatrix Pack(const MatrixSource& source, WeightFormat format);
  PackedMatrix Restore(const PackedBytes& packed);

 private:
  // Writes bytes [begin, end) of a matrix to `to`. False when it had no memory for that.
  using Fill = std::function<bool(size_t begin, size_t end, std::byte* to)>;
  bool Send(const Fill& fill, size_t unit, PackedMatrix* matrix);

  Gpu& gpu_;
  Stream& stream_;
  cpu::ThreadPool pool_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_MATRIX_UPLOAD_H_
