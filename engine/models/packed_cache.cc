#include "engine/models/packed_cache.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/byte_reader.h"
#include "engine/base/little_endian.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

constexpr std::string_view kMagic("ssmdpack\x01\0\0\0\0\0\0\0", 16);
constexpr int64_t kAlignment = 64;
constexpr size_t kFooterBytes = 24;
constexpr size_t kMaxNameBytes = 4096;
constexpr char kUnfinished[] = ".part";

uint64_t HashOf(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string_view ViewOf(const std::byte* data, size_t bytes) {
  return {reinterpret_cast<const char*>(data), bytes};
}

}  // namespace

absl::Status PackedCache::Damaged(std::string_view what) const {
  return absl::DataLossError(absl::StrCat(file_.name(), ": ", View(what)));
}

absl::StatusOr<PackedCache> PackedCache::Open(const std::string& path, std::string_view key,
                                              const kernels::Device& device) {
  SSMD_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  PackedCache cache(std::move(file));
  SSMD_RETURN_IF_ERROR(cache.ReadTable(key));
  SSMD_RETURN_IF_ERROR(cache.CheckMatrices(device));
  return cache;
}

absl::Status PackedCache::ReadTable(std::string_view key) {
  const std::string_view all = ViewOf(file_.data(), file_.size());
  if (all.size() < kMagic.size() + kFooterBytes || all.substr(0, kMagic.size()) != kMagic) {
    return Damaged("is no file of packed weights of this version");
  }
  const size_t end = all.size() - kFooterBytes;
  const char* footer = all.data() + end;
  const auto offset = GetLittleEndian<uint64_t>(footer);
  const auto bytes = GetLittleEndian<uint64_t>(footer + 8);
  if (offset < kMagic.size() || offset > end || bytes != end - offset ||
      bytes > kMaxCacheTableBytes) {
    return Damaged("is cut off, or its table is not where its end says");
  }
  const std::string_view table = all.substr(offset, bytes);
  if (HashOf(table) != GetLittleEndian<uint64_t>(footer + 16))
    return Damaged("its table was changed");

  ByteReader reader(table);
  if (reader.GetBytes() != key) {
    return absl::FailedPreconditionError(
        absl::StrCat(file_.name(), ": was made of other weights or by another version"));
  }
  const auto count = reader.Get<uint32_t>();
  if (count > kMaxCachedMatrices) return Damaged("lists too many matrices");
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view name = reader.GetBytes();
    CachedMatrix matrix;
    const auto format = kernels::ParseWeightFormat(reader.GetBytes());
    matrix.packed.outputs = static_cast<int64_t>(reader.Get<uint64_t>());
    matrix.packed.inputs = static_cast<int64_t>(reader.Get<uint64_t>());
    const std::string_view source = reader.GetBytes();
    const auto at = reader.Get<uint64_t>();
    const auto size = reader.Get<uint64_t>();
    matrix.hash = reader.Get<uint64_t>();
    if (!format || source.size() != matrix.source.size() || name.size() > kMaxNameBytes ||
        at > offset || size > offset - at || at % kAlignment != 0) {
      return Damaged(absl::StrCat("its table is wrong about matrix ", i));
    }
    std::memcpy(matrix.source.data(), source.data(), source.size());
    matrix.packed.format = *format;
    matrix.packed.data = file_.data() + at;
    matrix.packed.bytes = size;
    if (!matrices_.emplace(name, matrix).second) return Damaged("names a matrix twice");
  }
  return reader.Finished() ? absl::OkStatus() : Damaged("its table has another length");
}

const CachedMatrix* PackedCache::Find(const std::string& name) const {
  const auto found = matrices_.find(name);
  return found == matrices_.end() ? nullptr : &found->second;
}

absl::Status PackedCache::CheckMatrices(const kernels::Device& device) const {
  for (const auto& [name, matrix] : matrices_) {
    const kernels::PackedBytes& packed = matrix.packed;
    if (HashOf(ViewOf(packed.data, packed.bytes)) != matrix.hash) {
      return Damaged(absl::StrCat("matrix ", Quoted(name), " was changed"));
    }
    if (packed.bytes == 0 ||
        packed.bytes != device.PackedSize(packed.outputs, packed.inputs, packed.format)) {
      return Damaged(
          absl::StrCat("matrix ", Quoted(name), " has another size than its shape says"));
    }
  }
  return absl::OkStatus();
}

