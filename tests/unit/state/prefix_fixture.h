// Prompts and states for the tests of prefixes.
#ifndef SSMD_TESTS_UNIT_STATE_PREFIX_FIXTURE_H_
#define SSMD_TESTS_UNIT_STATE_PREFIX_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "engine/base/clock.h"
#include "engine/state/prefix_tree.h"

namespace ssmd::testing {

using Tokens = std::vector<int32_t>;

inline const FakeClock kStandingClock;

inline PrefixTreeOptions Options(int64_t bytes_limit, int64_t grid_tokens,
                                 const Clock* clock = &kStandingClock) {
  return PrefixTreeOptions{bytes_limit, grid_tokens, clock};
}

inline StateRef StateOf(const Tokens& tokens, size_t bytes = 1000) {
  return std::make_shared<HeldState>(static_cast<int64_t>(tokens.size()), bytes);
}

inline Tokens Range(int32_t first, int32_t count) {
  Tokens tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_STATE_PREFIX_FIXTURE_H_
