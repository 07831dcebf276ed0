// What the updates of a memory read beside the state: made once a model, in double, as one array
// that goes to the device as it is.
#ifndef SSMD_ENGINE_MODELS_MEMORY_TABLES_H_
#define SSMD_ENGINE_MODELS_MEMORY_TABLES_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "engine/models/memory_config.h"
#include "kernels/memory_ops.h"

namespace ssmd {

class MemoryTables {
 public:
  explicit MemoryTables(const MemoryConfig& config);

  const std::vector<double>& values() const { return values_; }
  // What an update of such a memory is, its tables being at `values`: these, or a copy of them.
  kernels::MemoryScanParams ParamsAt(const double* values) const;

 private:
  // Appends a row, padded with zeros; returns where it begins.
  size_t AddRow(absl::Span<const double> row);
  void MakeLegs();
  void MakeWindow();

  const MemoryConfig config_;
  std::vector<double> values_;
  // Where each table of MemoryScanParams begins.
  size_t nodes_ = 0;
  size_t weights_ = 0;
  size_t basis_ = 0;
  size_t shifts_ = 0;
  size_t up_ = 0;
  size_t down_ = 0;
  size_t roots_ = 0;
  size_t a_ = 0;
  size_t b_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MEMORY_TABLES_H_
