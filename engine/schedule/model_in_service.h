// A model in service with what its turns share. Made before the step thread starts; after that
// `model` and `pool` are the step thread's, the rest is constant and may be read anywhere.
#ifndef SSMD_ENGINE_SCHEDULE_MODEL_IN_SERVICE_H_
#define SSMD_ENGINE_SCHEDULE_MODEL_IN_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/models/language_model.h"
#include "engine/schedule/admission.h"
#include "engine/state/session_table.h"
#include "engine/state/state_pool.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

struct ModelInService {
  std::string name;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Tokenizer> tokenizer;  // null: the model serves token ids
  std::unique_ptr<StatePool> pool;
  std::unique_ptr<Admission> admission;
  std::string numerics_profile;
  int token_budget = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_MODEL_IN_SERVICE_H_
