// What streams do beside kernels, as kernels of one thread: so the sanitizers see whose memory is
// read and written, and after what.
#ifndef SSMD_TESTS_SIMT_STREAM_WORK_H_
#define SSMD_TESTS_SIMT_STREAM_WORK_H_

#include <memory>

#include "tests/simt/emulated_stream.h"

namespace ssmd::simt {

std::shared_ptr<Work> CopyInWork(void* device, const void* host, size_t bytes);
// The host's bytes are taken now.
std::shared_ptr<Work> StagedCopyInWork(void* device, const void* host, size_t bytes);
std::shared_ptr<Work> CopyOutWork(void* host, const void* device, size_t bytes);
std::shared_ptr<Work> CopyWithinWork(void* to, const void* from, size_t bytes);
std::shared_ptr<Work> ZeroWork(void* device, size_t bytes);
std::shared_ptr<Work> RecordEventWork(std::shared_ptr<EventState> event);
std::shared_ptr<Work> WaitForEventWork(std::shared_ptr<EventState> event);
std::shared_ptr<Work> LaunchWork(const KernelCall& call, const void* args);

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_STREAM_WORK_H_
