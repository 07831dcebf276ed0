// Matrices as a device packed them, kept in a file, so that a model that was quantised once is only
// read when it is loaded again.
//
// The file is good for one key, which says all that the bytes depend on (language_model.cc makes
// it). It is written under a name of its own, NAME.<random>.part, and renamed when it is whole, so
// that several processes may write one; the last to finish stays. What a process left that was cut
// off is removed by the next writer in that folder, so that crashes fill no disk: a lock tells it
// from what is being written. Its bytes are hostile when they are read: lengths and extents are
// checked before they are used, and each matrix carries a hash, which tells a changed file, not a
// forged one.
//
// Format, numbers little-endian: "ssmdpack" and a version in 8 bytes; the matrices' bytes, each at
// a multiple of 64; a table (the key, then of each matrix name, number format, sizes, SHA-256 of
// the tensor it was made of, offset, bytes, XXH3); and at the end the table's offset, bytes and
// XXH3. One thread, at load time.
#ifndef SSMD_ENGINE_MODELS_PACKED_CACHE_H_
#define SSMD_ENGINE_MODELS_PACKED_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/file_system.h"
#include "engine/formats/mapped_file.h"
#include "engine/models/fingerprint.h"
#include "kernels/device.h"

namespace ssmd {

// How the files' names end.
inline constexpr char kPackedCacheSuffix[] = ".ssmd-packed";

inline constexpr size_t kMaxCachedMatrices = size_t{1} << 16;
inline constexpr size_t kMaxCacheTableBytes = size_t{64} << 20;

struct CachedMatrix {
  kernels::PackedBytes packed;  // into the mapped file
  Sha256 source = {};           // of the tensor's bytes
  uint64_t hash = 0;            // of the packed bytes
};

class PackedCache {
 public:
  // Reads the whole file once, and checks all of it. NOT_FOUND where there is none;
  // FAILED_PRECONDITION where it was made for another key; DATA_LOSS where it is not whole, was
  // changed, or holds what `device` could not use. Errors name the file.
  static absl::StatusOr<PackedCache> Open(const std::string& path, std::string_view key,
                                          const kernels::Device& device);

  const CachedMatrix* Find(const std::string& name) const;  // null when absent

 private:
  explicit PackedCache(MappedFile file) : file_(std::move(file)) {}
  absl::Status ReadTable(std::string_view key);
  absl::Status CheckMatrices(const kernels::Device& device) const;
  absl::Status Damaged(std::string_view what) const;

  MappedFile file_;
  std::map<std::string, CachedMatrix> matrices_;
};

class PackedCacheWriter {
 public:
  // Starts a file that will be called `path`. Both arguments must outlive it.
  static absl::StatusOr<std::unique_ptr<PackedCacheWriter>> Create(FileSystem* files,
                                                                   const std::string& path,
                                                                   std::string_view key);
  // Removes what was written, unless Finish returned OK.
  ~PackedCacheWriter();
  PackedCacheWriter(const PackedCacheWriter&) = delete;
  PackedCacheWriter& operator=(const PackedCacheWriter&) = delete;

  // REQUIRES: a name that was not added before.
  absl::Status Add(const std::string& name, const Sha256& source,
                   const kernels::PackedBytes& matrix);
  absl::Status Finish();

 private:
  PackedCacheWriter(FileSystem* files, std::string path, std::string_view key);
  void RemoveWhatWasCutOff() const;
  absl::Status Append(std::string_view bytes);

  FileSystem* files_;
  std::string path_;
  std::string unfinished_;  // its name until then
  std::unique_ptr<AppendFile> file_;
  int64_t written_ = 0;
  uint32_t count_ = 0;
  std::string key_;
  std::string entries_;
  bool finished_ = false;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_PACKED_CACHE_H_
