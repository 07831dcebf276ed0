// Finds stop strings in a choice's text as it grows, across token boundaries, and says how much of
// the text can be shown already: never a byte that may turn out to belong to a stop string.
//
// One a choice; not thread-safe. Work is linear in the text (Aho–Corasick over bytes).
#ifndef SSMD_ENGINE_SAMPLE_STOP_MATCHER_H_
#define SSMD_ENGINE_SAMPLE_STOP_MATCHER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ssmd {

// The automaton of a request's stop strings; immutable, shared by its choices.
class StopAutomaton;
// Empty strings are ignored (the server refuses them).
std::shared_ptr<const StopAutomaton> MakeStopAutomaton(const std::vector<std::string>& stops);

class StopMatcher {
 public:
  explicit StopMatcher(std::shared_ptr<const StopAutomaton> automaton);

  // Appends the next bytes of text. Returns true when a stop string was completed (the first that
  // completes; of several that complete at the same byte, the longest). Not to be called after
  // that.
  bool Push(std::string_view bytes);

  // Text bytes [0, safe_length) belong to no stop string, whatever follows. After a match this is
  // where the stop string begins.
  uint64_t safe_length() const { return safe_length_; }
  uint64_t length() const { return length_; }  // bytes pushed
  // Valid after a match.
  const std::string& matched() const;

 private:
  std::shared_ptr<const StopAutomaton> automaton_;
  int32_t node_ = 0;
  int32_t matched_ = -1;
  uint64_t length_ = 0;
  uint64_t safe_length_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SAMPLE_STOP_MATCHER_H_
