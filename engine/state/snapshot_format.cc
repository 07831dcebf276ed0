#include "engine/state/snapshot_format.h"

#include <xxhash.h>

#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "engine/base/little_endian.h"

namespace ssmd {
namespace {

constexpr std::string_view kMagic = "SSMDSNAP";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kNoFlags = 0;       // none are known
constexpr uint32_t kSectionsMax = 64;  // of any version
// Where the header's fields are, and how long it and the table's entries are.
constexpr size_t kVersionAt = 8;
constexpr size_t kSectionsAt = 12;
constexpr size_t kHeaderBytes = 16;
constexpr size_t kTagBytes = 4;
constexpr size_t kFlagsAt = 4;
constexpr size_t kLengthAt = 8;
constexpr size_t kDigestAt = 16;
constexpr size_t kEntryBytes = 24;
constexpr size_t kTableDigestBytes = 8;

absl::Status CutOffInTable() {
  return absl::DataLossError("the snapshot is cut off in its section table");
}

std::string Printable(std::string_view tag) {
  return absl::CHexEscape(absl::string_view(tag.data(), tag.size()));
}

}  // namespace

std::string EncodeSnapshotTable(absl::Span<const SnapshotSection> sections) {
  std::string bytes(kMagic);
  PutLittleEndian<uint32_t>(&bytes, kVersion);
  PutLittleEndian<uint32_t>(&bytes, static_cast<uint32_t>(sections.size()));
  for (const SnapshotSection& section : sections) {
    bytes.append(section.tag);
    PutLittleEndian<uint32_t>(&bytes, kNoFlags);
    PutLittleEndian<uint64_t>(&bytes, section.bytes.size());
    PutLittleEndian<uint64_t>(&bytes, XXH3_64bits(section.bytes.data(), section.bytes.size()));
  }
  PutLittleEndian<uint64_t>(&bytes, XXH3_64bits(bytes.data(), bytes.size()));
  return bytes;
}

absl::StatusOr<SnapshotTable> SnapshotTable::Decode(std::string_view bytes) {
  const std::string_view magic = bytes.substr(0, kMagic.size());
  if (magic != kMagic.substr(0, magic.size())) {
    return absl::InvalidArgumentError("this is not a snapshot");
  }
  if (bytes.size() < kHeaderBytes) return CutOffInTable();
  const auto count = GetLittleEndian<uint32_t>(bytes.data() + kSectionsAt);
  if (count > kSectionsMax) {
    return absl::DataLossError("the snapshot's section table was changed");
  }
  const size_t table_bytes = kHeaderBytes + count * kEntryBytes;
  if (bytes.size() < table_bytes + kTableDigestBytes) return CutOffInTable();
  if (GetLittleEndian<uint64_t>(bytes.data() + table_bytes) !=
      XXH3_64bits(bytes.data(), table_bytes)) {
    return absl::DataLossError("the snapshot's section table was changed");
  }
  if (const auto version = GetLittleEndian<uint32_t>(bytes.data() + kVersionAt);
      version != kVersion) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the snapshot is of format version %d, and this server reads %d", version, kVersion));
  }
  SnapshotTable table;
  std::string_view rest = bytes.substr(table_bytes + kTableDigestBytes);
  for (size_t i = 0; i < count; ++i) {
    const char* entry = bytes.data() + kHeaderBytes + i * kEntryBytes;
    const std::string_view tag(entry, kTagBytes);
    const auto length = GetLittleEndian<uint64_t>(entry + kLengthAt);
    if (GetLittleEndian<uint32_t>(entry + kFlagsAt) != kNoFlags) {
      return absl::InvalidArgumentError(absl::StrCat("the snapshot's section ", Printable(tag),
                                                     " has flags that this server does not know"));
    }
    if (length > rest.size()) {
      return absl::DataLossError(
          absl::StrFormat("the snapshot is cut off in its section %s: %d of %d bytes are there",
                          Printable(tag), rest.size(), length));
    }
    table.sections_.push_back({tag, rest.substr(0, length)});
    table.digests_.push_back(GetLittleEndian<uint64_t>(entry + kDigestAt));
    rest.remove_prefix(length);
  }
  if (!rest.empty()) {
    return absl::DataLossError(
        absl::StrFormat("the snapshot was changed: %d bytes follow its last section", rest.size()));
  }
  return table;
}

std::vector<std::string_view> SnapshotTable::tags() const {
  std::vector<std::string_view> tags;
  for (const SnapshotSection& section : sections_) tags.push_back(section.tag);
  return tags;
}

const SnapshotSection* SnapshotTable::Find(std::string_view tag) const {
  for (const SnapshotSection& section : sections_) {
    if (section.tag == tag) return &section;
  }
  return nullptr;
}

absl::Status SnapshotTable::CheckDigests() const {
  for (size_t i = 0; i < sections_.size(); ++i) {
    const std::string_view bytes = sections_[i].bytes;
    if (XXH3_64bits(bytes.data(), bytes.size()) != digests_[i]) {
      return absl::DataLossError(
          absl::StrCat("the snapshot's section ", Printable(sections_[i].tag), " was changed"));
    }
  }
  return absl::OkStatus();
}

}  // namespace ssmd
