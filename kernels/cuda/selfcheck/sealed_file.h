// Small text files that are hints and never more: a file that was cut off, changed or is none of
// ours reads as none.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_SEALED_FILE_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_SEALED_FILE_H_

#include <string>
#include <string_view>

namespace ssmd::kernels::cuda {

// FNV-1a, in sixteen digits.
std::string DigestOf(std::string_view text);

// The lines of a file, without the last one, which says "end " and the digest of all before; "" for
// any other file.
std::string ReadSealed(const std::string& path);

// Replaces the file as a whole, with such a last line; makes its folder. With `lasting` it is on
// the disk when this returns. False if it could not.
bool WriteSealed(const std::string& path, const std::string& lines, bool lasting);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_SEALED_FILE_H_
