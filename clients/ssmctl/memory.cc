// `ssmctl memory`: streams a signal into a memory and prints what the memory has of it.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/input.h"
#include "clients/ssmctl/samples.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kMemoryExamples = R"(Examples:
  ssmctl memory --model legs < temperatures.txt > reconstruction.csv
  ssmctl memory --model legs --file sound.csv --points 1000 --coefficients --json
  ssmctl memory --model legs --keep < today.txt      # says the session's id
  ssmctl memory --session ID --no-samples --times 0,10.5,99)";

constexpr int kPointsDefault = 200;
constexpr int kPointsMax = 65536;
// Of one message: well below what servers take.
constexpr int kMessageSamplesMax = 32768;

struct MemoryOptions {
  std::string model;
  std::string session;
  std::string file;
  std::string times;
  int points = kPointsDefault;
  bool keep = false;
  bool no_samples = false;
  bool coefficients = false;
};

// What a run has come to; `error` where the server refused something.
struct MemoryRun {
  v1::MemoryOpened opened;
  int64_t samples = 0;
  std::vector<double> times;
  v1::MemoryReading reading;
  std::optional<client::Error> error;
};

std::optional<std::string> ReadSamples(const MemoryOptions& options, std::string* text) {
  if (options.no_samples) return std::nullopt;
  if (options.file.empty() || options.file == "-") return ReadStandardInput(text);
  return ReadFile(options.file, text);
}

std::optional<std::string> ParseTimes(const std::string& text, std::vector<double>* times) {
  if (text.empty()) return std::nullopt;
  for (const absl::string_view word : absl::StrSplit(text, ',')) {
    double time = 0;
    if (!absl::SimpleAtod(word, &time)) {
      return absl::StrCat("--times takes numbers like 0,10.5,99, got '", word, "'");
    }
    times->push_back(time);
  }
  return std::nullopt;
}

// Evenly over what the memory covers, its first and last sample among them.
std::vector<double> EvenTimes(int points, int64_t first, int64_t samples) {
  std::vector<double> times;
  const int64_t covered = samples - first;
  const int64_t count = std::min<int64_t>(points, covered);
  for (int64_t i = 0; i < count; ++i) {
    const double part = count == 1 ? 1 : static_cast<double>(i) / static_cast<double>(count - 1);
    times.push_back(static_cast<double>(first) + part * static_cast<double>(covered - 1));
  }
  return times;
}

std::optional<client::Error> Open(const MemoryOptions& options, client::MemoryStream* stream,
                                  MemoryRun* run) {
  v1::MemoryRequest message;
  v1::MemoryOpen* open = message.mutable_open();
  open->set_model(options.model);
  open->set_session_id(options.session);
  if (options.session.empty() && !options.keep) open->set_temporary(true);
  auto response = stream->Ask(message);
  if (!response.ok()) return response.error();
  run->opened = response.value().opened();
  run->samples = run->opened.samples();
  return std::nullopt;
}

std::optional<client::Error> Append(const std::vector<float>& samples, client::MemoryStream* stream,
                                    MemoryRun* run) {
  const int channels = run->opened.memory().channels();
  const size_t step = static_cast<size_t>(std::max(1, kMessageSamplesMax / channels) * channels);
  for (size_t first = 0; first < samples.size(); first += step) {
    const size_t end = std::min(first + step, samples.size());
    v1::MemoryRequest message;
    message.mutable_append()->mutable_samples()->Add(samples.data() + first, samples.data() + end);
    auto response = stream->Ask(message);
    if (!response.ok()) return response.error();
    run->samples = response.value().appended().samples();
  }
  return std::nullopt;
}

std::optional<client::Error> Look(const MemoryOptions& options, client::MemoryStream* stream,
                                  MemoryRun* run) {
  if (options.times.empty() && run->samples > 0) {
    const int64_t window = run->opened.memory().window();
    const int64_t first = window == 0 ? 0 : std::max<int64_t>(run->samples - window, 0);
    run->times = EvenTimes(options.points, first, run->samples);
  }
  v1::MemoryRequest message;
  v1::MemoryQuery* query = message.mutable_query();
  query->mutable_times()->Add(run->times.begin(), run->times.end());
  query->set_coefficients(options.coefficients);
  query->set_error(true);
  auto response = stream->Ask(message);
  if (!response.ok()) return response.error();
  run->reading = response.value().reading();
  return std::nullopt;
}

