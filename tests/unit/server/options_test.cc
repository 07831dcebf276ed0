// The command line: what it accepts, what it refuses and in which words.
#include "server/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CommandLine Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "ssmd");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

Options ParseOk(const std::vector<const char*>& arguments) {
  CommandLine command = Parse(arguments);
  EXPECT_EQ(command.error, "");
  EXPECT_EQ(command.exit_code, 0);
  if (!command.options.has_value()) {
    ADD_FAILURE() << "no options";
    return {};
  }
  return *std::move(command.options);
}

void ExpectRefused(const std::vector<const char*>& arguments, const std::string& words) {
  const CommandLine command = Parse(arguments);
  EXPECT_FALSE(command.options.has_value()) << words;
  EXPECT_NE(command.exit_code, 0) << words;
  EXPECT_THAT(command.error, HasSubstr(words));
  EXPECT_EQ(std::count(command.error.begin(), command.error.end(), '\n'), 1) << command.error;
}

TEST(Options, DefaultsAreLoopbackAndDocumented) {
  const Options options = ParseOk({"--model", "a=/models/a"});
  EXPECT_EQ(options.grpc_listen.ToString(), "127.0.0.1:50051");
  EXPECT_EQ(options.http_listen.ToString(), "127.0.0.1:8080");
  EXPECT_EQ(options.engine.token_budget, 512);
  EXPECT_EQ(options.engine.prompt_budget, 64);
  EXPECT_EQ(options.engine.state_slots, 0);
  EXPECT_EQ(options.request.choices, 16);
  EXPECT_FALSE(options.isa.has_value());
}

TEST(Options, AGpuGetsLargerStepsUnlessTheyAreGiven) {
  const Options gpu = ParseOk({"--model", "a=/models/a", "--device", "cuda:2"});
  EXPECT_EQ(gpu.gpu, 2);
  EXPECT_EQ(gpu.engine.token_budget, 4096);
  EXPECT_EQ(gpu.engine.prompt_budget, 512);
  EXPECT_FALSE(gpu.plain_gpu_kernels);
  const Options given = ParseOk({"--model", "a=/models/a", "--device", "cuda", "--token-budget",
                                 "512", "--prompt-budget", "7", "--gpu-kernels", "plain"});
  EXPECT_EQ(given.gpu, 0);
  EXPECT_EQ(given.engine.token_budget, 512);
  EXPECT_EQ(given.engine.prompt_budget, 7);
  EXPECT_TRUE(given.plain_gpu_kernels);
}

TEST(Options, ModelsAreNamedOrTakeTheirFoldersOrFilesName) {
  const Options options = ParseOk({"--model", "a=/x/y", "--model", "/models/big-one/", "--model",
                                   "relative/dir", "--model", "/x/m-q8_0.gguf", "--model-option",
                                   "a.weights=bf16", "--model-option", "dir.weights=q4"});
  ASSERT_EQ(options.models.size(), 4U);
  EXPECT_EQ(options.models[0].name, "a");
  EXPECT_EQ(options.models[0].path, "/x/y");
  EXPECT_EQ(options.models[0].weights, kernels::WeightFormat::kBf16);
  EXPECT_EQ(options.models[1].name, "big-one");
  EXPECT_EQ(options.models[1].path, "/models/big-one/");
  EXPECT_FALSE(options.models[1].weights.has_value());
  EXPECT_EQ(options.models[2].name, "dir");
  EXPECT_EQ(options.models[3].name, "m-q8_0");
  EXPECT_EQ(options.models[3].path, "/x/m-q8_0.gguf");
  EXPECT_EQ(options.models[2].weights, kernels::WeightFormat::kQ4);
}

TEST(Options, PromptsAreExactUnlessAModelIsGivenTheChunkedForm) {
  const Options options = ParseOk({"--model", "a=x", "--model", "b=x", "--model", "c=x",
                                   "--model-option", "b.prefill=chunked", "--model-option",
                                   "b.weights=q8", "--model-option", "c.prefill=exact"});
  EXPECT_EQ(options.models[0].prefill, Prefill::kExact);
  EXPECT_EQ(options.models[1].prefill, Prefill::kChunked);
  EXPECT_EQ(options.models[1].weights, kernels::WeightFormat::kQ8);
  EXPECT_EQ(options.models[2].prefill, Prefill::kExact);
}

