// One small stack of every mixer of ssm_lm, with random weights, for tests of what all have in
// common. A new mixer is a row of MixerCases.
#ifndef SSMD_TESTS_UNIT_MODELS_MIXER_CASES_H_
#define SSMD_TESTS_UNIT_MODELS_MIXER_CASES_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/models/config_members.h"

namespace ssmd::testing {

inline constexpr int64_t kCaseWidth = 24;  // d_model: no multiple of a vector's lanes
inline constexpr int32_t kCaseVocabulary = 19;

struct CaseTensor {
  const char* name;  // below the mixer
  std::vector<int64_t> shape;
  float low = -0.5f, high = 0.5f;
};

struct MixerCase {
  const char* name;
  Members mixer;
  std::vector<CaseTensor> tensors;
  bool framed = true;  // has the output of the time-invariant layers
  bool linear = true;  // the next state is linear in the state, where the input is the same
  const char* norm = "rms";
  int64_t d_model = kCaseWidth;
  bool chunked = false;  // prompts may be taken in chunks
};
inline void PrintTo(const MixerCase& c, std::ostream* out) { *out << c.name; }

const std::vector<MixerCase>& MixerCases();
const MixerCase& FindMixerCase(const std::string& name);

// A stack of one mixer, in parts that a test can change.
struct StackModel {
  Members config;
  Members mixer;
  TensorsToWrite tensors;

  StackModel(const MixerCase& c, int layers);

  void Add(const std::string& name, const CaseTensor& tensor);
  void Set(const std::string& name, size_t index, float value);
  void Write(const TempFolder& folder) const;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_MODELS_MIXER_CASES_H_
