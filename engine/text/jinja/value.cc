#include "engine/text/jinja/value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"

namespace ssmd::jinja {
namespace {

// What stands for a key in a dict's index.
std::optional<std::string> KeyText(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return absl::StrCat("s", key.text().bytes());
    case Kind::kNone:
      return "n";
    case Kind::kBool:
    case Kind::kInt:
      return absl::StrCat("i", key.integer());
    case Kind::kFloat:
      if (key.number() == std::floor(key.number()) && std::fabs(key.number()) < 1e15) {
        return absl::StrCat("i", static_cast<int64_t>(key.number()));
      }
      return absl::StrCat("f", absl::Hex(std::bit_cast<uint64_t>(key.number())));
    default:
      return std::nullopt;
  }
}

absl::Status TooDeep() {
  return absl::InvalidArgumentError(absl::StrCat("a value is nested deeper than ", kMaxValueDepth));
}

}  // namespace

Value Value::MakeUndefined(std::string why) {
  return Value(Data(Undefined{std::make_shared<const std::string>(std::move(why))}));
}

Value Value::String(Text text) {
  return Value(Data(std::make_shared<const Text>(std::move(text))));
}

const std::string& Value::why_undefined() const {
  static const std::string kUnnamed = "the value is undefined";
  const auto& why = std::get<Undefined>(data_).why;
  return why == nullptr ? kUnnamed : *why;
}

double Value::number() const {
  return is_float() ? std::get<double>(data_) : static_cast<double>(integer());
}

bool Value::Truth() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return integer() != 0;
    case Kind::kFloat:
      return number() != 0;
    case Kind::kString:
      return !text().empty();
    case Kind::kSequence:
      return sequence().form == Sequence::Form::kOnce || !sequence().items.empty();
    case Kind::kDict:
      return !dict().members.empty();
    case Kind::kNamespace:
    case Kind::kLoop:
    case Kind::kFunction:
      return true;
  }
  return true;
}

bool Value::SameAs(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kBool:
    case Kind::kInt:
      return integer() == other.integer();
    case Kind::kFloat:
      return number() == other.number();
    case Kind::kString:
      return &text() == &other.text();
    case Kind::kSequence:
      return &sequence() == &other.sequence();
    case Kind::kDict:
      return &dict() == &other.dict();
    case Kind::kNamespace:
      return &name_space() == &other.name_space();
    case Kind::kLoop:
      return &loop() == &other.loop();
    case Kind::kFunction:
      return &function() == &other.function();
  }
  return false;
}

int Value::depth() const {
  if (is_sequence()) return sequence().depth;
  return is_dict() ? dict().depth : 0;
}

std::string_view Value::TypeName() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kFunction:
      return "function";
    case Kind::kSequence:
      break;
  }
  switch (sequence().form) {
    case Sequence::Form::kList:
      return "list";
    case Sequence::Form::kTuple:
      return "tuple";
    case Sequence::Form::kRange:
      return "range";
    case Sequence::Form::kView:
      return "view of a dict";
    case Sequence::Form::kOnce:
      return "generator";
  }
  return "list";
}

const Value* Dict::Find(const Value& key) const {
  const auto text = KeyText(key);
  if (!text.has_value()) return nullptr;
  const auto found = index_.find(*text);
  return found == index_.end() ? nullptr : &members[found->second].second;
}

const Value* Dict::Find(std::string_view key) const {
  const auto found = index_.find(absl::StrCat("s", View(key)));
  return found == index_.end() ? nullptr : &members[found->second].second;
}

absl::Status Dict::Set(Value key, Value value) {
  auto text = KeyText(key);
  if (!text.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", View(key.TypeName()), " cannot be the key of a dict"));
  }
  if (value.depth() >= kMaxValueDepth) return TooDeep();
  depth = std::max(depth, value.depth() + 1);
  const auto [place, added] = index_.try_emplace(*std::move(text), members.size());
  if (added) {
    members.emplace_back(std::move(key), std::move(value));
  } else {
    members[place->second].second = std::move(value);
  }
  return absl::OkStatus();
}

const Value* Namespace::Find(std::string_view name) const {
  const auto found = members_.find(View(name));
  return found == members_.end() ? nullptr : &found->second;
}

void Namespace::Set(std::string_view name, Value value) {
  members_[std::string(name)] = std::move(value);
}

absl::StatusOr<Value> MakeSequence(std::vector<Value> items, Sequence::Form form) {
  auto sequence = std::make_shared<Sequence>();
  for (const Value& item : items) {
    if (item.depth() >= kMaxValueDepth) return TooDeep();
    sequence->depth = std::max(sequence->depth, item.depth() + 1);
  }
  sequence->items = std::move(items);
  sequence->form = form;
  return Value::Of(std::shared_ptr<const Sequence>(std::move(sequence)));
}

Value MakeStrings(std::vector<Text> texts) {
  auto sequence = std::make_shared<Sequence>();
  sequence->items.reserve(texts.size());
  for (Text& text : texts) sequence->items.push_back(Value::String(std::move(text)));
  return Value::Of(std::shared_ptr<const Sequence>(std::move(sequence)));
}

}  // namespace ssmd::jinja
