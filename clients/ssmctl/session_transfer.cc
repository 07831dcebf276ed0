// `ssmctl sessions export|import`.
#include "clients/ssmctl/session_commands.h"
#include "clients/ssmctl/snapshot_file.h"
#include "clients/ssmctl/units.h"

namespace ssmd::ctl {
namespace {

constexpr size_t kChunkBytes = size_t{256} << 10;

}  // namespace

int ExportSession(Context& context, const SessionOptions& options) {
  if (context.json && options.file == "-") {
    return context.FailUsage("--json and the snapshot cannot both go to standard output");
  }
  SnapshotWriter file(options.file);
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  if (auto problem = file.Open()) return context.FailFile(*problem);
  v1::ExportSessionRequest request;
  request.set_session_id(options.id);
  request.set_checkpoint(options.checkpoint);
  std::optional<std::string> problem;
  const auto error =
      client->ExportSession(request, context.CallOptions(), [&](std::string_view chunk) {
        problem = file.Write(chunk);
        return !problem.has_value();
      });
  if (!problem.has_value() && !error.has_value()) problem = file.Commit();
  if (problem.has_value()) return context.FailFile(*problem);
  if (error.has_value()) return context.Fail(*error);
  if (context.json) {
    JsonWriter writer;
    writer.BeginObject().Key("session_id").String(options.id);
    writer.Key("file").String(options.file).Key("bytes").Int(file.bytes());
    context.PrintJson(writer.EndObject());
  } else if (options.file != "-") {
    Note(context, Bytes(file.bytes()) + " written to " + options.file);
  }
  return kOk;
}

int ImportSession(Context& context, const SessionOptions& options) {
  SnapshotReader file(options.file);
  if (auto problem = file.Open()) return context.FailFile(*problem);
  v1::ImportSessionRequest first;
  first.set_model(options.model);
  if (options.allow_inexact) first.set_allow_inexact(true);
  if (options.rebuild) first.set_rebuild(true);
  if (file.size().value_or(0) > 0) first.set_total_bytes(*file.size());
  ApplyLifetime(options, first.mutable_lifetime());
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  std::optional<std::string> problem;
  const auto session =
      client->ImportSession(first, context.CallOptions(), [&]() -> client::Result<std::string> {
        std::string bytes;
        problem = file.Read(kChunkBytes, &bytes);
        if (problem.has_value())
          return client::Error{grpc::StatusCode::CANCELLED, *problem, "", std::nullopt};
        return bytes;
      });
  if (problem.has_value()) return context.FailFile(*problem);
  return session.ok() ? PrintSessionId(context, session.value()) : context.Fail(session.error());
}

}  // namespace ssmd::ctl
