// Offsets, names and signatures are those of PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3.
#include "engine/formats/zip_directory.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/little_endian.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kZip64LocatorSignature = 0x07064b50;
constexpr uint32_t kZip64EndSignature = 0x06064b50;
constexpr uint32_t kEntrySignature = 0x02014b50;
constexpr uint32_t kLocalSignature = 0x04034b50;

constexpr size_t kEndBytes = 22;
constexpr size_t kZip64LocatorBytes = 20;
constexpr size_t kZip64EndBytes = 56;
constexpr size_t kEntryBytes = 46;
constexpr size_t kLocalBytes = 30;

constexpr uint16_t kZip64Extra = 1;
constexpr uint16_t kHasDescriptor = 1 << 3;  // the sizes follow the data; the local header has none
constexpr uint16_t kUtf8Name = 1 << 11;

// Fields that say "look into the zip64 record".
constexpr uint16_t kIn64From16 = 0xFFFF;
constexpr uint32_t kIn64From32 = 0xFFFFFFFF;

// A record of known length, whose fields are read by their offsets.
class Record {
 public:
  explicit Record(std::string_view bytes) : bytes_(bytes) {}

  uint16_t U16(size_t at) const { return GetLittleEndian<uint16_t>(bytes_.data() + at); }
  uint32_t U32(size_t at) const { return GetLittleEndian<uint32_t>(bytes_.data() + at); }
  uint64_t U64(size_t at) const { return GetLittleEndian<uint64_t>(bytes_.data() + at); }

 private:
  std::string_view bytes_;
};

// What the directory says of an entry, zip64 fields resolved.
struct Listed {
  std::string_view name;
  uint16_t flags = 0;
  uint64_t stored_bytes = 0;
  uint64_t bytes = 0;
  uint64_t header_at = 0;
};

// Where an entry lies, header included.
struct Occupied {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string_view name;
};

