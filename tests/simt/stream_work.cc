#include "tests/simt/stream_work.h"

#include <cstring>
#include <utility>

#include "tests/simt/sanitizers.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;

struct Copy {
  static constexpr char kName[] = "copy";
  struct Args {
    void* to;
    const void* from;
    size_t bytes;
  };
  static void Run(const Block&, const Args& args) { std::memcpy(args.to, args.from, args.bytes); }
};

struct Zero {
  static constexpr char kName[] = "zero";
  struct Args {
    void* to;
    size_t bytes;
  };
  static void Run(const Block&, const Args& args) { std::memset(args.to, 0, args.bytes); }
};

struct RecordEvent {
  static constexpr char kName[] = "record event";
  struct Args {
    char* clock;
  };
  static void Run(const Block&, const Args& args) { ReleaseClock(args.clock); }
};

struct WaitForEvent {
  static constexpr char kName[] = "wait for event";
  struct Args {
    char* clock;
  };
  static void Run(const Block&, const Args& args) { AcquireClock(args.clock); }
};

std::unique_ptr<std::byte[]> CopyOf(const void* bytes, size_t size) {
  auto copy = std::make_unique<std::byte[]>(size);
  std::memcpy(copy.get(), bytes, size);
  return copy;
}

template <typename Kernel>
std::shared_ptr<Work> WorkOf(Work::Kind kind, const typename Kernel::Args& args) {
  KernelCall call = {};
  call.name = Kernel::kName;
  call.threads = 1;
  call.run = [](const Block& block, const void* copy) {
    Kernel::Run(block, *static_cast<const typename Kernel::Args*>(copy));
  };
  call.args_bytes = sizeof(args);
  auto work = LaunchWork(call, &args);
  work->kind = kind;
  return work;
}

}  // namespace

std::shared_ptr<Work> LaunchWork(const KernelCall& call, const void* args) {
  auto work = std::make_shared<Work>();
  work->call = call;
  work->args = CopyOf(args, call.args_bytes);
  return work;
}

std::shared_ptr<Work> CopyInWork(void* device, const void* host, size_t bytes) {
  auto work = WorkOf<Copy>(Work::kCopy, {device, host, bytes});
  work->ranges = {{device, bytes}};
  return work;
}

std::shared_ptr<Work> StagedCopyInWork(void* device, const void* host, size_t bytes) {
  auto staged = CopyOf(host, bytes);
  auto work = CopyInWork(device, staged.get(), bytes);
  work->staged = std::move(staged);
  return work;
}

std::shared_ptr<Work> CopyOutWork(void* host, const void* device, size_t bytes) {
  auto work = WorkOf<Copy>(Work::kCopy, {host, device, bytes});
  work->ranges = {{device, bytes}};
  return work;
}

std::shared_ptr<Work> CopyWithinWork(void* to, const void* from, size_t bytes) {
  auto work = WorkOf<Copy>(Work::kCopy, {to, from, bytes});
  work->ranges = {{to, bytes}, {from, bytes}};
  return work;
}

std::shared_ptr<Work> ZeroWork(void* device, size_t bytes) {
  auto work = WorkOf<Zero>(Work::kCopy, {device, bytes});
  work->ranges = {{device, bytes}};
  return work;
}

std::shared_ptr<Work> RecordEventWork(std::shared_ptr<EventState> event) {
  auto work = WorkOf<RecordEvent>(Work::kRecordEvent, {&event->clock});
  work->event = std::move(event);
  return work;
}

std::shared_ptr<Work> WaitForEventWork(std::shared_ptr<EventState> event) {
  auto work = WorkOf<WaitForEvent>(Work::kWaitForEvent, {&event->clock});
  work->event = std::move(event);
  return work;
}

}  // namespace ssmd::simt
