#include "kernels/cuda/selfcheck/check_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "kernels/cuda/selfcheck/sealed_file.h"

namespace ssmd::kernels::cuda {

constexpr std::chrono::milliseconds kLookAgain(20);

CheckLock::CheckLock(const std::string& folder, const std::string& gpu,
                     std::chrono::milliseconds patience) {
  if (folder.empty()) return;
  namespace fs = std::filesystem;
  std::error_code ignored;  // the open says whether it is there
  fs::create_directories(folder, ignored);
  const std::string path = (fs::path(folder) / ("kernels-" + DigestOf(gpu) + ".lock")).string();
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return;
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (flock(file, LOCK_EX | LOCK_NB) != 0) {
    const bool others = errno == EWOULDBLOCK || errno == EINTR;
    if (!others || std::chrono::steady_clock::now() >= give_up) {
      close(file);
      return;
    }
    std::this_thread::sleep_for(kLookAgain);
  }
  file_ = file;
}

CheckLock::~CheckLock() {
  if (file_ >= 0) close(file_);
}

}  // namespace ssmd::kernels::cuda
