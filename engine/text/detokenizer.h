// Streaming detokenisation: bytes of tokens in, whole UTF-8 characters out.
//
// A value type, one a stream; it holds at most three bytes and is part of a session (copied on
// fork).
#ifndef SSMD_ENGINE_TEXT_DETOKENIZER_H_
#define SSMD_ENGINE_TEXT_DETOKENIZER_H_

#include <string>
#include <string_view>

namespace ssmd {

class Detokenizer {
 public:
  // Takes the next bytes; returns the text that is complete now. A byte that cannot begin or
  // continue a character becomes U+FFFD at once; an incomplete character at the end is held back.
  std::string Push(std::string_view bytes);
  // The end of the text: what is held back becomes one U+FFFD per maximal ill-formed sequence.
  std::string Flush();

  std::string_view remainder() const { return held_; }

 private:
  std::string held_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_DETOKENIZER_H_