TEST(Options, FastPrefillHoldsForModelsWithoutAnOptionOfTheirOwn) {
  const Options options =
      ParseOk({"--fast-prefill", "--model", "a=x", "--model", "b=x", "--model", "c=x",
               "--model-option", "b.prefill=exact", "--model-option", "c.prefill=chunked"});
  EXPECT_EQ(options.models[0].prefill, Prefill::kFast);
  EXPECT_EQ(options.models[1].prefill, Prefill::kExact);
  EXPECT_EQ(options.models[2].prefill, Prefill::kChunked);
}

TEST(Options, AModelsChatFormatIsItsOwnUnlessOneIsChosen) {
  const Options options =
      ParseOk({"--model", "a=x", "--model", "b=x", "--model-option", "b.chat=chatml"});
  EXPECT_EQ(options.models[0].chat, "auto");
  EXPECT_EQ(options.models[1].chat, "chatml");
}

TEST(Options, QuantisedWeightsAreKeptNowhereUnlessAsked) {
  EXPECT_EQ(ParseOk({"--model", "a=x"}).cache_dir, "");
  EXPECT_EQ(ParseOk({"--model", "a=x", "--cache-dir", "/c"}).cache_dir, "/c");
  EXPECT_EQ(ParseOk({"--model", "a=x", "--cache-dir", "beside"}).cache_dir, kCacheBeside);
}

TEST(Options, AModelWithoutANameIsCalledAsItsFileWithoutTheEnding) {
  const Options options = ParseOk({"--model", "/m/a.bin", "--model", "b.gguf", "--model", "c.pth",
                                   "--model-option", "a.state=bf16"});
  EXPECT_EQ(options.models[0].name, "a");
  EXPECT_EQ(options.models[0].path, "/m/a.bin");
  EXPECT_EQ(options.models[0].state, kernels::StateFormat::kBf16);
  EXPECT_EQ(options.models[1].name, "b");
  EXPECT_EQ(options.models[2].name, "c");
  ExpectRefused({"--model", "/m/a.bin", "--model", "b=x", "--model-option", "a.bin.chat=none"},
                "no --model is named a.bin, only a, b");
}

TEST(Options, RefusesWhatIsNotThereOrMakesNoSense) {
  ExpectRefused({}, "no model to serve");
  ExpectRefused({"--model", "a="}, "no folder or file");
  ExpectRefused({"--model", "a=x", "--model", "a=y"}, "the name a is taken");
  ExpectRefused({"--model", "/models/some one"}, "a model's name has");
  ExpectRefused({"--model", ".."}, "a model's name has");
  ExpectRefused({"--model", "a b=models/c"}, "a model's name has");
  ExpectRefused({"--model", "=models/c"}, "a model's name has");
  ExpectRefused({"--model", "a=x", "--model-option", "b.weights=f32"},
                "no --model is named b, only a");
  ExpectRefused({"--model", "a=x", "--model-option", "a.weights"}, "expected NAME.weights");
  ExpectRefused({"--model", "a=x", "--model-option", "a.colour=red"},
                "the options are weights, prefill, state and chat");
  ExpectRefused({"--model", "a=x", "--model-option", "a.state=fp16"},
                "state must be f32, bf16 or f16");
  ExpectRefused({"--model", "a=x", "--gemm", "quick"}, "--gemm must be exact or fast, got quick");
  ExpectRefused({"--model", "a=x", "--gemm", "fast"}, "--gemm=fast is for GPUs");
  ExpectRefused({"--model", "a=x", "--device", "cuda", "--gemm", "fast", "--gpu-kernels", "plain"},
                "--gemm=fast and --gpu-kernels=plain do not go together");
  ExpectRefused({"--model", "a=x", "--device", "cuda", "--gemm", "fast", "--token-budget", "127"},
                "--gemm=fast is of use from --token-budget 128 on, which is 127");
  for (const char* origin : {"app.example", "https://app.example/", "https://", "null", "**"}) {
    ExpectRefused({"--model", "a=x", "--http-allow-origin", origin},
                  "--http-allow-origin " + std::string(origin) + ": give scheme, host and port");
  }
  ExpectRefused({"--model", "a=x", "--model-option", "a.chat=jabber"},
                "chat must be one of auto, none, plain, chatml");
  ExpectRefused({"--model", "a=x", "--model-option", "a.prefill=faster"},
                "prefill must be exact, chunked or fast");
  ExpectRefused({"--model", "a=x", "--model-option", "a.weights=f64"},
                "must be f32, bf16, q8, q4, or on a GPU f16 or fp8");
  for (const char* device : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda1", "CUDA"}) {
    ExpectRefused({"--model", "a=x", "--device", device}, "must be cpu, cuda or cuda:N");
  }
  ExpectRefused({"--model", "a=x", "--gpu-kernels", "best"}, "must be fast or plain, got best");
  ExpectRefused({"--model", "a=x", "--isa", "sse2"},
                "--isa must be auto, scalar, avx2, avx512, avx512vnni, avx512bf16 or neon");
  ExpectRefused({"--model", "a=x", "--state-slots", "1"}, "--state-slots must be auto or in 2..");
  ExpectRefused({"--model", "a=x", "--state-slots", "many"}, "got many");
  ExpectRefused({"--model", "a=x", "--log-level", "loud"}, "--log-level must be");
  ExpectRefused({"--model", "a=x", "--log-format", "xml"}, "--log-format must be");
  ExpectRefused({"--model", "a=x", "--no-such-flag"}, "--no-such-flag");
  ExpectRefused({"--model", "a=x", "--threads", "-1"}, "--threads");
  ExpectRefused({"--model", "a=x", "--grpc-listen", "50051"}, "is not HOST:PORT");
  ExpectRefused({"--model", "a=x", "--tls-cert", "c.pem"}, "--tls-cert and --tls-key go together");
  ExpectRefused({"--model", "a=x", "--tls-client-ca", "c.pem"}, "needs --tls-cert");
}

