// A model in service with what its turns share. Made before the step thread starts; after that
// `model`, `pool`, `tiers` and `prefixes` are the step thread's (but for what tiers.h marks), the
// rest is constant and may be read anywhere.
#ifndef SSMD_ENGINE_SCHEDULE_MODEL_IN_SERVICE_H_
#define SSMD_ENGINE_SCHEDULE_MODEL_IN_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/models/language_model.h"
#include "engine/models/memory_reader.h"
#include "engine/schedule/admission.h"
#include "engine/state/prefix_tree.h"
#include "engine/state/snapshot.h"
#include "engine/state/state_pool.h"
#include "engine/state/tiers.h"
#include "engine/text/chat_format.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

// The members' order is their order of destruction, last first.
struct ModelInService {
  std::string name;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<MemoryReader> memory;  // null: a language model
  std::unique_ptr<Tokenizer> tokenizer;  // null: the model serves token ids
  std::unique_ptr<ChatFormat> chat;      // null: chats are refused
  std::string no_chat;                   // the reason then, where there is a tokenizer
  std::vector<std::string> warnings;     // of loading, beside the model's own
  std::unique_ptr<StatePool> pool;
  std::unique_ptr<StateTiers> tiers;
  std::unique_ptr<PrefixTree> prefixes;  // null: no prefixes are kept
  std::unique_ptr<Admission> admission;
  ModelIdentity identity;
  int token_budget = 0;
  int prompt_budget = 0;
  int64_t max_history_tokens = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_MODEL_IN_SERVICE_H_
