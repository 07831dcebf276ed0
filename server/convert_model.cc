// ModelService: both ways. See convert.h.
#include "server/convert.h"
#include "server/convert_checks.h"

namespace ssmd::server {

absl::Status Validate(const v1::GetModelRequest& request, const RequestLimits& limits) {
  if (request.name().empty()) return InvalidField("name must be given");
  return CheckName("name", request.name(), limits);
}

void ToProto(const ServedModel& model, v1::Model* out) {
  out->set_name(model.name);
  out->set_architecture(model.info.architecture);
  out->set_weights(model.info.weights);
  out->set_state(model.info.state);
  out->set_parameters(model.info.parameters);
  out->set_weight_bytes(model.info.weight_bytes);
  out->set_layers(model.info.layers);
  out->set_d_model(model.info.d_model);
  out->set_vocabulary_size(model.vocabulary_size());
  out->set_has_tokenizer(model.has_tokenizer);
  out->mutable_eos_token_ids()->Add(model.info.eos_token_ids.begin(),
                                    model.info.eos_token_ids.end());
  out->set_state_bytes_per_session(model.state_bytes_per_session);
  out->set_state_slots(model.state_slots);
  out->set_token_budget(model.token_budget);
  out->set_max_history_tokens(model.max_history_tokens);
  out->set_fingerprint(model.info.fingerprint);
  out->set_numerics_profile(model.numerics_profile);
  out->set_device(model.device);
  out->set_chat_format(model.chat_format);
  if (model.info.memory.has_value()) ToProto(*model.info.memory, out->mutable_memory());
}

void ToProto(const MemoryConfig& memory, v1::Memory* out) {
  out->set_basis(std::string(MemoryBasisName(memory.basis)));
  out->set_state_size(static_cast<int32_t>(memory.state_size));
  out->set_channels(static_cast<int32_t>(memory.channels));
  out->set_window(memory.window);
  out->set_discretization(std::string(memory.discretization()));
}

}  // namespace ssmd::server
