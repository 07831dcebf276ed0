// Equal beginnings of prompts that come in together are read once: a prompt waits for a state of
// one that is being read, where that will be at their first difference, and goes on from there.
//
// Step thread. A wait always ends: by the state, or by the end (or a pause) of the one waited for.
#ifndef SSMD_ENGINE_SCHEDULE_PREFIX_WAIT_H_
#define SSMD_ENGINE_SCHEDULE_PREFIX_WAIT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "engine/state/held_state.h"

namespace ssmd {

struct PrefixWait {
  int64_t position = 0;
  bool over = false;
  StateRef state;  // null when it came to nothing
};

// A prompt that is being read.
class PrefixSource {
 public:
  virtual ~PrefixSource() = default;
  virtual const std::string& tenant() const = 0;
  // From position 0.
  virtual absl::Span<const int32_t> prompt() const = 0;
  // Tokens that were read already.
  virtual int64_t read() const = 0;
  // REQUIRES: read() < position < prompt().size().
  virtual std::shared_ptr<PrefixWait> WaitFor(int64_t position) = 0;
};

class PrefixesInFlight {
 public:
  virtual ~PrefixesInFlight() = default;
  // The longest beginning of `prompt`, more than `held` tokens and less than all, that a prompt of
  // the same tenant will have read; null when there is none.
  virtual std::shared_ptr<PrefixWait> Find(const std::string& tenant,
                                           absl::Span<const int32_t> prompt, int64_t held) = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_PREFIX_WAIT_H_