void PrintCsv(const Context& context, const MemoryOptions& options, const MemoryRun& run) {
  std::string line = options.coefficients ? "n" : "sample";
  for (const auto& channel : run.reading.channels()) {
    absl::StrAppend(&line, ",channel_", channel.channel());
  }
  context.PrintLine(line);
  const auto rows = options.coefficients ? static_cast<size_t>(run.opened.memory().state_size())
                                         : run.times.size();
  for (size_t row = 0; row < rows; ++row) {
    line = options.coefficients ? absl::StrCat(row) : absl::StrFormat("%.10g", run.times[row]);
    for (const auto& channel : run.reading.channels()) {
      const auto& values = options.coefficients ? channel.coefficients() : channel.values();
      absl::StrAppendFormat(&line, ",%.9g", values[static_cast<int>(row)]);
    }
    context.PrintLine(line);
  }
}

void PrintJson(const Context& context, const MemoryOptions& options, const MemoryRun& run) {
  JsonWriter writer;
  writer.BeginObject();
  if (options.keep || !options.session.empty()) {
    writer.Key("session_id").String(run.opened.session().session_id());
  }
  writer.Key("revision").Int(static_cast<int64_t>(run.reading.revision()));
  writer.Key("samples").Int(run.reading.samples());
  writer.Key("times").BeginArray();
  for (const double time : run.times) writer.Double(time);
  writer.EndArray().Key("channels").BeginArray();
  for (const auto& channel : run.reading.channels()) {
    writer.BeginObject().Key("values").BeginArray();
    for (const double value : channel.values()) writer.Double(value);
    writer.EndArray();
    if (options.coefficients) {
      writer.Key("coefficients").BeginArray();
      for (const double value : channel.coefficients()) writer.Double(value);
      writer.EndArray();
    }
    if (channel.has_rms_error()) writer.Key("rms_error").Double(channel.rms_error());
    writer.EndObject();
  }
  context.PrintJson(writer.EndArray().EndObject());
}

void Remark(const Context& context, const MemoryOptions& options, const MemoryRun& run) {
  std::string text = absl::StrCat(run.reading.samples(), " samples");
  for (const auto& channel : run.reading.channels()) {
    if (!channel.has_rms_error()) continue;
    absl::StrAppend(&text, ", root mean square error");
    if (run.reading.channels_size() > 1) absl::StrAppend(&text, " of channel ", channel.channel());
    absl::StrAppend(&text, " ", channel.rms_error());
  }
  if (options.keep) absl::StrAppend(&text, ", session ", run.opened.session().session_id());
  Note(context, text);
}

int Run(Context& context, const MemoryOptions& options) {
  MemoryRun run;
  std::string text;
  if (auto problem = ParseTimes(options.times, &run.times)) return context.FailUsage(*problem);
  if (auto problem = ReadSamples(options, &text)) return context.FailFile(*problem);
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  client::MemoryStream stream = client->Memory(options.session, context.CallOptions());
  if (auto error = Open(options, &stream, &run)) return context.Fail(*error);
  std::vector<float> samples;
  if (auto problem = ParseSamples(text, run.opened.memory().channels(), &samples)) {
    return context.FailUsage(*problem);
  }
  if (auto error = Append(samples, &stream, &run)) return context.Fail(*error);
  if (auto error = Look(options, &stream, &run)) return context.Fail(*error);
  if (auto error = stream.Finish()) return context.Fail(*error);
  if (context.json) {
    PrintJson(context, options, run);
  } else {
    PrintCsv(context, options, run);
    Remark(context, options, run);
  }
  return kOk;
}

}  // namespace

void AddMemoryCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<MemoryOptions>();
  CLI::App* command =
      app.add_subcommand("memory", "Keep a signal as a few numbers, and look back at it (CSV)");
  command->footer(kMemoryExamples);
  command->add_option("-m,--model", options->model, "Name of the memory");
  auto* session = command->add_option("-s,--session", options->session, "Go on with this session");
  command->add_flag("--keep", options->keep, "Keep the new session, and say its id")
      ->excludes(session);
  auto* file = command->add_option("--file", options->file,
                                   "A frame a line, channels parted by commas; - [standard input]");
  command->add_flag("--no-samples", options->no_samples, "Append nothing")
      ->excludes(file)
      ->needs(session);
  auto* times = command->add_option("--times", options->times,
                                    "When to reconstruct, as numbers of samples: 0,10.5,99");
  command
      ->add_option("--points", options->points,
                   "At so many times, evenly over what is covered [200]")
      ->check(CLI::Range(1, kPointsMax))
      ->excludes(times);
  command->add_flag("--coefficients", options->coefficients,
                    "Print the coefficients; with --json beside the rest");
  command->callback([&context, options] { context.exit_code = Run(context, *options); });
}

}  // namespace ssmd::ctl
