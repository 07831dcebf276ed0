// See options.h. Limits are in limit_table.*; other flags are declared here, by group.
#include "server/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/model_name.h"
#include "engine/base/status_macros.h"
#include "kernels/device.h"
#include "server/config_file.h"
#include "server/limit_table.h"

namespace ssmd::server {
namespace {

constexpr char kGroupModels[] = "Models";
constexpr char kGroupCompute[] = "Compute";
constexpr char kGroupListen[] = "Listeners and life cycle";
constexpr char kGroupAccess[] = "Access and encryption";
constexpr char kGroupEngineLimits[] = "Limits: states and turns";
constexpr char kGroupStateDir[] = "State directory";
constexpr char kGroupLog[] = "Logging";

constexpr char kIntroduction[] =
    "ssmd serves state-space language models over gRPC and by OpenAI's HTTP API, with a page to\n"
    "try them at /. A conversation is a session, and a session is one small state that stays "
    "where\n"
    "it is computed: the next turn costs only its new tokens. States that are not in use move "
    "from\n"
    "slots to host memory and to --state-dir, and come back when they are needed. Sizes in bytes\n"
    "may end in K, M, G or T.\n";
constexpr char kExamples[] =
    "Examples:\n"
    "  ssmd --model deploy/models/tales-2m\n"
    "  ssmd --model a=/models/a --model b=/models/b --model-option b.weights=bf16 --threads 8\n"
    "  ssmd --config ssmd.toml        # model = [\"a=/models/a\"], max-tokens = 4096, ...\n"
    "  ssmd --model /models/a --grpc-listen 0.0.0.0:50051 --tls-cert cert.pem --tls-key key.pem "
    "\\\n"
    "       --token-file tokens\n"
    "  ssmd --model /models/a --state-dir /var/lib/ssmd --host-state-bytes 8G --session-idle "
    "604800\n"
    "Then: ssmctl --server 127.0.0.1:50051 generate --prompt \"Once upon a time\"";

// Text values as they were given; turned into Options once CLI11 has parsed them all.
struct RawOptions {
  std::vector<std::string> models;
  std::vector<std::string> model_options;
  bool fast_prefill = false;
  std::string device = "cpu";
  std::string gpu_kernels = "fast";
  std::string gemm = "exact";
  std::string isa = "auto";
  std::string grpc_listen = "127.0.0.1:50051";
  std::string http_listen = "127.0.0.1:8080";
  std::string state_slots = "auto";
  std::string log_level = "info";
  std::string log_format = "text";
};

// CLI11's own does not wrap.
class WrappingFormatter : public CLI::Formatter {
 public:
  WrappingFormatter() { column_width(kFlagColumns); }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string out;
    size_t column = 0;
    for (const absl::string_view word : absl::StrSplit(option->get_description(), ' ')) {
      if (column > 0 && column + 1 + word.size() > kTextColumns) {
        out += '\n';
        column = 0;
      } else if (column > 0) {
        out += ' ';
        ++column;
      }
      absl::StrAppend(&out, word);
      column += word.size();
    }
    return out;
  }

