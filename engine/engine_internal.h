// How engines are put together from models that exist already: what Engine::Create does after
// loading, and how tests serve models of their own making.
#ifndef SSMD_ENGINE_ENGINE_INTERNAL_H_
#define SSMD_ENGINE_ENGINE_INTERNAL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace ssmd {

struct LoadedModel {
  std::string name;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Tokenizer> tokenizer;  // null: the model serves token ids
  std::unique_ptr<ChatFormat> chat;      // null: chats are refused
  std::string no_chat;                   // the reason then, where there is a tokenizer
  std::vector<std::string> warnings;     // beside those of the model, a line each
};

struct EngineParts {
  std::unique_ptr<kernels::Device> device;
  std::vector<LoadedModel> models;  // distinct names, at least one; destroyed before the device
  EngineLimits limits;
  StateDirOptions state_dir;
  SharingOptions sharing;
  Durability durability = Durability::kProcess;
  const Clock* clock = nullptr;  // null: the steady clock
  Observer* observer = nullptr;  // may be null; outlives the engine
};

// Why something could not be made on a device: where that has failed there seems to be no memory.
absl::Status WithDeviceFailure(const kernels::Device& device, const absl::Status& status);

// INVALID_ARGUMENT names the limit that is out of range; RESOURCE_EXHAUSTED where the device has no
// room for the state slots, UNAVAILABLE where it failed; what StateDir, DiskStore and SessionLog
// say of a state directory. `wake`, when not null, receives a function that makes the engine look
// at its clock, for tests that hold the clock.
absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(EngineParts parts,
                                                   std::function<void()>* wake = nullptr);

}  // namespace ssmd

#endif  // SSMD_ENGINE_ENGINE_INTERNAL_H_
