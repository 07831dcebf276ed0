#include "engine/state/host_buffers.h"

#include <utility>
#include <vector>

#include "engine/base/mutex.h"

namespace ssmd {

struct HostBuffers::Shelf {
  mutable Mutex mutex;
  std::vector<std::unique_ptr<kernels::Buffer>> idle ABSL_GUARDED_BY(mutex);
  bool closed ABSL_GUARDED_BY(mutex) = false;

  std::unique_ptr<kernels::Buffer> Take() {
    MutexLock lock(&mutex);
    if (idle.empty()) return nullptr;
    auto buffer = std::move(idle.back());
    idle.pop_back();
    return buffer;
  }
  void PutBack(kernels::Buffer* buffer) {
    MutexLock lock(&mutex);
    if (!closed) idle.emplace_back(buffer);
  }
  void Close() {
    std::vector<std::unique_ptr<kernels::Buffer>> freed;
    MutexLock lock(&mutex);
    closed = true;
    freed.swap(idle);
  }
};

HostBuffers::HostBuffers(kernels::Device* device, size_t bytes)
    : device_(device), bytes_(bytes), shelf_(std::make_shared<Shelf>()) {}

HostBuffers::~HostBuffers() { shelf_->Close(); }

std::shared_ptr<kernels::Buffer> HostBuffers::Take() {
  std::unique_ptr<kernels::Buffer> buffer = shelf_->Take();
  if (buffer == nullptr) {
    buffer = std::make_unique<kernels::Buffer>(device_->AllocateStaging(bytes_));
    if (!*buffer) return nullptr;
  }
  return {buffer.release(), [shelf = shelf_](kernels::Buffer* back) { shelf->PutBack(back); }};
}

size_t HostBuffers::idle() const {
  MutexLock lock(&shelf_->mutex);
  return shelf_->idle.size();
}

void HostBuffers::FreeOne() { shelf_->Take(); }

}  // namespace ssmd
