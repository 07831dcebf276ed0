// What one session keeps between tokens, as a list of fields that every mixer declares for its
// layer. A slot is plain bytes in this layout, so fork, snapshot, evict and migrate are byte copies
// that know no mixer.
#ifndef SSMD_ENGINE_STATE_LAYOUT_H_
#define SSMD_ENGINE_STATE_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ssmd {

enum class StateKind : uint8_t { kConvRing, kSsm };

struct StateFieldSpec {
  int layer = 0;
  std::string name;            // "conv", "ssm"
  std::vector<int64_t> shape;  // f32 elements
  StateKind kind = StateKind::kSsm;
  size_t offset = 0;  // within the slot, 64-byte aligned
  size_t bytes = 0;
};

class StateLayout {
 public:
  // Appends a field of f32 elements and returns its offset in the slot. A field of no elements
  // takes no bytes. REQUIRES: dimensions >= 0 whose product fits (mixers check at load time).
  size_t Add(int layer, std::string name, StateKind kind, std::vector<int64_t> shape);

  const std::vector<StateFieldSpec>& fields() const { return fields_; }
  size_t bytes_per_slot() const { return bytes_; }  // a multiple of 64

  // One line a field; equal for equal layouts. Part of a snapshot's identity.
  std::string Describe() const;

 private:
  std::vector<StateFieldSpec> fields_;
  size_t bytes_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_LAYOUT_H_
