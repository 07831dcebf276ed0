// `ssmctl models`: what the daemon serves.
#include <memory>

#include "absl/strings/str_format.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

void WriteMemory(const v1::Memory& memory, JsonWriter* writer) {
  writer->Key("memory").BeginObject();
  writer->Key("basis").String(memory.basis());
  writer->Key("state_size").Int(memory.state_size());
  writer->Key("channels").Int(memory.channels());
  writer->Key("window").Int(memory.window());
  writer->Key("discretization").String(memory.discretization());
  writer->EndObject();
}

// What only language models have.
void WriteLanguageModel(const v1::Model& model, JsonWriter* writer) {
  writer->Key("weights").String(model.weights());
  writer->Key("parameters").Int(model.parameters());
  writer->Key("weight_bytes").Int(model.weight_bytes());
  writer->Key("layers").Int(model.layers());
  writer->Key("d_model").Int(model.d_model());
  writer->Key("vocabulary_size").Int(model.vocabulary_size());
  writer->Key("has_tokenizer").Bool(model.has_tokenizer());
  writer->Key("eos_token_ids").Ids(model.eos_token_ids());
  writer->Key("chat_format").String(model.chat_format());
}

void WriteModel(const v1::Model& model, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("name").String(model.name());
  writer->Key("architecture").String(model.architecture());
  if (model.has_memory()) {
    WriteMemory(model.memory(), writer);
  } else {
    WriteLanguageModel(model, writer);
  }
  writer->Key("state").String(model.state());
  writer->Key("state_bytes_per_session").Int(model.state_bytes_per_session());
  writer->Key("state_slots").Int(model.state_slots());
  writer->Key("token_budget").Int(model.token_budget());
  writer->Key("max_history_tokens").Int(model.max_history_tokens());
  writer->Key("fingerprint").String(model.fingerprint());
  writer->Key("numerics_profile").String(model.numerics_profile());
  writer->Key("device").String(model.device());
  writer->EndObject();
}

std::string DescribeMemory(const v1::Model& model) {
  const v1::Memory& memory = model.memory();
  const std::string past = memory.window() > 0
                               ? absl::StrFormat("a window of %d samples", memory.window())
                               : "all of the past";
  return absl::StrFormat("%s: %s, basis %s over %s, N = %d, %d channel%s, %s", model.name(),
                         model.architecture(), memory.basis(), past, memory.state_size(),
                         memory.channels(), memory.channels() == 1 ? "" : "s",
                         memory.discretization());
}

std::string DescribeLanguageModel(const v1::Model& model) {
  return absl::StrFormat(
      "%s: %s, %.1f M parameters in %s (%.1f MB), %d layers of %d, vocabulary %d%s", model.name(),
      model.architecture(), static_cast<double>(model.parameters()) / 1e6, model.weights(),
      static_cast<double>(model.weight_bytes()) / 1e6, model.layers(), model.d_model(),
      model.vocabulary_size(), model.has_tokenizer() ? "" : ", no tokenizer (token ids only)");
}

void PrintModel(const Context& context, const v1::Model& model) {
  context.PrintLine(model.has_memory() ? DescribeMemory(model) : DescribeLanguageModel(model));
  context.PrintLine(absl::StrFormat("    %d slots of %.1f KB of state; on %s; %s",
                                    model.state_slots(),
                                    static_cast<double>(model.state_bytes_per_session()) / 1e3,
                                    model.device(), model.numerics_profile()));
  if (model.has_tokenizer()) context.PrintLine("    chat format: " + model.chat_format());
}

int ShowAll(Context& context, client::Client* client) {
  const auto models = client->ListModels(context.CallOptions());
  if (!models.ok()) return context.Fail(models.error());
  if (!context.json) {
    for (const v1::Model& model : models.value()) PrintModel(context, model);
    return kOk;
  }
  JsonWriter writer;
  writer.BeginObject().Key("models").BeginArray();
  for (const v1::Model& model : models.value()) WriteModel(model, &writer);
  context.PrintJson(writer.EndArray().EndObject());
  return kOk;
}

int ShowOne(Context& context, client::Client* client, const std::string& name) {
  const auto model = client->GetModel(name, context.CallOptions());
  if (!model.ok()) return context.Fail(model.error());
  if (!context.json) {
    PrintModel(context, model.value());
    return kOk;
  }
  JsonWriter writer;
  WriteModel(model.value(), &writer);
  context.PrintJson(writer);
  return kOk;
}

int Run(Context& context, const std::string& name) {
  if (FirstInvalidUtf8(name).has_value()) return context.FailUsage("the name is not UTF-8");
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  return name.empty() ? ShowAll(context, client.get()) : ShowOne(context, client.get(), name);
}

}  // namespace

void AddModelsCommand(CLI::App& app, Context& context) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("models", "What the server serves");
  command->footer("Examples:\n  ssmctl models\n  ssmctl models tales --json");
  command->add_option("NAME", *name, "Only this one");
  command->callback([&context, name] { context.exit_code = Run(context, *name); });
}

}  // namespace ssmd::ctl
