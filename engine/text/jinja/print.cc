#include "engine/text/jinja/print.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/utf8.h"

namespace ssmd::jinja {
namespace {

bool IsPrintable(char32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

absl::Status HasNoText(const Value& value) {
  return absl::InvalidArgumentError(
      absl::StrCat("a ", View(value.TypeName()), " cannot be written as text"));
}

class Printer {
 public:
  explicit Printer(Budget* budget) : budget_(budget) {}

  absl::Status Repr(const Value& value);
  absl::Status Json(const Value& value, const JsonStyle& style, int level);
  Text Take() { return std::move(out_); }

 private:
  absl::Status Put(std::string_view bytes, Origin origin = kOfTemplate) {
    SSMD_RETURN_IF_ERROR(budget_->Charge(bytes.size()));
    out_.Append(bytes, origin);
    return absl::OkStatus();
  }
  absl::Status Put(const Text& text) {
    SSMD_RETURN_IF_ERROR(budget_->Charge(text.cost()));
    out_.Append(text);
    return absl::OkStatus();
  }
  absl::Status ReprOfString(const Text& text);
  absl::Status ReprOfSequence(const Sequence& sequence);
  absl::Status ReprOfDict(const Dict& dict);
  absl::Status JsonOfString(const Text& text, bool ensure_ascii);
  absl::Status JsonOfKey(const Value& key, const JsonStyle& style);
  absl::Status JsonOfSequence(const Sequence& sequence, const JsonStyle& style, int level);
  absl::Status JsonOfDict(const Dict& dict, const JsonStyle& style, int level);
  absl::Status NewLine(const JsonStyle& style, int level);

  Budget* budget_;
  Text out_;
};

absl::Status Printer::ReprOfString(const Text& text) {
  const std::string& bytes = text.bytes();
  const bool doubled =
      bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = doubled ? '"' : '\'';
  SSMD_RETURN_IF_ERROR(budget_->Charge(text.cost() * 2));
  out_.Append({&quote, 1}, kOfTemplate);
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = DecodeUtf8(bytes, at);
    const Origin origin = text.OriginAt(at);
    if (c.value == '\n') {
      out_.Append("\\n", origin);
    } else if (c.value == '\r') {
      out_.Append("\\r", origin);
    } else if (c.value == '\t') {
      out_.Append("\\t", origin);
    } else if (c.value == '\\' || c.value == static_cast<char32_t>(quote)) {
      out_.Append(absl::StrCat("\\", std::string(1, bytes[at])), origin);
    } else if (IsPrintable(c.value)) {
      out_.Append({&bytes[at], c.bytes}, origin);
    } else {
      const char* form = c.value < 0x100 ? "\\x%02x" : c.value < 0x10000 ? "\\u%04x" : "\\U%08x";
      SSMD_RETURN_IF_ERROR(budget_->Charge(10));
      out_.Append(
          absl::StrFormat(*absl::ParsedFormat<'x'>::New(form), static_cast<uint32_t>(c.value)),
          origin);
    }
    at += c.bytes;
  }
  out_.Append({&quote, 1}, kOfTemplate);
  return absl::OkStatus();
}

absl::Status Printer::ReprOfSequence(const Sequence& sequence) {
  const bool tuple = sequence.form == Sequence::Form::kTuple;
  SSMD_RETURN_IF_ERROR(Put(tuple ? "(" : "["));
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) SSMD_RETURN_IF_ERROR(Put(", "));
    SSMD_RETURN_IF_ERROR(Repr(sequence.items[i]));
  }
  if (tuple && sequence.items.size() == 1) SSMD_RETURN_IF_ERROR(Put(","));
  return Put(tuple ? ")" : "]");
}

absl::Status Printer::ReprOfDict(const Dict& dict) {
  SSMD_RETURN_IF_ERROR(Put("{"));
  for (size_t i = 0; i < dict.members.size(); ++i) {
    if (i > 0) SSMD_RETURN_IF_ERROR(Put(", "));
    SSMD_RETURN_IF_ERROR(Repr(dict.members[i].first));
    SSMD_RETURN_IF_ERROR(Put(": "));
    SSMD_RETURN_IF_ERROR(Repr(dict.members[i].second));
  }
  return Put("}");
}

