// One process at a time compares kernels and notes what it tries (trials.h): what is noted as begun
// is then of one that has died, never of one that is at it, such as another daemon that starts on
// the same machine. A dead process holds nothing (flock).
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_CHECK_LOCK_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_CHECK_LOCK_H_

#include <chrono>
#include <string>

namespace ssmd::kernels::cuda {

class CheckLock {
 public:
  // Of a file in `folder`, one for each `gpu`; waits for `patience` at most. Nothing is held where
  // `folder` is empty or the file cannot be opened.
  CheckLock(const std::string& folder, const std::string& gpu, std::chrono::milliseconds patience);
  ~CheckLock();
  CheckLock(const CheckLock&) = delete;
  CheckLock& operator=(const CheckLock&) = delete;

  bool held() const { return file_ >= 0; }

 private:
  int file_ = -1;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_CHECK_LOCK_H_
