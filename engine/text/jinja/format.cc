#include "engine/text/jinja/format.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

constexpr int64_t kMaxFieldWidth = 1000;

absl::Status BadFormat(std::string_view form) {
  return absl::InvalidArgumentError(
      absl::StrCat("the format '", View(form.substr(0, 40)), "' is not supported"));
}

struct Field {
  bool left = false;   // -
  bool zeros = false;  // 0
  bool plus = false;   // +
  int64_t width = 0;
  int64_t precision = -1;
  char type = 's';
};

bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

// Reads digits at *at. False where the number is too large.
bool ReadNumber(std::string_view form, size_t* at, int64_t* number) {
  *number = 0;
  for (; *at < form.size() && IsDecimal(form[*at]); ++*at) {
    *number = *number * 10 + (form[*at] - '0');
    if (*number > kMaxFieldWidth) return false;
  }
  return true;
}

// Flags, width, precision and type: of "%5.2f" what follows the %.
bool ReadField(std::string_view form, size_t* at, Field* field) {
  for (; *at < form.size(); ++*at) {
    const char c = form[*at];
    if (c == '-') {
      field->left = true;
    } else if (c == '0') {
      field->zeros = true;
    } else if (c == '+') {
      field->plus = true;
    } else if (c != ' ' && c != '#') {
      break;
    }
  }
  if (!ReadNumber(form, at, &field->width)) return false;
  if (*at < form.size() && form[*at] == '.') {
    ++*at;
    if (!ReadNumber(form, at, &field->precision)) return false;
  }
  return true;
}

absl::StatusOr<std::string> FormatNumber(const Field& field, const Value& value) {
  const auto precision = static_cast<int>(field.precision < 0 ? 6 : field.precision);
  switch (field.type) {
    case 'd':
    case 'i':
    case 'x': {
      if (!value.is_number()) return TypeError("a number is wanted, not", value);
      int64_t whole = 0;
      if (value.is_integral()) {
        whole = value.integer();
      } else if (value.number() > -9e18 && value.number() < 9e18) {
        whole = static_cast<int64_t>(value.number());
      } else {
        return absl::InvalidArgumentError("a number is too large");
      }
      const std::string sign = whole < 0 ? "-" : field.plus ? "+" : "";
      const uint64_t size =
          whole < 0 ? uint64_t{0} - static_cast<uint64_t>(whole) : static_cast<uint64_t>(whole);
      return absl::StrCat(
          sign, field.type == 'x' ? absl::StrFormat("%x", size) : absl::StrFormat("%u", size));
    }
    default: {
      if (!value.is_number()) return TypeError("a number is wanted, not", value);
      const std::string sign = field.plus && value.number() >= 0 ? "+" : "";
      const double number = value.number();
      if (field.type == 'e') return sign + absl::StrFormat("%.*e", precision, number);
      if (field.type == 'g') return sign + absl::StrFormat("%.*g", precision, number);
      return sign + absl::StrFormat("%.*f", precision, number);
    }
  }
}

// `text` in its field's width, by characters.
absl::Status Pad(const Field& field, bool number, const Text& text, Budget* budget, Text* out) {
  SSMD_RETURN_IF_ERROR(budget->Charge(text.cost() + static_cast<size_t>(field.width)));
  const size_t characters = CountCharacters(text.bytes());
  const auto width = static_cast<size_t>(field.width);
  const size_t missing = width > characters ? width - characters : 0;
  if (number && field.zeros && !field.left) {
    const size_t sign = !text.empty() && (text.bytes()[0] == '-' || text.bytes()[0] == '+');
    out->Append(text, 0, sign);
    out->Append(std::string(missing, '0'), kOfTemplate);
    out->Append(text, sign, text.size());
    return absl::OkStatus();
  }
  if (!field.left) out->Append(std::string(missing, ' '), kOfTemplate);
  out->Append(text);
  if (field.left) out->Append(std::string(missing, ' '), kOfTemplate);
  return absl::OkStatus();
}

absl::Status AppendField(const Field& field, const Value& value, Budget* budget, Text* out) {
  const bool number = field.type != 's' && field.type != 'r';
  Text text;
  if (number) {
    SSMD_ASSIGN_OR_RETURN(std::string digits, FormatNumber(field, value));
    text = Text(std::move(digits));
  } else {
    SSMD_ASSIGN_OR_RETURN(text, field.type == 'r' ? Repr(value, budget) : Str(value, budget));
    const auto most = static_cast<size_t>(std::max<int64_t>(field.precision, 0));
    if (field.precision >= 0 && most < CountCharacters(text.bytes())) {
      text = text.Slice(0, ByteOfCharacter(text.bytes(), most));
    }
  }
  return Pad(field, number, text, budget, out);
}

// A field of "{}".format: what it names, how it is converted and how it is laid out.
class BraceField {
 public:
  BraceField(const CallArguments& arguments, size_t* automatic, Budget* budget)
      : arguments_(arguments), automatic_(automatic), budget_(budget) {}