TEST(Options, AnIsaMustBeOneThatThisCpuHas) {
  EXPECT_EQ(ParseOk({"--model", "a=x", "--isa", "scalar"}).isa, kernels::Isa::kScalar);
  const std::vector<kernels::Isa> supported = kernels::SupportedIsas();
  for (const kernels::Isa isa : {kernels::Isa::kAvx2, kernels::Isa::kAvx512, kernels::Isa::kNeon}) {
    const std::string name(kernels::IsaName(isa));
    if (std::find(supported.begin(), supported.end(), isa) != supported.end()) {
      EXPECT_EQ(ParseOk({"--model", "a=x", "--isa", name.c_str()}).isa, isa);
    } else {
      ExpectRefused({"--model", "a=x", "--isa", name.c_str()}, "this CPU has only scalar");
    }
  }
}

TEST(Options, OtherMachinesAreServedOnlyEncryptedAndByToken) {
  for (const char* flag : {"--grpc-listen", "--http-listen"}) {
    ExpectRefused({"--model", "a=x", flag, "0.0.0.0:0"}, "would be plaintext");
    ExpectRefused({"--model", "a=x", flag, "[::]:0"}, "would be plaintext");
    ExpectRefused({"--model", "a=x", flag, "10.0.0.1:0"}, "--insecure if that is meant");
    ExpectRefused({"--model", "a=x", flag, "example.org:1", "--tls-cert", "c", "--tls-key", "k"},
                  "would serve anyone");
    ParseOk({"--model", "a=x", flag, "0.0.0.0:0", "--tls-cert", "c", "--tls-key", "k",
             "--token-file", "t"});
    ParseOk({"--model", "a=x", flag, "0.0.0.0:0", "--insecure"});
    ParseOk({"--model", "a=x", flag, "localhost:0"});
    ParseOk({"--model", "a=x", flag, "127.9.9.9:0"});
    ParseOk({"--model", "a=x", flag, "[::1]:0"});
  }
}

// Each limit takes its bounds and refuses what is past them; the value arrives.
struct Limit {
  const char* flag;
  double low;
  double high;
  std::function<double(const Options&)> value;
};