 private:
  static constexpr size_t kFlagColumns = 38;
  static constexpr size_t kTextColumns = 60;
};

void AddModelFlags(CLI::App* app, Options* options, RawOptions* raw) {
  app->add_option("--model", raw->models,
                  "A model to serve: NAME=PATH, or PATH, whose last part names it, without .gguf, "
                  ".bin or .pth. "
                  "PATH is a folder with config.json, *.safetensors and, for text, "
                  "tokenizer.json, or one file: GGUF, rwkv.cpp's .bin or a .pth of RWKV. "
                  "Repeatable")
      ->group(kGroupModels)
      ->type_name("[NAME=]PATH")
      ->allow_extra_args(false);
  app->add_option(
         "--model-option", raw->model_options,
         "NAME.weights=f32|bf16|q8|q4, and on a GPU f16|fp8 as well: how the matrices of model "
         "NAME are kept. fp8, q8 and q4 are quantised while loading. Default: as the files are, "
         "f32 where they are mixed or f16. "
         "NAME.prefill=exact|chunked|fast: chunked, of mamba2, retnet and hippo_legt, reads long "
         "prompts faster, with other "
         "rounding, and prompts that are cut elsewhere differ in it; fast is chunked where the "
         "model's layers have it. Default: exact, or what --fast-prefill says. "
         "NAME.state=f32|bf16|f16: how states are kept; 16 bits halve a session's bytes, with a "
         "stochastic rounding after each token. Default: f32. "
         "NAME.chat=auto|none|plain|chatml|zephyr|llama2|mistral|jamba|rwkv: how chat messages "
         "become text; auto is the model's own template, or plain where it has none. Default: "
         "auto. "
         "Repeatable")
      ->group(kGroupModels)
      ->type_name("NAME.KEY=VALUE")
      ->allow_extra_args(false);
  app->add_flag(
         "--fast-prefill", raw->fast_prefill,
         "Prompts as fast as they can be read: prefill=fast for every model that no "
         "--model-option says it of. Mamba-2, RetNet and HiPPO-LegT are read in chunks, whose "
         "bits are not those of single tokens (README, Limitations); other layers are read "
         "fastest exactly, and stay so")
      ->group(kGroupModels);
  app->add_option(
         "--cache-dir", options->cache_dir,
         "A folder where weights that were quantised are kept, so that the next start only "
         "reads them; 'beside' means that of each model. Default: they are quantised at "
         "each start")
      ->group(kGroupModels)
      ->type_name("DIR|beside");
}

void AddComputeFlags(CLI::App* app, Options* options, RawOptions* raw) {
  app->add_option("--device", raw->device, "Where to compute: cpu, cuda (the first GPU), cuda:N")
      ->group(kGroupCompute)
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option(
         "--gpu-kernels", raw->gpu_kernels,
         "fast, or plain: without tensor cores and approximations, which gives the CPU's bits at a "
         "part of the speed")
      ->group(kGroupCompute)
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option(
         "--gemm", raw->gemm,
         "exact, or fast: prompts' products with bf16 and f16 weights by NVIDIA's cuBLASLt, which "
         "has to be installed. Bits then depend on which tokens are read together")
      ->group(kGroupCompute)
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option(
         "--isa", raw->isa,
         "Instruction set: auto, scalar, avx2, avx512, avx512vnni, avx512bf16, neon. The last "
         "bits of bf16 models are others on avx512bf16; pin it where replicas must agree")
      ->group(kGroupCompute)
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--threads", options->threads, "Compute threads; 0 is one per CPU, 0..1024")
      ->group(kGroupCompute)
      ->check(CLI::Range(0, 1024))
      ->type_name("N")
      ->capture_default_str();
  app->add_flag(
         "--pin-threads", options->pin_threads,
         "Keep each compute thread on one CPU (where there are more threads, they share). For "
         "machines that the daemon has to "
         "itself: where others compute too, a pinned thread waits for its CPU")
      ->group(kGroupCompute);
  app->add_option("--state-slots", raw->state_slots,
                  "Slots for states per model, working copies of running turns included; at "
                  "least 2. auto: as many as fit --state-bytes, at most 1024")
      ->group(kGroupEngineLimits)
      ->type_name("N|auto")
      ->capture_default_str();
}

void AddStateDirFlag(CLI::App* app, Options* options) {
  app->add_option("--state-dir", options->state_dir.path,
                  "Keep sessions in this folder, so that they outlive the daemon: every commit is "
                  "in a log there before it is answered, and states are stored in the background. "
                  "Made if absent; one daemon at a time. Default: sessions end with the daemon")
      ->group(kGroupStateDir)
      ->type_name("DIR");
}

void AddListenFlags(CLI::App* app, Options* options, RawOptions* raw) {
  app->add_option("--grpc-listen", raw->grpc_listen, "gRPC address; port 0 picks a free one")
      ->group(kGroupListen)
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app->add_option(
         "--http-listen", raw->http_listen,
         "HTTP address: OpenAI's API under /v1, the playground at /, /metrics, /healthz and "
         "/readyz; port 0 picks a free one")
      ->group(kGroupListen)
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app->add_option("--http-host", options->http_hosts,
                  "A further host name by which HTTP may be called; addresses and localhost "
                  "always may. Repeatable")
      ->group(kGroupListen)
      ->type_name("NAME")
      ->allow_extra_args(false);
  app->add_option("--http-allow-origin", options->http_origins,
                  "Pages of this origin (https://app.example) may ask by HTTP from a browser; the "
                  "daemon's own always may; * allows any. Repeatable")
      ->group(kGroupListen)
      ->type_name("ORIGIN")
      ->allow_extra_args(false);
  app->add_flag(
         "--playground,!--no-playground", options->playground,
         "The page at /, to try models and to branch conversations; on unless it is switched "
         "off")
      ->group(kGroupListen);
  app->add_option("--ready-file", options->ready_file,
                  "Written once the daemon serves: {\"grpc\": ADDRESS, \"http\": ADDRESS, "
                  "\"pid\": N}")
      ->group(kGroupListen)
      ->type_name("FILE");
}

void AddAccessFlags(CLI::App* app, Options* options) {
  app->add_option("--tls-cert", options->tls.certificate,
                  "Certificate chain (PEM). These three are read again when they change")
      ->group(kGroupAccess)
      ->type_name("FILE");
  app->add_option("--tls-key", options->tls.key, "Its private key (PEM)")
      ->group(kGroupAccess)
      ->type_name("FILE");
  app->add_option("--tls-client-ca", options->tls.client_ca,
                  "Require client certificates of this authority (PEM)")
      ->group(kGroupAccess)
      ->type_name("FILE");
  app->add_option("--token-file", options->token_file,
                  "Bearer tokens, one line each: TOKEN TENANT [admin] [expires=TIME] [rate=N] "
                  "[tokens-per-minute=N]; TOKEN may be sha256:HEX. Reloaded when it changes")
      ->group(kGroupAccess)
      ->type_name("FILE");
  app->add_flag("--insecure", options->insecure,
                "Allow plaintext, or no tokens, on an address that is not loopback")
      ->group(kGroupAccess);
}

absl::Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

absl::StatusOr<ModelArgument> ParseModel(const std::string& text) {
  const size_t equals = text.find('=');
  ModelArgument model;
  // A folder may have an equals sign in its name, but not before any slash.
  if (equals != std::string::npos && equals < text.find('/')) {
    model.name = text.substr(0, equals);
    model.path = text.substr(equals + 1);
  } else {
    model.path = text;
    model.name = ModelNameOf(text);
  }
  if (model.path.empty()) {
    return Invalid(absl::StrCat("--model ", text, ": no folder or file given"));
  }
  if (!IsModelName(model.name) || model.name == "." || model.name == "..") {
    return Invalid(absl::StrCat("--model ", text,
                                ": a model's name has 1 to 128 characters of A-Z a-z 0-9 . _ -; "
                                "give one with --model NAME=PATH"));
  }
  return model;
}

absl::Status ParseModels(const RawOptions& raw, Options* options) {
  if (raw.models.empty()) {
    return Invalid("no model to serve: give --model NAME=PATH (see --help)");
  }
  std::set<std::string> names;
  for (const std::string& text : raw.models) {
    SSMD_ASSIGN_OR_RETURN(ModelArgument model, ParseModel(text));
    if (!names.insert(model.name).second) {
      return Invalid(absl::StrCat("--model ", text, ": the name ", model.name, " is taken"));
    }
    if (raw.fast_prefill) model.prefill = Prefill::kFast;
    options->models.push_back(std::move(model));
  }
  return absl::OkStatus();
}

// "NAME.KEY=VALUE"
struct ModelOption {
  std::string name, key, value;
};

std::optional<ModelOption> SplitModelOption(const std::string& text) {
  const size_t equals = text.find('=');
  const size_t dot = equals == std::string::npos ? equals : text.rfind('.', equals);
  if (dot == std::string::npos) return std::nullopt;
  return ModelOption{text.substr(0, dot), text.substr(dot + 1, equals - dot - 1),
                     text.substr(equals + 1)};
}

// Sets *to, or says which values there are.
template <typename T>
absl::Status Choose(const std::string& text, const std::optional<T>& value, const char* choices,
                    T* to) {
  if (!value.has_value()) {
    return Invalid(absl::StrCat("--model-option ", text, ": ", choices));
  }
  *to = *value;
  return absl::OkStatus();
}

absl::Status ParseModelOption(const std::string& text, Options* options) {
  const std::optional<ModelOption> option = SplitModelOption(text);
  if (!option.has_value()) {
    return Invalid(absl::StrCat("--model-option ", text,
                                ": expected NAME.weights=f32|bf16|f16|fp8|q8|q4, "
                                "NAME.prefill=exact|chunked|fast, NAME.state=f32|bf16|f16 or "
                                "NAME.chat=auto|none|plain|…"));
  }
  const auto model = std::find_if(options->models.begin(), options->models.end(),
                                  [&](const ModelArgument& m) { return m.name == option->name; });
  if (model == options->models.end()) {
    std::vector<std::string> names;
    for (const ModelArgument& given : options->models) names.push_back(given.name);
    return Invalid(absl::StrCat("--model-option ", text, ": no --model is named ", option->name,
                                ", only ", ListModelNames(names)));
  }
  if (option->key == "prefill") {
    return Choose(text, ParsePrefill(option->value), "prefill must be exact, chunked or fast",
                  &model->prefill);
  }
  if (option->key == "state") {
    return Choose(text, kernels::ParseStateFormat(option->value), "state must be f32, bf16 or f16",
                  &model->state);
  }
  if (option->key == "weights") {
    kernels::WeightFormat weights = kernels::WeightFormat::kF32;
    SSMD_RETURN_IF_ERROR(Choose(text, kernels::ParseWeightFormat(option->value),
                                "weights must be f32, bf16, q8, q4, or on a GPU f16 or fp8",
                                &weights));
    model->weights = weights;
    return absl::OkStatus();
  }
  if (option->key == "chat") {
    const bool known = IsChatChoice(option->value);
    return Choose(text, known ? std::optional(option->value) : std::nullopt,
                  ("chat must be one of " + ChatChoices()).c_str(), &model->chat);
  }
  return Invalid(
      absl::StrCat("--model-option ", text, ": the options are weights, prefill, state and chat"));
}

absl::Status ParseDevice(const std::string& device, Options* options) {
  if (device == "cpu") return absl::OkStatus();
  constexpr absl::string_view kCuda = "cuda";
  absl::string_view ordinal = device;
  int32_t gpu = 0;
  const bool cuda = absl::ConsumePrefix(&ordinal, kCuda) &&
                    (ordinal.empty() || (absl::ConsumePrefix(&ordinal, ":") &&
                                         absl::SimpleAtoi(ordinal, &gpu) && gpu >= 0));
  if (!cuda) {
    return Invalid(
        absl::StrCat("--device must be cpu, cuda or cuda:N (the GPU's number), got ", device));
  }
  options->gpu = gpu;
  return absl::OkStatus();
}

absl::Status ParseCompute(const RawOptions& raw, Options* options) {
  SSMD_RETURN_IF_ERROR(ParseDevice(raw.device, options));
  if (raw.gpu_kernels != "fast" && raw.gpu_kernels != "plain") {
    return Invalid(absl::StrCat("--gpu-kernels must be fast or plain, got ", raw.gpu_kernels));
  }
  options->plain_gpu_kernels = raw.gpu_kernels == "plain";
  if (raw.gemm != "exact" && raw.gemm != "fast") {
    return Invalid(absl::StrCat("--gemm must be exact or fast, got ", raw.gemm));
  }
  options->fast_gemm = raw.gemm == "fast";
  if (options->fast_gemm && !options->gpu.has_value()) {
    return Invalid("--gemm=fast is for GPUs: give --device cuda, or leave it exact");
  }
  if (options->fast_gemm && options->plain_gpu_kernels) {
    return Invalid("--gemm=fast and --gpu-kernels=plain do not go together: leave one out");
  }
  if (raw.isa == "auto") return absl::OkStatus();
  options->isa = kernels::ParseIsa(raw.isa);
  if (!options->isa.has_value()) {
    return Invalid(absl::StrCat(
        "--isa must be auto, scalar, avx2, avx512, avx512vnni, avx512bf16 or neon, got ", raw.isa));
  }
  std::vector<std::string> supported;
  for (const kernels::Isa isa : kernels::SupportedIsas()) {
    if (isa == *options->isa) return absl::OkStatus();
    supported.emplace_back(kernels::IsaName(isa));
  }
  return Invalid(
      absl::StrCat("--isa ", raw.isa, ": this CPU has only ", absl::StrJoin(supported, ", ")));
}

absl::Status ParseStateSlots(const RawOptions& raw, Options* options) {
  if (raw.state_slots == "auto") return absl::OkStatus();
  int32_t slots = 0;
  if (!absl::SimpleAtoi(raw.state_slots, &slots) || slots < 2 || slots > (1 << 20)) {
    return Invalid(
        absl::StrCat("--state-slots must be auto or in 2..1048576, got ", raw.state_slots));
  }
  options->engine.state_slots = slots;
  return absl::OkStatus();
}

absl::Status CheckListener(const char* flag, const std::string& text, const Options& options,
                           ListenAddress* address) {
  auto parsed = ParseListenAddress(text);
  if (!parsed.ok()) return Invalid(absl::StrCat(flag, " ", parsed.status().message()));
  *address = *std::move(parsed);
  if (IsLoopbackHost(address->host) || options.insecure) return absl::OkStatus();
  if (!options.tls.enabled()) {
    return Invalid(absl::StrCat(flag, " ", text,
                                " is reachable from other machines, and would be plaintext: give "
                                "--tls-cert and --tls-key, or --insecure if that is meant"));
  }
  if (options.token_file.empty()) {
    return Invalid(absl::StrCat(flag, " ", text,
                                " is reachable from other machines, and would serve anyone: give "
                                "--token-file, or --insecure if that is meant"));
  }
  return absl::OkStatus();
}

absl::Status ParseAccess(const RawOptions& raw, Options* options) {
  if (options->tls.certificate.empty() != options->tls.key.empty()) {
    return Invalid("--tls-cert and --tls-key go together");
  }
  if (!options->tls.client_ca.empty() && !options->tls.enabled()) {
    return Invalid("--tls-client-ca needs --tls-cert and --tls-key");
  }
  SSMD_RETURN_IF_ERROR(
      CheckListener("--grpc-listen", raw.grpc_listen, *options, &options->grpc_listen));
  return CheckListener("--http-listen", raw.http_listen, *options, &options->http_listen);
}

// As browsers write them: what is not so would never match.
absl::Status CheckOrigins(const Options& options) {
  for (const std::string& origin : options.http_origins) {
    const size_t scheme = origin.find("://");
    const bool whole = scheme != std::string::npos && scheme + 3 < origin.size() &&
                       origin.find_first_of("/?# ", scheme + 3) == std::string::npos;
    if (origin == "*" || whole) continue;
    return Invalid(
        absl::StrCat("--http-allow-origin ", origin,
                     ": give scheme, host and port alone, as https://app.example, or *"));
  }
  return absl::OkStatus();
}

absl::Status ParseLogging(const RawOptions& raw, Options* options) {
  static const std::map<std::string, LogLevel> kLevels = {{"debug", LogLevel::kDebug},
                                                          {"info", LogLevel::kInfo},
                                                          {"warn", LogLevel::kWarn},
                                                          {"error", LogLevel::kError}};
  const auto level = kLevels.find(raw.log_level);
  if (level == kLevels.end()) {
    return Invalid(
        absl::StrCat("--log-level must be debug, info, warn or error, got ", raw.log_level));
  }
  options->log_level = level->second;
  if (raw.log_format != "text" && raw.log_format != "json") {
    return Invalid(absl::StrCat("--log-format must be text or json, got ", raw.log_format));
  }
  options->log_format = raw.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  return absl::OkStatus();
}

// A GPU computes a step of thousands of tokens in the time that a CPU needs for some.
absl::Status ChooseBudgets(const CLI::App& app, Options* options) {
  constexpr int kGpuTokenBudget = 4096;
  constexpr int kGpuPromptBudget = 512;
  if (!options->gpu) return absl::OkStatus();
  if (app.count("--token-budget") == 0) options->engine.token_budget = kGpuTokenBudget;
  if (app.count("--prompt-budget") == 0) options->engine.prompt_budget = kGpuPromptBudget;
  if (options->fast_gemm && options->engine.token_budget < kernels::kFastGemmRows) {
    return Invalid(absl::StrCat("--gemm=fast is of use from --token-budget ",
                                kernels::kFastGemmRows, " on, which is ",
                                options->engine.token_budget, ": raise it, or leave --gemm exact"));
  }
  return absl::OkStatus();
}

absl::Status Finish(const CLI::App& app, const RawOptions& raw, Options* options) {
  SSMD_RETURN_IF_ERROR(ParseModels(raw, options));
  for (const std::string& text : raw.model_options) {
    SSMD_RETURN_IF_ERROR(ParseModelOption(text, options));
  }
  SSMD_RETURN_IF_ERROR(ParseCompute(raw, options));
  SSMD_RETURN_IF_ERROR(ParseStateSlots(raw, options));
  SSMD_RETURN_IF_ERROR(ParseAccess(raw, options));
  SSMD_RETURN_IF_ERROR(ParseLogging(raw, options));
  SSMD_RETURN_IF_ERROR(CheckReplicaOptions(&options->replica, &options->request.durability));
  if (options->request.durability == Durability::kPower && options->state_dir.path.empty()) {
    return Invalid("--durability power takes a --state-dir, on whose medium commits are");
  }
  SSMD_RETURN_IF_ERROR(CheckOrigins(*options));
  options->engine.slow_reader_timeout = options->server.slow_reader_timeout;
  options->request.choices = options->engine.max_choices;
  return ChooseBudgets(app, options);
}

}  // namespace

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  Options options;
  RawOptions raw;
  CLI::App app{kIntroduction, "ssmd"};
  app.footer(kExamples);
  app.formatter(std::make_shared<WrappingFormatter>());
  app.set_version_flag("--version", std::string("ssmd " SSMD_VERSION));
  app.set_config("--config", "", "Read options from FILE: name = value, names without dashes")
      ->type_name("FILE");
  app.config_formatter(std::make_shared<ConfigFile>(&app));
  AddModelFlags(&app, &options, &raw);
  AddComputeFlags(&app, &options, &raw);
  AddStateDirFlag(&app, &options);
  AddReplicaFlags(&app, &options.replica);
  AddListenFlags(&app, &options, &raw);
  AddAccessFlags(&app, &options);
  AddLimitFlags(&app, &options);
  app.add_option("--log-level", raw.log_level, "debug, info, warn or error")
      ->group(kGroupLog)
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--log-format", raw.log_format, "text (key=value) or json, on standard error")
      ->group(kGroupLog)
      ->type_name("NAME")
      ->capture_default_str();

  CommandLine result;
  try {  // CLI11 reports by exceptions; they end here
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    std::ostringstream out;
    std::ostringstream err;
    result.exit_code = app.exit(success, out, err);
    result.output = out.str();
    return result;
  } catch (const CLI::ConfigError& error) {
    result.exit_code = 2;
    result.error = absl::StrCat("ssmd: --config ", app.get_config_ptr()->as<std::string>(), ", ",
                                error.what(), "\n");
    return result;
  } catch (const CLI::ParseError& error) {
    result.exit_code = 2;
    result.error = absl::StrCat("ssmd: ", error.what(), " (see ssmd --help)\n");
    return result;
  }
  if (const absl::Status status = Finish(app, raw, &options); !status.ok()) {
    result.exit_code = 2;
    result.error = absl::StrCat("ssmd: ", status.message(), "\n");
    return result;
  }
  result.options = std::move(options);
  return result;
}

}  // namespace ssmd::server
