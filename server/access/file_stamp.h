// What tells that a file changed: for those that are read again while the daemon runs.
#ifndef SSMD_SERVER_ACCESS_FILE_STAMP_H_
#define SSMD_SERVER_ACCESS_FILE_STAMP_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace ssmd::server {

struct FileStamp {
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  uint64_t inode = 0;
  int64_t bytes = -1;
  bool operator==(const FileStamp&) const = default;
};

// Of the file that a link leads to; of none where there is none.
inline FileStamp StampOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FileStamp{};
  return FileStamp{info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ino, info.st_size};
}

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_FILE_STAMP_H_