TEST(Options, EveryLimitTakesItsRangeAndNothingPastIt) {
  const auto seconds = [](Duration duration) { return Seconds(duration); };
  const std::vector<Limit> kLimits = {
      {"--state-bytes", 0, 4398046511104, [](auto& o) { return o.engine.state_bytes; }},
      {"--token-budget", 1, 65535, [](auto& o) { return o.engine.token_budget; }},
      {"--prompt-budget", 1, 65536, [](auto& o) { return o.engine.prompt_budget; }},
      {"--max-running", 1, 1048576, [](auto& o) { return o.engine.max_running; }},
      {"--max-waiting", 1, 1048576, [](auto& o) { return o.engine.max_waiting; }},
      {"--host-state-bytes", 0, 4398046511104, [](auto& o) { return o.engine.host_state_bytes; }},
      {"--prefix-cache-bytes", 0, 4398046511104,
       [](auto& o) { return o.engine.prefix_cache_bytes; }},
      {"--prefix-grid", 1, 1048576, [](auto& o) { return o.engine.prefix_grid_tokens; }},
      {"--max-queue-time", 0.01, 86400, [&](auto& o) { return seconds(o.engine.max_queue_time); }},
      {"--priority-ageing", 0.01, 86400, [&](auto& o) { return seconds(o.engine.ageing); }},
      {"--max-transfers", 1, 1024, [](auto& o) { return o.engine.max_transfers; }},
      {"--max-sessions", 1, 1073741824,
       [](auto& o) { return o.engine.sessions.sessions_per_tenant; }},
      {"--max-tenant-state-bytes", 0, 70368744177664,
       [](auto& o) { return o.engine.sessions.state_bytes_per_tenant; }},
      {"--max-checkpoints", 0, 1024, [](auto& o) { return o.engine.sessions.checkpoints; }},
      {"--max-turn-ends", 0, 1024, [](auto& o) { return o.engine.sessions.turn_ends; }},
      {"--max-turn-end-states", 0, 1024, [](auto& o) { return o.engine.sessions.turn_end_states; }},
      {"--turn-end-bytes", 0, 4398046511104,
       [](auto& o) { return o.engine.sessions.turn_end_bytes; }},
      {"--max-session-waiting", 0, 1024, [](auto& o) { return o.engine.sessions.waiting_turns; }},
      {"--max-session-results", 0, 1024, [](auto& o) { return o.engine.sessions.results; }},
      {"--max-session-result-bytes", 0, 1073741824,
       [](auto& o) { return o.engine.sessions.result_bytes; }},
      {"--session-ttl", 0, 315360000, [](auto& o) { return o.request.lifetime.ttl_ms / 1000.0; }},
      {"--session-idle", 0, 315360000, [](auto& o) { return o.request.lifetime.idle_ms / 1000.0; }},
      {"--disk-state-bytes", 0, 70368744177664, [](auto& o) { return o.state_dir.disk_bytes; }},
      {"--dirty-state-bytes", 0, 4398046511104, [](auto& o) { return o.state_dir.dirty_bytes; }},
      {"--max-replay-tokens", 0, 1073741824, [](auto& o) { return o.state_dir.replay_tokens; }},
      {"--store-after", 0, 315360000, [&](auto& o) { return seconds(o.state_dir.store_after); }},
      {"--compact-log-bytes", 0, 4398046511104, [](auto& o) { return o.state_dir.compact_bytes; }},
      {"--max-history-tokens", 1, 1073741824, [](auto& o) { return o.engine.max_history_tokens; }},
      {"--max-n", 1, 16, [](auto& o) { return o.engine.max_choices; }},
      {"--max-n", 1, 16, [](auto& o) { return o.request.choices; }},
      {"--max-output-events", 1, 65536, [](auto& o) { return o.engine.output_events; }},
      {"--slow-reader-timeout", 0.01, 86400,
       [&](auto& o) { return seconds(o.engine.slow_reader_timeout); }},
      {"--slow-reader-timeout", 0.01, 86400,
       [&](auto& o) { return seconds(o.server.slow_reader_timeout); }},
      {"--max-prompt-bytes", 1, 1073741824, [](auto& o) { return o.request.prompt_bytes; }},
      {"--max-prompt-tokens", 1, 1073741824, [](auto& o) { return o.request.prompt_tokens; }},
      {"--max-score-tokens", 2, 16777216, [](auto& o) { return o.request.score_tokens; }},
      {"--max-tokens", 0, 1073741824, [](auto& o) { return o.request.max_tokens; }},
      {"--max-messages", 1, 1024, [](auto& o) { return o.request.messages; }},
      {"--max-stop-strings", 0, 16, [](auto& o) { return o.request.stop_strings; }},
      {"--max-stop-string-bytes", 1, 256, [](auto& o) { return o.request.stop_string_bytes; }},
      {"--max-stop-tokens", 0, 64, [](auto& o) { return o.request.stop_tokens; }},
      {"--max-logit-bias", 0, 1024, [](auto& o) { return o.request.logit_bias; }},
      {"--max-message-bytes", 1024, 1073741824, [](auto& o) { return o.server.message_bytes; }},
      {"--max-metadata-bytes", 1024, 1048576, [](auto& o) { return o.server.metadata_bytes; }},
      {"--max-concurrent-streams", 1, 1048576, [](auto& o) { return o.server.concurrent_streams; }},
      {"--max-grpc-memory", 1048576, 4398046511104,
       [](auto& o) { return o.server.grpc_memory_bytes; }},
      {"--max-requests", 1, 1048576, [](auto& o) { return o.server.requests; }},
      {"--max-tenant-requests", 1, 1048576, [](auto& o) { return o.server.tenant_requests; }},
      {"--max-tenant-rate", 0, 1000000, [](auto& o) { return o.server.tenant_rate; }},
      {"--max-tenant-tokens-per-minute", 0, 1000000000000,
       [](auto& o) { return o.server.tenant_tokens_per_minute; }},
      {"--max-http-connections", 1, 65536, [](auto& o) { return o.server.http_connections; }},
      {"--max-http-header-bytes", 1024, 1048576,
       [](auto& o) { return o.server.http_header_bytes; }},
      {"--max-http-body-bytes", 0, 1073741824, [](auto& o) { return o.server.http_body_bytes; }},
      {"--http-timeout", 0.1, 3600, [&](auto& o) { return seconds(o.server.http_timeout); }},
      {"--log-slow-request", 0, 86400, [&](auto& o) { return seconds(o.log_slow.total); }},
      {"--log-slow-first-token", 0, 86400,
       [&](auto& o) { return seconds(o.log_slow.first_token); }},
      {"--drain-timeout", 0, 86400, [&](auto& o) { return seconds(o.server.drain_timeout); }},
      {"--max-step-time", 0.1, 86400, [&](auto& o) { return seconds(o.server.step_time); }},
  };
  const auto text = [](double value) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.15g", value);
    return std::string(buffer);
  };
  for (const Limit& limit : kLimits) {
    for (const double value : {limit.low, limit.high}) {
      const Options options = ParseOk({"--model", "a=x", limit.flag, text(value).c_str()});
      EXPECT_NEAR(limit.value(options), value, 1e-9) << limit.flag;
    }
    for (const double value : {limit.low - 1, limit.high + 1}) {
      ExpectRefused({"--model", "a=x", limit.flag, text(value).c_str()}, limit.flag);
    }
    ExpectRefused({"--model", "a=x", limit.flag, "nan"}, limit.flag);
    ExpectRefused({"--model", "a=x", limit.flag, "1x"}, limit.flag);
    ExpectRefused({"--model", "a=x", limit.flag, ""}, limit.flag);
  }
}

