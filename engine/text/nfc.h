// Unicode normalisation form C (UAX #15), as Hugging Face tokenizers' normaliser has it.
#ifndef SSMD_ENGINE_TEXT_NFC_H_
#define SSMD_ENGINE_TEXT_NFC_H_

#include <string>
#include <string_view>

namespace ssmd {

// REQUIRES: text is UTF-8. Time is n log n in the longest run of combining marks, linear otherwise;
// memory is eight bytes a decomposed
// character beside the result.
std::string NormalizeNfc(std::string_view text);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_NFC_H_
