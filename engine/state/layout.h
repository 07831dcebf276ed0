// What one session keeps between tokens, as a list of fields that every mixer declares for its
// layer. A slot is plain bytes in this layout, so fork, snapshot, evict and migrate are byte copies
// that know no mixer.
#ifndef SSMD_ENGINE_STATE_LAYOUT_H_
#define SSMD_ENGINE_STATE_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace ssmd {

// What a field holds, which says how it is kept.
enum class StateKind : uint8_t {
  kConvRing,    // last inputs of a convolution, f32
  kSsm,         // a recurrence's state, in the format that the user chose
  kTokenShift,  // the last input of a layer, f32
  kLinear,      // a recurrence's state that is f32 whatever was chosen
  kDelayLine,   // last inputs and outputs of a difference equation, f64
  kMemory,      // what is kept of a signal, f64
};

struct StateFieldSpec {
  int layer = 0;
  std::string name;  // "conv", "ssm"
  std::vector<int64_t> shape;
  StateKind kind = StateKind::kSsm;
  kernels::StateFormat format = kernels::StateFormat::kF32;
  size_t offset = 0;  // within the slot, 64-byte aligned
  size_t bytes = 0;
};

// Where a mixer finds one of its fields.
struct StatePlace {
  size_t offset = 0;
  kernels::StateFormat format = kernels::StateFormat::kF32;
  uint32_t layer = 0;
};

class StateLayout {
 public:
  // `ssm`: the format of the fields of kind kSsm. Rings hold activations, which are f32.
  explicit StateLayout(kernels::StateFormat ssm = kernels::StateFormat::kF32) : ssm_(ssm) {}

  // Appends a field. One of no elements takes no bytes. REQUIRES: layer >= 0; dimensions >= 0 whose
  // product fits (mixers check at load time).
  StatePlace Add(int layer, std::string name, StateKind kind, std::vector<int64_t> shape);

  const std::vector<StateFieldSpec>& fields() const { return fields_; }
  size_t bytes_per_slot() const { return bytes_; }  // a multiple of 64

  // One line a field; equal for equal layouts. Part of a snapshot's identity.
  std::string Describe() const;

 private:
  kernels::StateFormat ssm_;
  std::vector<StateFieldSpec> fields_;
  size_t bytes_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_LAYOUT_H_
