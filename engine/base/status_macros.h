// Early return on error for absl::Status and absl::StatusOr (Debian's Abseil has no such macros).
#ifndef SSMD_ENGINE_BASE_STATUS_MACROS_H_
#define SSMD_ENGINE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define SSMD_RETURN_IF_ERROR(expr)                                                  \
  do {                                                                              \
    if (::absl::Status ssmd_status = (expr); !ssmd_status.ok()) return ssmd_status; \
  } while (false)

#define SSMD_CONCAT_INNER(a, b) a##b
#define SSMD_CONCAT(a, b) SSMD_CONCAT_INNER(a, b)

// SSMD_ASSIGN_OR_RETURN(auto value, MakeValue());
#define SSMD_ASSIGN_OR_RETURN(lhs, expr) \
  SSMD_ASSIGN_OR_RETURN_INNER(SSMD_CONCAT(ssmd_status_or_, __LINE__), lhs, expr)
#define SSMD_ASSIGN_OR_RETURN_INNER(var, lhs, expr) \
  auto var = (expr);                                \
  if (!var.ok()) return std::move(var).status();    \
  lhs = *std::move(var)

#endif  // SSMD_ENGINE_BASE_STATUS_MACROS_H_