TEST(Options, SizesMayEndInAPowerOf1024) {
  const std::pair<const char*, int64_t> kSizes[] = {
      {"1048576", 1 << 20}, {"64K", 64 << 10},          {"64k", 64 << 10},
      {"3M", 3 << 20},      {"1.5G", int64_t{3} << 29}, {"1T", int64_t{1} << 40}};
  for (const auto& [text, bytes] : kSizes) {
    EXPECT_EQ(ParseOk({"--model", "a=x", "--host-state-bytes", text}).engine.host_state_bytes,
              bytes)
        << text;
  }
  for (const char* text : {"K", "1KB", "1 KK", "0.1K", "-1K", "5T", "1e300T"}) {
    ExpectRefused({"--model", "a=x", "--host-state-bytes", text},
                  "must be a whole number in 0..4T");
  }
  // What is not a size takes no such letter, and no part of one.
  ExpectRefused({"--model", "a=x", "--max-sessions", "1K"}, "--max-sessions");
  ExpectRefused({"--model", "a=x", "--max-sessions", "1.5"}, "must be a whole number");
}

TEST(Options, SessionsEndWithTheDaemonUnlessTheyHaveAFolder) {
  EXPECT_EQ(ParseOk({"--model", "a=x"}).state_dir.path, "");
  EXPECT_EQ(ParseOk({"--model", "a=x", "--state-dir", "/var/lib/ssmd"}).state_dir.path,
            "/var/lib/ssmd");
}