bool IsPlainPath(std::string_view path) {
  if (path.find('\\') != path.npos || path.find('\0') != path.npos) return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

class DirectoryReader {
 public:
  DirectoryReader(std::string_view file, std::string_view source) : file_(file), source_(source) {}

  absl::StatusOr<std::vector<ZipEntry>> Read();

 private:
  absl::Status Error(const std::string& reason) const {
    return absl::InvalidArgumentError(absl::StrCat(std::string(source_), ": ", reason));
  }
  absl::Status EntryError(std::string_view name, const std::string& reason) const {
    return Error(absl::StrCat("entry ", Quoted(name), " ", reason));
  }

  absl::Status FindDirectory();
  absl::Status FindZip64Directory();
  absl::StatusOr<Listed> ReadListed(std::string_view* rest) const;
  absl::Status ReadZip64Fields(std::string_view extra, Listed* listed) const;
  absl::Status CheckListed(const Listed& listed, uint16_t method) const;
  absl::StatusOr<ZipEntry> ReadEntry(const Listed& listed);
  absl::Status CheckLocalHeader(const Listed& listed, const Record& local) const;
  absl::Status CheckNoOverlap();

  std::string_view file_;
  std::string_view source_;
  uint64_t count_ = 0;
  uint64_t directory_at_ = 0;
  uint64_t directory_bytes_ = 0;
  std::vector<Occupied> occupied_;
};

absl::StatusOr<std::vector<ZipEntry>> DirectoryReader::Read() {
  SSMD_RETURN_IF_ERROR(FindDirectory());
  std::string_view rest = file_.substr(directory_at_, directory_bytes_);
  // Before anything is reserved: a directory of so many entries takes so many bytes.
  if (count_ > rest.size() / kEntryBytes) {
    return Error(absl::StrCat("a directory of ", rest.size(), " bytes cannot hold the ", count_,
                              " entries that it is said to"));
  }
  if (count_ > kMaxZipEntries) {
    return Error(
        absl::StrCat("holds ", count_, " entries, more than the ", kMaxZipEntries, " allowed"));
  }
  std::vector<ZipEntry> entries;
  entries.reserve(count_);
  occupied_.reserve(count_);
  std::set<std::string_view> names;
  for (uint64_t i = 0; i < count_; ++i) {
    SSMD_ASSIGN_OR_RETURN(const Listed listed, ReadListed(&rest));
    if (!names.insert(listed.name).second) return EntryError(listed.name, "is there twice");
    SSMD_ASSIGN_OR_RETURN(const ZipEntry entry, ReadEntry(listed));
    entries.push_back(entry);
  }
  if (!rest.empty()) {
    return Error(absl::StrCat(rest.size(), " bytes after the directory's last entry"));
  }
  SSMD_RETURN_IF_ERROR(CheckNoOverlap());
  return entries;
}

absl::Status DirectoryReader::FindDirectory() {
  if (file_.size() < kEndBytes) {
    return Error(absl::StrCat("holds ", file_.size(), " bytes: too short for a zip file"));
  }
  const size_t end_at = file_.size() - kEndBytes;
  const Record end(file_.substr(end_at));
  // A comment would follow the record, which is then not at the very end.
  if (end.U32(0) != kEndSignature || end.U16(20) != 0) {
    return Error("does not end like a zip file without a comment: cut short, or not from torch?");
  }
  const uint16_t disk = end.U16(4);
  if (end.U16(6) != disk || (disk != 0 && disk != kIn64From16) || end.U16(8) != end.U16(10)) {
    return Error("is one part of a zip file that has several");
  }
  count_ = end.U16(10);
  directory_bytes_ = end.U32(12);
  directory_at_ = end.U32(16);
  uint64_t directory_end = end_at;
  if (end_at >= kZip64LocatorBytes &&
      Record(file_.substr(end_at - kZip64LocatorBytes)).U32(0) == kZip64LocatorSignature) {
    SSMD_RETURN_IF_ERROR(FindZip64Directory());
    directory_end -= kZip64LocatorBytes + kZip64EndBytes;
  }
  if (directory_bytes_ > directory_end || directory_at_ != directory_end - directory_bytes_) {
    return Error(absl::StrCat("a directory of ", directory_bytes_, " bytes at byte ", directory_at_,
                              " does not end at byte ", directory_end,
                              ", where the records that end the file begin"));
  }
  return absl::OkStatus();
}

absl::Status DirectoryReader::FindZip64Directory() {
  const size_t locator_at = file_.size() - kEndBytes - kZip64LocatorBytes;
  const Record locator(file_.substr(locator_at));
  if (locator_at < kZip64EndBytes || locator.U32(4) != 0 || locator.U32(16) > 1 ||
      locator.U64(8) != locator_at - kZip64EndBytes) {
    return Error("the zip64 locator does not point at a record directly before it");
  }
  const Record end64(file_.substr(locator_at - kZip64EndBytes));
  if (end64.U32(0) != kZip64EndSignature || end64.U64(4) != kZip64EndBytes - 12 ||
      end64.U32(16) != 0 || end64.U32(20) != 0 || end64.U64(24) != end64.U64(32)) {
    return Error("the zip64 end record is not that of a zip file in one part");
  }
  const auto agrees = [](uint64_t narrow, uint64_t all_ones, uint64_t wide) {
    return narrow == all_ones || narrow == wide;
  };
  if (!agrees(count_, kIn64From16, end64.U64(32)) ||
      !agrees(directory_bytes_, kIn64From32, end64.U64(40)) ||
      !agrees(directory_at_, kIn64From32, end64.U64(48))) {
    return Error("the end record and its zip64 form disagree");
  }
  count_ = end64.U64(32);
  directory_bytes_ = end64.U64(40);
  directory_at_ = end64.U64(48);
  return absl::OkStatus();
}

// Takes one entry of the directory off `rest`.
absl::StatusOr<Listed> DirectoryReader::ReadListed(std::string_view* rest) const {
  const Record entry(*rest);
  if (rest->size() < kEntryBytes || entry.U32(0) != kEntrySignature) {
    return Error(absl::StrCat("no directory entry at byte ",
                              directory_at_ + directory_bytes_ - rest->size()));
  }
  const size_t name_bytes = entry.U16(28), extra_bytes = entry.U16(30);
  const size_t whole = kEntryBytes + name_bytes + extra_bytes + entry.U16(32);
  if (whole > rest->size()) {
    return Error(absl::StrCat("the directory entry at byte ",
                              directory_at_ + directory_bytes_ - rest->size(),
                              " passes the directory's end"));
  }
  Listed listed;
  listed.name = rest->substr(kEntryBytes, name_bytes);
  listed.flags = entry.U16(8);
  listed.stored_bytes = entry.U32(20);
  listed.bytes = entry.U32(24);
  listed.header_at = entry.U32(42);
  SSMD_RETURN_IF_ERROR(
      ReadZip64Fields(rest->substr(kEntryBytes + name_bytes, extra_bytes), &listed));
  if (entry.U16(34) != 0) return EntryError(listed.name, "is on another disk");
  SSMD_RETURN_IF_ERROR(CheckListed(listed, entry.U16(10)));
  rest->remove_prefix(whole);
  return listed;
}

// Each field that did not fit follows in the zip64 field of the extra data, in this order.
absl::Status DirectoryReader::ReadZip64Fields(std::string_view extra, Listed* listed) const {
  std::string_view wide;
  bool found = false;
  while (!extra.empty()) {
    if (extra.size() < 4 || Record(extra).U16(2) > extra.size() - 4) {
      return EntryError(listed->name, "has malformed extra data");
    }
    const Record field(extra);
    if (field.U16(0) == kZip64Extra) {
      if (found) return EntryError(listed->name, "has zip64 sizes twice");
      found = true;
      wide = extra.substr(4, field.U16(2));
    }
    extra.remove_prefix(4 + size_t{field.U16(2)});
  }
  for (uint64_t* value : {&listed->bytes, &listed->stored_bytes, &listed->header_at}) {
    if (*value != kIn64From32) continue;
    if (wide.size() < sizeof(uint64_t)) return EntryError(listed->name, "lacks its zip64 sizes");
    *value = Record(wide).U64(0);
    wide.remove_prefix(sizeof(uint64_t));
  }
  return absl::OkStatus();
}

absl::Status DirectoryReader::CheckListed(const Listed& listed, uint16_t method) const {
  if (!IsPlainPath(listed.name)) {
    return EntryError(listed.name, "does not have a plain relative path for a name");
  }
  if ((listed.flags & ~(kHasDescriptor | kUtf8Name)) != 0) {
    return EntryError(listed.name, absl::StrFormat("has flags 0x%04x: encrypted, or otherwise not "
                                                   "what torch writes",
                                                   listed.flags));
  }
  if (method != 0 || listed.stored_bytes != listed.bytes) {
    return EntryError(listed.name, absl::StrCat("is compressed (method ", method, ", ",
                                                listed.stored_bytes, " bytes for ", listed.bytes,
                                                "): torch stores entries as they are"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ZipEntry> DirectoryReader::ReadEntry(const Listed& listed) {
  if (listed.header_at > directory_at_ || directory_at_ - listed.header_at < kLocalBytes) {
    return EntryError(listed.name,
                      absl::StrCat("has no room for its header at byte ", listed.header_at));
  }
  const Record local(file_.substr(listed.header_at));
  const uint64_t data_at = listed.header_at + kLocalBytes + local.U16(26) + local.U16(28);
  if (data_at > directory_at_ || listed.bytes > directory_at_ - data_at) {
    return EntryError(listed.name,
                      absl::StrCat("of ", listed.bytes, " bytes at byte ", data_at,
                                   " passes the end of the data at byte ", directory_at_));
  }
  SSMD_RETURN_IF_ERROR(CheckLocalHeader(listed, local));
  occupied_.push_back({listed.header_at, data_at + listed.bytes, listed.name});
  return ZipEntry{listed.name, file_.substr(data_at, listed.bytes)};
}

// REQUIRES: the header, with its name, lies within the file.
absl::Status DirectoryReader::CheckLocalHeader(const Listed& listed, const Record& local) const {
  if (local.U32(0) != kLocalSignature) {
    return EntryError(listed.name, absl::StrCat("has no header at byte ", listed.header_at));
  }
  const std::string_view name = file_.substr(listed.header_at + kLocalBytes, local.U16(26));
  const auto agrees = [&](uint32_t size) {
    return size == listed.bytes || size == kIn64From32 ||
           (size == 0 && (listed.flags & kHasDescriptor) != 0);
  };
  if (name != listed.name || local.U16(6) != listed.flags || local.U16(8) != 0 ||
      !agrees(local.U32(18)) || !agrees(local.U32(22))) {
    return EntryError(listed.name, "has a header that does not say what the directory says");
  }
  return absl::OkStatus();
}

absl::Status DirectoryReader::CheckNoOverlap() {
  std::sort(occupied_.begin(), occupied_.end(),
            [](const Occupied& a, const Occupied& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < occupied_.size(); ++i) {
    if (occupied_[i].begin < occupied_[i - 1].end) {
      return EntryError(occupied_[i].name,
                        absl::StrCat("lies over entry ", Quoted(occupied_[i - 1].name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ZipEntry>> ReadZipDirectory(std::string_view file,
                                                       std::string_view source) {
  return DirectoryReader(file, source).Read();
}

}  // namespace ssmd
