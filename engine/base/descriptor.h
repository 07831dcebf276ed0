// A file descriptor that is closed when it goes out of scope. Move-only.
#ifndef SSMD_ENGINE_BASE_DESCRIPTOR_H_
#define SSMD_ENGINE_BASE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace ssmd {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_DESCRIPTOR_H_
