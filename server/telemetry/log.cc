// See log.h.
#include "server/telemetry/log.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <cmath>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ssmd::server {
namespace {

constexpr size_t kQueuedLinesMax = 8192;
constexpr size_t kValueBytesMax = 1024;

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Milliseconds of UTC, as RFC 3339 has it.
std::string Now() {
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                         utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms % 1000);
}

bool IsPlain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-_.:/@+[]").find(c) != std::string_view::npos;
    if (!plain) return false;
  }
  return true;
}

// Quoted with every byte that is not printable ASCII escaped: one line, whatever it holds.
std::string Quoted(std::string_view value) {
  if (IsPlain(value)) return std::string(value);
  std::string out = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", byte);
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

std::string_view Shortened(std::string_view value) { return value.substr(0, kValueBytesMax); }

std::string TextLine(std::string_view time, LogLevel level, std::string_view event,
                     const std::vector<LogField>& fields) {
  std::string line = absl::StrFormat("%s %-5s %s", std::string(time), std::string(LevelName(level)),
                                     std::string(event));
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", std::string(field.key), "=");
    if (const auto* text = std::get_if<std::string_view>(&field.value)) {
      line += Quoted(Shortened(*text));
    } else if (const auto* number = std::get_if<int64_t>(&field.value)) {
      absl::StrAppend(&line, *number);
    } else if (const auto* real = std::get_if<double>(&field.value)) {
      absl::StrAppendFormat(&line, "%.3f", *real);
    } else {
      line += std::get<bool>(field.value) ? "true" : "false";
    }
  }
  return line;
}

using JsonWriter =
    rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>>;

// Bytes that are not ASCII are shown as \xNN in the text: what is logged need not be UTF-8.
void WriteJsonString(JsonWriter* writer, std::string_view value) {
  std::string ascii;
  for (const char c : value) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      absl::StrAppendFormat(&ascii, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      ascii += c;
    }
  }
  writer->String(ascii.data(), static_cast<rapidjson::SizeType>(ascii.size()));
}

std::string JsonLine(std::string_view time, LogLevel level, std::string_view event,
                     const std::vector<LogField>& fields) {
  rapidjson::StringBuffer buffer;
  JsonWriter writer(buffer);
  const auto member = [&writer](std::string_view key, std::string_view value) {
    writer.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
    WriteJsonString(&writer, value);
  };
  writer.StartObject();
  member("time", time);
  member("level", LevelName(level));
  member("event", event);
  for (const LogField& field : fields) {
    if (const auto* text = std::get_if<std::string_view>(&field.value)) {
      member(field.key, Shortened(*text));
      continue;
    }
    writer.Key(field.key.data(), static_cast<rapidjson::SizeType>(field.key.size()));
    if (const auto* number = std::get_if<int64_t>(&field.value)) {
      writer.Int64(*number);
    } else if (const auto* real = std::get_if<double>(&field.value)) {
      if (std::isfinite(*real)) {
        writer.Double(*real);
      } else {
        writer.Null();
      }
    } else {
      writer.Bool(std::get<bool>(field.value));
    }
  }
  writer.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize());
}

}  // namespace

std::string FormatLogLine(LogFormat format, std::string_view time, LogLevel level,
                          std::string_view event, const std::vector<LogField>& fields) {
  return format == LogFormat::kJson ? JsonLine(time, level, event, fields)
                                    : TextLine(time, level, event, fields);
}

Log::Log(LogLevel level, LogFormat format)
    : level_(level),
      format_(format),
      pool_(std::make_shared<spdlog::details::thread_pool>(kQueuedLinesMax, 1)),
      logger_(std::make_shared<spdlog::async_logger>(
          "ssmd", std::make_shared<spdlog::sinks::stderr_sink_mt>(), pool_,
          spdlog::async_overflow_policy::overrun_oldest)) {
  logger_->set_pattern("%v");
  logger_->set_level(spdlog::level::trace);
}

Log::Log(LogLevel level, LogFormat format, std::shared_ptr<spdlog::sinks::sink> sink)
    : level_(level),
      format_(format),
      logger_(std::make_shared<spdlog::logger>("ssmd", std::move(sink))) {
  logger_->set_pattern("%v");
  logger_->set_level(spdlog::level::trace);
}

Log::~Log() = default;

void Log::Write(LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
  if (!enabled(level)) return;
  const std::string line = FormatLogLine(format_, Now(), level, event, fields);
  logger_->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace ssmd::server
