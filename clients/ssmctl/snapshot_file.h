// Snapshots as files: one that is written appears under its name whole or not at all, where that is
// a regular file's or nobody's; a link is followed. What else there is (a pipe, a device) is
// written to as it comes. "-" is standard output or input. Errors are words for people.
#ifndef SSMD_CLIENTS_SSMCTL_SNAPSHOT_FILE_H_
#define SSMD_CLIENTS_SSMCTL_SNAPSHOT_FILE_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace ssmd::ctl {

class SnapshotWriter {
 public:
  explicit SnapshotWriter(std::string path) : path_(std::move(path)) {}
  // Removes what was not committed.
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  std::optional<std::string> Open();
  std::optional<std::string> Write(std::string_view bytes);
  // To the medium, and then under its name.
  std::optional<std::string> Commit();
  int64_t bytes() const { return bytes_; }

 private:
  std::string Problem(const char* verb) const;

  const std::string path_;
  std::string target_;     // the path behind links
  std::string temporary_;  // what becomes `target_`; empty where it is written to itself
  std::FILE* file_ = nullptr;
  int64_t bytes_ = 0;
};

class SnapshotReader {
 public:
  explicit SnapshotReader(std::string path) : path_(std::move(path)) {}
  ~SnapshotReader();
  SnapshotReader(const SnapshotReader&) = delete;
  SnapshotReader& operator=(const SnapshotReader&) = delete;

  std::optional<std::string> Open();
  // The next bytes, at most `most`; none at the end.
  std::optional<std::string> Read(size_t most, std::string* bytes);
  // Of a regular file; nothing for a pipe.
  std::optional<int64_t> size() const { return size_; }

 private:
  const std::string path_;
  std::FILE* file_ = nullptr;
  std::optional<int64_t> size_;
};

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_SNAPSHOT_FILE_H_