absl::Status Printer::Repr(const Value& value) {
  SSMD_RETURN_IF_ERROR(budget_->Charge(Budget::kStep));
  switch (value.kind()) {
    case Kind::kUndefined:
      return Put("Undefined");
    case Kind::kNone:
      return Put("None");
    case Kind::kBool:
      return Put(value.bool_value() ? "True" : "False");
    case Kind::kInt:
      return Put(std::to_string(value.integer()));
    case Kind::kFloat:
      return Put(ReprOfFloat(value.number()));
    case Kind::kString:
      return ReprOfString(value.text());
    case Kind::kDict:
      return ReprOfDict(value.dict());
    case Kind::kSequence:
      if (value.sequence().form == Sequence::Form::kList ||
          value.sequence().form == Sequence::Form::kTuple) {
        return ReprOfSequence(value.sequence());
      }
      return HasNoText(value);
    case Kind::kNamespace:
    case Kind::kLoop:
    case Kind::kFunction:
      return HasNoText(value);
  }
  return HasNoText(value);
}

absl::Status Printer::JsonOfString(const Text& text, bool ensure_ascii) {
  const std::string& bytes = text.bytes();
  SSMD_RETURN_IF_ERROR(budget_->Charge(text.cost() * 2));
  out_.Append("\"", kOfTemplate);
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = DecodeUtf8(bytes, at);
    const Origin origin = text.OriginAt(at);
    constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
    constexpr std::string_view kLetters = "\"\\nrtfb";
    const size_t known = c.value < 0x80 ? kEscaped.find(bytes[at]) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out_.Append(std::string{'\\', kLetters[known]}, origin);
    } else if (c.value >= 0x20 && (!ensure_ascii || c.value < 0x7F)) {
      out_.Append({&bytes[at], c.bytes}, origin);
    } else {
      SSMD_RETURN_IF_ERROR(budget_->Charge(12));
      const auto value = static_cast<uint32_t>(c.value);
      out_.Append(value < 0x10000
                      ? absl::StrFormat("\\u%04x", value)
                      : absl::StrFormat("\\u%04x\\u%04x", 0xD800 + ((value - 0x10000) >> 10),
                                        0xDC00 + ((value - 0x10000) & 0x3FF)),
                  origin);
    }
    at += c.bytes;
  }
  out_.Append("\"", kOfTemplate);
  return absl::OkStatus();
}

absl::Status Printer::NewLine(const JsonStyle& style, int level) {
  if (!style.indented) return absl::OkStatus();
  SSMD_RETURN_IF_ERROR(Put("\n"));
  for (int i = 0; i < level; ++i) SSMD_RETURN_IF_ERROR(Put(style.indent));
  return absl::OkStatus();
}

absl::Status Printer::JsonOfKey(const Value& key, const JsonStyle& style) {
  if (key.is_string()) return JsonOfString(key.text(), style.ensure_ascii);
  SSMD_RETURN_IF_ERROR(Put("\""));
  SSMD_RETURN_IF_ERROR(Json(key, style, 0));
  return Put("\"");
}

absl::Status Printer::JsonOfSequence(const Sequence& sequence, const JsonStyle& style, int level) {
  if (sequence.items.empty()) return Put("[]");
  SSMD_RETURN_IF_ERROR(Put("["));
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) SSMD_RETURN_IF_ERROR(Put(style.item_separator));
    SSMD_RETURN_IF_ERROR(NewLine(style, level + 1));
    SSMD_RETURN_IF_ERROR(Json(sequence.items[i], style, level + 1));
  }
  SSMD_RETURN_IF_ERROR(NewLine(style, level));
  return Put("]");
}

