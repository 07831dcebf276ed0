#include "engine/log/log_format.h"

#include <xxhash.h>

#include <array>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/base/little_endian.h"

namespace ssmd {
namespace {

constexpr std::string_view kMagic = "SSMD-LOG";
constexpr uint32_t kVersion = 1;
constexpr int64_t kNumberMax = 1'000'000'000'000;  // no log comes near it
constexpr absl::string_view kSegmentPrefix = "log-";
constexpr absl::string_view kImagePrefix = "image-";
// Where the header's fields are.
constexpr size_t kVersionAt = 8;
constexpr size_t kKindAt = 12;
constexpr size_t kNumberAt = 16;
constexpr size_t kSaltAt = 24;
constexpr size_t kPreviousBytesAt = 32;
constexpr size_t kHeaderDigestAt = 40;
// Where the frame's are.
constexpr size_t kBackAt = 4;
constexpr size_t kRecordDigestAt = 8;
constexpr size_t kFrameDigestAt = 16;

// Of the frame's fields and of where it is. REQUIRES: kFrameDigestAt bytes of fields.
uint64_t DigestOfFrame(std::string_view fields, int64_t offset, uint64_t salt) {
  std::array<char, kFrameDigestAt + sizeof(offset)> covered;
  std::memcpy(covered.data(), fields.data(), kFrameDigestAt);
  std::memcpy(covered.data() + kFrameDigestAt, &offset, sizeof(offset));
  return XXH3_64bits_withSeed(covered.data(), covered.size(), salt);
}

}  // namespace

std::string EncodeLogFileHeader(const LogFileHeader& header) {
  std::string bytes(kMagic);
  PutLittleEndian<uint32_t>(&bytes, kVersion);
  PutLittleEndian<uint32_t>(&bytes, static_cast<uint32_t>(header.kind));
  PutLittleEndian<uint64_t>(&bytes, header.number);
  PutLittleEndian<uint64_t>(&bytes, header.salt);
  PutLittleEndian<uint64_t>(&bytes, header.previous_bytes);
  PutLittleEndian<uint64_t>(&bytes, XXH3_64bits(bytes.data(), bytes.size()));
  return bytes;
}

absl::StatusOr<LogFileHeader> DecodeLogFileHeader(std::string_view bytes) {
  const std::string_view magic = bytes.substr(0, kMagic.size());
  if (magic != kMagic.substr(0, magic.size())) {
    return absl::InvalidArgumentError(
        "is not a file of a commit log; another may lie in its place: put back what was there");
  }
  if (bytes.size() < static_cast<size_t>(LogFileHeader::kBytes)) {
    return absl::DataLossError("is cut off in its header");
  }
  const char* at = bytes.data();
  if (GetLittleEndian<uint64_t>(at + kHeaderDigestAt) != XXH3_64bits(at, kHeaderDigestAt)) {
    return absl::DataLossError("its header was changed");
  }
  if (const auto version = GetLittleEndian<uint32_t>(at + kVersionAt); version != kVersion) {
    return absl::InvalidArgumentError(
        absl::StrFormat("is of version %d of the commit log's format, and this program reads %d: "
                        "start the version of ssmd that wrote it",
                        version, kVersion));
  }
  LogFileHeader header;
  header.kind = static_cast<LogFileKind>(GetLittleEndian<uint32_t>(at + kKindAt));
  header.number = GetLittleEndian<uint64_t>(at + kNumberAt);
  header.salt = GetLittleEndian<uint64_t>(at + kSaltAt);
  header.previous_bytes = GetLittleEndian<uint64_t>(at + kPreviousBytesAt);
  return header;
}

uint64_t DigestOfRecord(std::string_view record, uint64_t salt) {
  return XXH3_64bits_withSeed(record.data(), record.size(), salt);
}

std::string EncodeLogFrame(const LogFrame& frame, int64_t offset, uint64_t salt) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, frame.length);
  PutLittleEndian<uint32_t>(&bytes, frame.back);
  PutLittleEndian<uint64_t>(&bytes, frame.record_digest);
  PutLittleEndian<uint64_t>(&bytes, DigestOfFrame(bytes, offset, salt));
  return bytes;
}

std::optional<LogFrame> DecodeLogFrame(std::string_view bytes, int64_t offset, uint64_t salt) {
  const char* at = bytes.data();
  const uint64_t digest = DigestOfFrame(bytes, offset, salt);
  if (GetLittleEndian<uint64_t>(at + kFrameDigestAt) != digest) return std::nullopt;
  LogFrame frame;
  frame.length = GetLittleEndian<uint32_t>(at);
  frame.back = GetLittleEndian<uint32_t>(at + kBackAt);
  frame.record_digest = GetLittleEndian<uint64_t>(at + kRecordDigestAt);
  if (frame.back > offset - LogFileHeader::kBytes) return std::nullopt;
  return frame;
}

std::string LogFileName(LogFileKind kind, int64_t number) {
  return absl::StrFormat("%s%08d", kind == LogFileKind::kImage ? kImagePrefix : kSegmentPrefix,
                         number);
}

std::optional<LogFileId> ParseLogFileName(std::string_view name) {
  absl::string_view digits(name.data(), name.size());
  LogFileId id;
  if (absl::ConsumePrefix(&digits, kImagePrefix)) {
    id.kind = LogFileKind::kImage;
  } else if (!absl::ConsumePrefix(&digits, kSegmentPrefix)) {
    return std::nullopt;
  }
  if (!absl::SimpleAtoi(digits, &id.number)) return std::nullopt;
  if (id.number < 1 || id.number > kNumberMax) return std::nullopt;
  if (LogFileName(id.kind, id.number) != name) return std::nullopt;
  return id;
}

}  // namespace ssmd
