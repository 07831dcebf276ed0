// `ssmctl sessions fork|rewind|checkpoint`.
#include "clients/ssmctl/session_commands.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {

int ForkSession(Context& context, const SessionOptions& options) {
  v1::ForkSessionRequest request;
  request.set_session_id(options.id);
  if (options.count) request.set_count(*options.count);
  if (!options.checkpoint.empty()) request.set_checkpoint(options.checkpoint);
  if (options.position) request.set_position(*options.position);
  if (options.expected_revision) request.set_expected_revision(*options.expected_revision);
  ApplyLifetime(options, request.mutable_lifetime());
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto children = client->ForkSession(request, context.CallOptions());
  if (!children.ok()) return context.Fail(children.error());
  if (!context.json) {
    for (const v1::Session& child : children.value()) {
      context.PrintLine(LossyUtf8(child.session_id()));
    }
    return kOk;
  }
  JsonWriter writer;
  writer.BeginObject().Key("session_ids").BeginArray();
  for (const v1::Session& child : children.value()) writer.String(child.session_id());
  context.PrintJson(writer.EndArray().EndObject());
  return kOk;
}

int RewindSession(Context& context, const SessionOptions& options) {
  v1::RewindSessionRequest request;
  request.set_session_id(options.id);
  if (!options.checkpoint.empty()) request.set_checkpoint(options.checkpoint);
  if (options.position) request.set_position(*options.position);
  if (options.turns) request.set_turns(*options.turns);
  if (options.allow_recompute) request.set_allow_recompute(true);
  if (options.expected_revision) request.set_expected_revision(*options.expected_revision);
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto session = client->RewindSession(request, context.CallOptions());
  return session.ok() ? PrintSession(context, session.value()) : context.Fail(session.error());
}

int CheckpointSession(Context& context, const SessionOptions& options) {
  v1::CheckpointSessionRequest request;
  request.set_session_id(options.id);
  request.set_name(options.name);
  if (options.remove) request.set_remove(true);
  if (options.expected_revision) request.set_expected_revision(*options.expected_revision);
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto session = client->CheckpointSession(request, context.CallOptions());
  return session.ok() ? PrintSession(context, session.value()) : context.Fail(session.error());
}

}  // namespace ssmd::ctl