absl::Status Printer::JsonOfDict(const Dict& dict, const JsonStyle& style, int level) {
  if (dict.members.empty()) return Put("{}");
  SSMD_RETURN_IF_ERROR(budget_->ChargeElements(dict.members.size()));
  std::vector<const std::pair<Value, Value>*> members;
  for (const auto& member : dict.members) members.push_back(&member);
  if (style.sort_keys) {
    for (const auto* member : members) {
      if (member->first.is_string()) continue;
      return absl::InvalidArgumentError("sort_keys wants keys that are strings");
    }
    std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
      return a->first.text().bytes() < b->first.text().bytes();
    });
  }
  SSMD_RETURN_IF_ERROR(Put("{"));
  for (size_t i = 0; i < members.size(); ++i) {
    if (i > 0) SSMD_RETURN_IF_ERROR(Put(style.item_separator));
    SSMD_RETURN_IF_ERROR(NewLine(style, level + 1));
    SSMD_RETURN_IF_ERROR(JsonOfKey(members[i]->first, style));
    SSMD_RETURN_IF_ERROR(Put(style.key_separator));
    SSMD_RETURN_IF_ERROR(Json(members[i]->second, style, level + 1));
  }
  SSMD_RETURN_IF_ERROR(NewLine(style, level));
  return Put("}");
}

absl::Status Printer::Json(const Value& value, const JsonStyle& style, int level) {
  SSMD_RETURN_IF_ERROR(budget_->Charge(Budget::kStep));
  switch (value.kind()) {
    case Kind::kNone:
      return Put("null");
    case Kind::kBool:
      return Put(value.bool_value() ? "true" : "false");
    case Kind::kInt:
      return Put(std::to_string(value.integer()));
    case Kind::kFloat:
      if (std::isnan(value.number())) return Put("NaN");
      if (std::isinf(value.number())) return Put(value.number() > 0 ? "Infinity" : "-Infinity");
      return Put(ReprOfFloat(value.number()));
    case Kind::kString:
      return JsonOfString(value.text(), style.ensure_ascii);
    case Kind::kDict:
      return JsonOfDict(value.dict(), style, level);
    case Kind::kSequence:
      if (value.sequence().form == Sequence::Form::kList ||
          value.sequence().form == Sequence::Form::kTuple) {
        return JsonOfSequence(value.sequence(), style, level);
      }
      break;
    default:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("tojson: a ", View(value.TypeName()), " is nothing that JSON has",
                   value.is_undefined() ? absl::StrCat(" (", value.why_undefined(), ")") : ""));
}

}  // namespace

std::string ReprOfFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  // -d.ddde±xx: the shortest digits that read back the same.
  std::string text(buffer, end);
  const std::string sign = text[0] == '-' ? "-" : "";
  text.erase(0, sign.size());
  const size_t e = text.find('e');
  const int exponent = std::atoi(text.c_str() + e + 1);
  std::string digits = text.substr(0, e);
  std::erase(digits, '.');
  const auto count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    if (count > 1) digits.insert(1, ".");
    return absl::StrFormat("%s%se%c%02d", sign, digits, exponent < 0 ? '-' : '+',
                           std::abs(exponent));
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  if (exponent + 1 >= count) {
    return sign + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  return sign + digits.insert(static_cast<size_t>(exponent + 1), ".");
}

absl::StatusOr<Text> Str(const Value& value, Budget* budget) {
  if (value.is_string()) {
    SSMD_RETURN_IF_ERROR(budget->Charge(value.text().cost()));
    Text text = value.text();
    text.set_markup(false);
    return text;
  }
  if (value.is_undefined()) return Text();
  return Repr(value, budget);
}

absl::StatusOr<Text> Repr(const Value& value, Budget* budget) {
  Printer printer(budget);
  SSMD_RETURN_IF_ERROR(printer.Repr(value));
  return printer.Take();
}

absl::StatusOr<Text> ToJson(const Value& value, const JsonStyle& style, Budget* budget) {
  Printer printer(budget);
  SSMD_RETURN_IF_ERROR(printer.Json(value, style, 0));
  return printer.Take();
}

}  // namespace ssmd::jinja
