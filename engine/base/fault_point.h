// kernels/fault_point.h for the engine, and what makes a shortage of memory an answer.
#ifndef SSMD_ENGINE_BASE_FAULT_POINT_H_
#define SSMD_ENGINE_BASE_FAULT_POINT_H_

#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/fault_point.h"

namespace ssmd {

using kernels::FaultPoint;

// What `call` gives, a Status or StatusOr; RESOURCE_EXHAUSTED where it finds no memory. For work on
// plain values whose size a request or a file decides: whatever it has made until then is dropped.
template <typename Call>
auto UnlessOutOfMemory(FaultPoint& point, absl::string_view to_do, Call call) -> decltype(call()) {
  try {
    if (point.Hit()) throw std::bad_alloc();
    return call();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory to ", to_do));
  }
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_FAULT_POINT_H_