PackedCacheWriter::PackedCacheWriter(FileSystem* files, std::string path, std::string_view key)
    : files_(files),
      path_(std::move(path)),
      unfinished_(absl::StrCat(path_, ".", SecureRandomId(), kUnfinished)),
      key_(key) {}

absl::StatusOr<std::unique_ptr<PackedCacheWriter>> PackedCacheWriter::Create(
    FileSystem* files, const std::string& path, std::string_view key) {
  std::unique_ptr<PackedCacheWriter> writer(new PackedCacheWriter(files, path, key));
  writer->RemoveWhatWasCutOff();
  SSMD_ASSIGN_OR_RETURN(writer->file_, files->Create(writer->unfinished_));
  SSMD_RETURN_IF_ERROR(writer->file_->Lock());
  SSMD_RETURN_IF_ERROR(writer->Append(kMagic));
  return writer;
}

// No name is used twice, so that a file which nobody has locked is nobody's.
void PackedCacheWriter::RemoveWhatWasCutOff() const {
  const std::string folder = path_.substr(0, path_.find_last_of('/') + 1);
  const auto entries = files_->List(folder.empty() ? "." : folder);
  if (!entries.ok()) return;
  for (const FolderEntry& entry : *entries) {
    if (entry.kind != FolderEntry::Kind::kFile || !absl::EndsWith(entry.name, kUnfinished) ||
        !absl::StrContains(entry.name, kPackedCacheSuffix)) {
      continue;
    }
    const auto file = files_->OpenToAppend(folder + entry.name);
    if (file.ok() && (*file)->Lock().ok()) files_->Remove(folder + entry.name).IgnoreError();
  }
}

PackedCacheWriter::~PackedCacheWriter() {
  if (file_ == nullptr || finished_) return;
  file_.reset();
  files_->Remove(unfinished_).IgnoreError();
}

absl::Status PackedCacheWriter::Append(std::string_view bytes) {
  written_ += static_cast<int64_t>(bytes.size());
  return file_->Append(bytes);
}

absl::Status PackedCacheWriter::Add(const std::string& name, const Sha256& source,
                                    const kernels::PackedBytes& matrix) {
  const auto gap = static_cast<size_t>((kAlignment - written_ % kAlignment) % kAlignment);
  SSMD_RETURN_IF_ERROR(Append(std::string(gap, '\0')));
  const std::string_view bytes = ViewOf(matrix.data, matrix.bytes);
  PutBytes(&entries_, name);
  PutBytes(&entries_, kernels::WeightFormatName(matrix.format));
  PutLittleEndian<uint64_t>(&entries_, static_cast<uint64_t>(matrix.outputs));
  PutLittleEndian<uint64_t>(&entries_, static_cast<uint64_t>(matrix.inputs));
  PutBytes(&entries_, ViewOf(reinterpret_cast<const std::byte*>(source.data()), source.size()));
  PutLittleEndian<uint64_t>(&entries_, static_cast<uint64_t>(written_));
  PutLittleEndian<uint64_t>(&entries_, bytes.size());
  PutLittleEndian<uint64_t>(&entries_, HashOf(bytes));
  ++count_;
  return Append(bytes);
}

absl::Status PackedCacheWriter::Finish() {
  std::string table;
  PutBytes(&table, key_);
  PutLittleEndian<uint32_t>(&table, count_);
  table += entries_;
  std::string footer;
  PutLittleEndian<uint64_t>(&footer, static_cast<uint64_t>(written_));
  PutLittleEndian<uint64_t>(&footer, table.size());
  PutLittleEndian<uint64_t>(&footer, HashOf(table));
  SSMD_RETURN_IF_ERROR(Append(table));
  SSMD_RETURN_IF_ERROR(Append(footer));
  SSMD_RETURN_IF_ERROR(file_->Sync());
  SSMD_RETURN_IF_ERROR(files_->Rename(unfinished_, path_));
  finished_ = true;
  return absl::OkStatus();
}

}  // namespace ssmd