  absl::Status Append(std::string_view field, Text* out) {
    const size_t colon = field.find(':');
    std::string_view name = field.substr(0, colon);
    Field layout;
    if (const size_t mark = name.find('!'); mark != std::string_view::npos) {
      const std::string_view conversion = name.substr(mark + 1);
      if (conversion != "r" && conversion != "s") return BadFormat(field);
      if (conversion == "r") layout.type = 'r';
      name = name.substr(0, mark);
    }
    SSMD_ASSIGN_OR_RETURN(const Value value, Find(name));
    if (colon == std::string_view::npos || colon + 1 == field.size()) {
      return AppendField(layout, value, budget_, out);
    }
    size_t at = colon + 1;
    if (!ReadField(field, &at, &layout)) return BadFormat(field);
    const char type = at < field.size() ? field[at++] : ' ';
    // Only what is the same in both ways of formatting.
    const bool known = at == field.size() && value.is_number() && layout.type == 's' &&
                       ((type == 'd' && value.is_integral()) || type == 'f' || type == 'x' ||
                        (type == ' ' && value.is_integral()));
    if (!known) return BadFormat(field);
    layout.type = type == ' ' ? 'd' : type;
    return AppendField(layout, value, budget_, out);
  }

 private:
  absl::StatusOr<Value> Root(std::string_view name) const {
    int64_t position = 0;
    if (name.empty()) {
      position = static_cast<int64_t>((*automatic_)++);
    } else if (!absl::SimpleAtoi(View(name), &position)) {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      return absl::InvalidArgumentError(absl::StrCat("format: there is no '", View(name), "'"));
    }
    if (position < 0 || static_cast<size_t>(position) >= arguments_.positional.size()) {
      return absl::InvalidArgumentError("format: there are more fields than values");
    }
    return arguments_.positional[static_cast<size_t>(position)];
  }

  // name, name.member, name[member] and so on.
  absl::StatusOr<Value> Find(std::string_view name) const {
    size_t at = std::min(name.find_first_of(".["), name.size());
    SSMD_ASSIGN_OR_RETURN(Value value, Root(name.substr(0, at)));
    while (at < name.size()) {
      const bool bracket = name[at] == '[';
      const size_t end =
          bracket ? name.find(']', at) : std::min(name.find_first_of(".[", at + 1), name.size());
      if (end == std::string_view::npos) return BadFormat(name);
      const std::string_view key = name.substr(at + 1, end - at - 1);
      int64_t number = 0;
      if (bracket && absl::SimpleAtoi(View(key), &number)) {
        SSMD_ASSIGN_OR_RETURN(value, GetItem(value, Value::Int(number), budget_));
      } else if (bracket) {
        SSMD_ASSIGN_OR_RETURN(value, GetItem(value, Value::String(key), budget_));
      } else {
        SSMD_ASSIGN_OR_RETURN(value, GetAttribute(value, key, budget_));
      }
      at = bracket ? end + 1 : end;
    }
    return value;
  }

  const CallArguments& arguments_;
  size_t* automatic_;
  Budget* budget_;
};

}  // namespace

absl::StatusOr<Value> FormatPercent(const Text& form, const Value& values, Budget* budget) {
  const std::string& bytes = form.bytes();
  const bool tuple = values.is_sequence() && values.sequence().form == Sequence::Form::kTuple;
  size_t used = 0;
  Text out;
  for (size_t at = 0; at < bytes.size();) {
    const size_t percent = std::min(bytes.find('%', at), bytes.size());
    SSMD_RETURN_IF_ERROR(budget->Charge(percent - at + Budget::kStep));
    out.Append(form, at, percent);
    if (percent == bytes.size()) break;
    at = percent + 1;
    Field field;
    Value value = values;
    if (at < bytes.size() && bytes[at] == '(') {
      const size_t end = bytes.find(')', at);
      if (end == std::string::npos || !values.is_dict()) return BadFormat(bytes);
      const Value* found = values.dict().Find(bytes.substr(at + 1, end - at - 1));
      if (found == nullptr) return BadFormat(bytes);
      value = *found;
      at = end + 1;
    } else if (at < bytes.size() && bytes[at] != '%') {
      if (used >= (tuple ? values.sequence().items.size() : 1)) {
        return absl::InvalidArgumentError("%: there are more fields than values");
      }
      if (tuple) value = values.sequence().items[used];
      ++used;
    }
    if (!ReadField(bytes, &at, &field) || at == bytes.size()) return BadFormat(bytes);
    field.type = bytes[at++];
    if (field.type == '%') {
      out.Append("%", kOfTemplate);
      continue;
    }
    if (std::string_view("srdixfeg").find(field.type) == std::string_view::npos) {
      return BadFormat(bytes);
    }
    SSMD_RETURN_IF_ERROR(AppendField(field, value, budget, &out));
  }
  const bool left_over = tuple ? used < values.sequence().items.size() : used == 0;
  if (left_over && !values.is_dict() && !values.is_sequence()) {
    return absl::InvalidArgumentError("%: there are more values than fields");
  }
  if (left_over && tuple) {
    return absl::InvalidArgumentError("%: there are more values than fields");
  }
  return Value::String(std::move(out));
}

absl::StatusOr<Value> FormatBraces(const Text& form, const CallArguments& arguments,
                                   Budget* budget) {
  const std::string& bytes = form.bytes();
  size_t automatic = 0;
  BraceField fields(arguments, &automatic, budget);
  Text out;
  for (size_t at = 0; at < bytes.size();) {
    const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    SSMD_RETURN_IF_ERROR(budget->Charge(brace - at + Budget::kStep));
    out.Append(form, at, brace);
    if (brace == bytes.size()) break;
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
      out.Append(form, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    const size_t end = bytes.find('}', brace);
    if (bytes[brace] == '}' || end == std::string::npos) return BadFormat(bytes);
    SSMD_RETURN_IF_ERROR(
        fields.Append(std::string_view(bytes).substr(brace + 1, end - brace - 1), &out));
    at = end + 1;
  }
  return Value::String(std::move(out));
}

}  // namespace ssmd::jinja
