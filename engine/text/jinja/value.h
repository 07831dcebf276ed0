// Values of a template's evaluation: Python's, as far as templates can tell.
//
// Values are immutable but for namespaces and the state of loops and one-way iterators, so nothing
// can contain itself: Hugging Face renders in a sandbox where templates cannot change lists and
// dicts either. A namespace may come to hold itself; it belongs to the evaluation, and values only
// point to it.
#ifndef SSMD_ENGINE_TEXT_JINJA_VALUE_H_
#define SSMD_ENGINE_TEXT_JINJA_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/text.h"

namespace ssmd::jinja {

class Value;
struct Sequence;
struct Dict;
struct Function;
struct Loop;
class Namespace;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kSequence,
  kDict,
  kNamespace,
  kLoop,
  kFunction,
};

// Lists and dicts within each other are at most this deep.
inline constexpr int kMaxValueDepth = 100;

class Value {
 public:
  struct Undefined {
    // What an error says of it: "'x' is undefined".
    std::shared_ptr<const std::string> why;
  };

  Value() = default;  // undefined
  static Value MakeUndefined(std::string why);
  static Value None() { return Value(Data(std::in_place_type<NoneType>)); }
  static Value Bool(bool value) { return Value(Data(value)); }
  static Value Int(int64_t value) { return Value(Data(value)); }
  static Value Float(double value) { return Value(Data(value)); }
  static Value String(Text text);
  static Value String(std::string_view text) { return String(Text(std::string(text))); }
  static Value Of(std::shared_ptr<const Sequence> sequence) { return Value(Data(sequence)); }
  static Value Of(std::shared_ptr<const Dict> dict) { return Value(Data(dict)); }
  static Value Of(std::shared_ptr<Loop> loop) { return Value(Data(loop)); }
  static Value Of(std::shared_ptr<const Function> function) { return Value(Data(function)); }
  static Value Of(Namespace* ns) { return Value(Data(ns)); }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::kUndefined; }
  bool is_none() const { return kind() == Kind::kNone; }
  bool is_bool() const { return kind() == Kind::kBool; }
  bool is_int() const { return kind() == Kind::kInt; }
  bool is_float() const { return kind() == Kind::kFloat; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_sequence() const { return kind() == Kind::kSequence; }
  bool is_dict() const { return kind() == Kind::kDict; }
  bool is_number() const { return is_bool() || is_int() || is_float(); }
  bool is_integral() const { return is_bool() || is_int(); }

  // REQUIRES, of each: the value is of that kind.
  const std::string& why_undefined() const;
  bool bool_value() const { return std::get<bool>(data_); }
  const Text& text() const { return *std::get<std::shared_ptr<const Text>>(data_); }
  const Sequence& sequence() const { return *std::get<std::shared_ptr<const Sequence>>(data_); }
  const Dict& dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  Namespace& name_space() const { return *std::get<Namespace*>(data_); }
  Loop& loop() const { return *std::get<std::shared_ptr<Loop>>(data_); }
  const Function& function() const { return *std::get<std::shared_ptr<const Function>>(data_); }
  std::shared_ptr<const Sequence> shared_sequence() const {
    return std::get<std::shared_ptr<const Sequence>>(data_);
  }
  // Bools are 0 and 1. REQUIRES: is_integral(), is_number().
  int64_t integer() const { return is_bool() ? bool_value() : std::get<int64_t>(data_); }
  double number() const;

  // Python's truth of a value.
  bool Truth() const;
  // The same object, as Python's `is` would say of these.
  bool SameAs(const Value& other) const;
  // 0 for what holds nothing.
  int depth() const;
  // "str", "NoneType": as Python's errors name it.
  std::string_view TypeName() const;

 private:
  struct NoneType {};
  using Data = std::variant<Undefined, NoneType, bool, int64_t, double, std::shared_ptr<const Text>,
                            std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>,
                            Namespace*, std::shared_ptr<Loop>, std::shared_ptr<const Function>>;
  explicit Value(Data data) : data_(std::move(data)) {}

  Data data_;
};

struct Sequence {
  enum class Form : uint8_t {
    kList,
    kTuple,
    kRange,
    kView,  // of a dict's keys, values or items: has a length and no elements by index
    kOnce,  // an iterator: true whatever it holds, without length, empty the second time
  };
  std::vector<Value> items;
  Form form = Form::kList;
  int depth = 1;
  mutable bool spent = false;  // of kOnce

  bool indexed() const { return form != Form::kView && form != Form::kOnce; }
};

// Members in the order in which they were added. Keys are strings, numbers, bools or None; 1, 1.0
// and true are the same key, as in Python.
struct Dict {
  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
  // Replaces the value of a key that is there. INVALID_ARGUMENT where `key` cannot be one, or the
  // value is nested too deeply.
  absl::Status Set(Value key, Value value);

  std::vector<std::pair<Value, Value>> members;
  int depth = 1;

 private:
  // Positions in `members`, by the text that stands for the key.
  absl::flat_hash_map<std::string, size_t> index_;
};

class Namespace {
 public:
  const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);
  size_t size() const { return members_.size(); }

 private:
  absl::flat_hash_map<std::string, Value> members_;
};

// The variable `loop`.
struct Loop {
  std::shared_ptr<const Sequence> items;
  size_t index = 0;  // of the present item
};

struct Macro;

// What can be called: a macro with the scope that it was defined in, a method with its object, or a
// function of the environment.
struct Function {
  std::string_view name;
  const Macro* macro = nullptr;
  size_t scope = 0;  // of macros: which of the evaluation's
  Value self;        // of methods
  bool method = false;
};

// A list and the like. INVALID_ARGUMENT where it is nested too deeply.
absl::StatusOr<Value> MakeSequence(std::vector<Value> items,
                                   Sequence::Form form = Sequence::Form::kList);
Value MakeStrings(std::vector<Text> texts);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_VALUE_H_