TEST(Options, AFlagThatIsNotGivenLeavesTheDefault) {
  const Options given = ParseOk({"--model", "a=x"});
  const Options defaults;
  EXPECT_EQ(given.engine.host_state_bytes, defaults.engine.host_state_bytes);
  EXPECT_EQ(given.engine.ageing, defaults.engine.ageing);
  EXPECT_EQ(given.state_dir.store_after, defaults.state_dir.store_after);
  EXPECT_EQ(given.server.drain_timeout, defaults.server.drain_timeout);
  EXPECT_EQ(given.request.lifetime.idle_ms, 0);
}

TEST(Options, HelpTeachesAndVersionTells) {
  const CommandLine help = Parse({"--help"});
  EXPECT_FALSE(help.options.has_value());
  EXPECT_EQ(help.exit_code, 0);
  for (const char* text :
       {"--model", "Examples:", "Limits: one request", "[bytes]", "[seconds]", "--drain-timeout",
        "TOKEN TENANT [admin]", "--state-dir", "Limits: sessions", "may end in K, M, G or T",
        "--host-state-bytes N=1G"}) {
    EXPECT_THAT(help.output, HasSubstr(text));
  }
  const CommandLine version = Parse({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.output, ::testing::StartsWith("ssmd "));
}

class OptionsFile : public ::testing::Test {
 protected:
  void Write(const std::string& text) { folder_.Write("ssmd.toml", text); }
  const testing::TempFolder folder_;
  const std::string path_ = folder_.File("ssmd.toml");
};

TEST_F(OptionsFile, ReadsTheSameOptionsAndTheCommandLineWins) {
  Write(
      "model = [\"a=/x\", \"b=/y\"]\n"
      "model-option = [\"b.weights=bf16\"]\n"
      "max-tokens = 77\n"
      "token-budget = 64\n"
      "host-state-bytes = \"2G\"\n"
      "insecure = true\n"
      "grpc-listen = \"0.0.0.0:9\"\n");
  const Options options = ParseOk({"--config", path_.c_str(), "--token-budget", "32"});
  ASSERT_EQ(options.models.size(), 2U);
  EXPECT_EQ(options.models[1].weights, kernels::WeightFormat::kBf16);
  EXPECT_EQ(options.request.max_tokens, 77);
  EXPECT_EQ(options.engine.token_budget, 32);
  EXPECT_EQ(options.engine.host_state_bytes, int64_t{2} << 30);
  EXPECT_TRUE(options.insecure);
  EXPECT_EQ(options.grpc_listen.port, 9);
}

TEST_F(OptionsFile, RefusesUnknownNamesBadValuesAndMissingFiles) {
  const std::string line_2 = "--config " + path_ + ", line 2: ";
  Write("model = \"a=/x\"\nno-such-option = 1\n");
  ExpectRefused({"--config", path_.c_str()}, line_2 + "is not `name = value` with the name of");
  Write("model = \"a=/x\"\nmax-tokens = -1\n");
  ExpectRefused({"--config", path_.c_str()},
                line_2 + "the value of --max-tokens is none that it takes: What a request may");
  ExpectRefused({"--config", "/no/such/file"}, "/no/such/file");
  EXPECT_EQ(ParseOk({"--config", path_.c_str(), "--max-tokens", "7"}).request.max_tokens, 7);
}

TEST_F(OptionsFile, SaysTheLineAndNeverWhatItHolds) {
  for (const char* line :
       {"shared-store redis://ann:sekrit@store", "redis://ann:sekrit=1@store", "sekrit",
        "sekrit = 1", "shared_store = redis://ann:sekrit@store", "[sekrit]", "insecure = sekrit",
        "shared-store = redis://ann:sekrit,1@store", "threads = sekrit", "max-tokens = sekrit",
        "token-file", "help = sekrit", "model.shared-store = sekrit"}) {
    Write("# one\n\nmodel = [\"a=/x\",  \n\n\"b=/y\" ]\n" + std::string(line) + "\nthreads = 1\n");
    const CommandLine later = Parse({"--config", path_.c_str()});
    EXPECT_THAT(later.error, HasSubstr("--config " + path_ + ", line 6: ")) << line;
    EXPECT_THAT(later.error, Not(HasSubstr("sekrit")));
  }
}

TEST_F(OptionsFile, AFlagNeedsNoValue) {
  Write("model = x\ninsecure  # as told\nplayground = false\n");
  const Options options = ParseOk({"--config", path_.c_str()});
  EXPECT_TRUE(options.insecure);
  EXPECT_FALSE(options.playground);
}

// --- Replicas ---

TEST(ReplicaOptions, AreNoneUnlessAStoreIsNamed) {
  const Options alone = ParseOk({"--model", "a=x"});
  EXPECT_FALSE(alone.replica.shared());
  EXPECT_EQ(alone.request.durability, Durability::kProcess);
  const Options options =
      ParseOk({"--model", "a=x", "--shared-store", "redis://store:6379/2", "--durability",
               "replicated", "--replica-presence", "7.5", "--shared-tenant-bytes", "3G"});
  EXPECT_EQ(options.replica.store.url, "redis://store:6379/2");
  EXPECT_EQ(options.request.durability, Durability::kReplicated);
  EXPECT_EQ(options.replica.limits.presence, std::chrono::milliseconds(7500));
  EXPECT_EQ(options.replica.store.tenant_bytes, int64_t{3} << 30);
}

TEST(ReplicaOptions, TheUrlMayBeInAFile) {
  const testing::TempFolder folder;
  folder.Write("url", "redis://user:secret@store\n");
  const std::string file = "@" + folder.path() + "/url";
  EXPECT_EQ(ParseOk({"--model", "a=x", "--shared-store", file.c_str()}).replica.store.url,
            "redis://user:secret@store");
  ExpectRefused({"--model", "a=x", "--shared-store", "@/nowhere/url"}, "cannot be read");
  folder.Write("url", "");
  ExpectRefused({"--model", "a=x", "--shared-store", file.c_str()}, file + " is empty");
  folder.Write("url", std::string(5000, 'x'));
  ExpectRefused({"--model", "a=x", "--shared-store", file.c_str()}, "is larger than 4096");
  const std::string of_folder = "@" + folder.path();
  ExpectRefused({"--model", "a=x", "--shared-store", of_folder.c_str()}, "is a folder");
}

TEST(ReplicaOptions, NonsenseIsRefused) {
  ExpectRefused({"--model", "a=x", "--shared-store", "http://store"}, "--shared-store");
  ExpectRefused({"--model", "a=x", "--durability", "replicated"}, "takes a --shared-store");
  ExpectRefused({"--model", "a=x", "--durability", "power"}, "takes a --state-dir");
  ExpectRefused({"--model", "a=x", "--durability", "always"}, "--durability must be process");
  ExpectRefused({"--model", "a=x", "--replica-presence", "0.1"}, "--replica-presence");
  const auto with = [](const char* flag, const char* value, const char* more = "--insecure") {
    return std::vector<const char*>{"--model", "a=x", "--shared-store", "redis://s", flag,
                                    value,     more};
  };
  for (const char* address : {"ssmd-0", "ssmd_0:50051", "10.0.0.1:1", "[::1]:50051"}) {
    EXPECT_EQ(ParseOk(with("--replica-address", address)).replica.address, address);
  }
  for (const char* address :
       {"ssmd-0:", "ssmd-0:0", ":50051", "a b:1", "http://a:1", "::1", "a:x"}) {
    ExpectRefused(with("--replica-address", address), "give HOST:PORT");
  }
  EXPECT_EQ(ParseOk(with("--shared-prefix", "{a}/b_c-1.d:")).replica.store.prefix, "{a}/b_c-1.d:");
  for (const std::string& prefix :
       {std::string(), std::string("a b"), std::string("a\n"), std::string("\"a\""),
        std::string("é"), std::string(257, 'a')}) {
    ExpectRefused(with("--shared-prefix", prefix.c_str()), "give 1 to 256 characters");
  }
  ExpectRefused(with("--replica-presence", "2", "--shared-timeout=1"),
                "--replica-presence 2 must be more than twice --shared-timeout, which is 1");
  ParseOk(with("--replica-presence", "2", "--shared-timeout=0.99"));
}

}  // namespace
}  // namespace ssmd::server
