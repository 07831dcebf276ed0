// What templates may call: filters, tests, methods of values, and functions. Tables by name, so
// that a template that wants another one is refused when it is read.
#ifndef SSMD_ENGINE_TEXT_JINJA_BUILTINS_H_
#define SSMD_ENGINE_TEXT_JINJA_BUILTINS_H_

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

// What one rendering has beside its variables.
struct Context {
  Budget budget;
  std::tm now;  // what strftime_now shows
  std::vector<std::unique_ptr<Namespace>> namespaces;
};

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

// The arguments of a call by the names of its parameters, absent where none was given.
class Bound {
 public:
  // INVALID_ARGUMENT where there are more than parameters, or others.
  static absl::StatusOr<Bound> Make(const CallArguments& arguments,
                                    absl::Span<const std::string_view> parameters);

  const std::optional<Value>& operator[](size_t i) const { return values_[i]; }
  // Undefined where there is none.
  Value Get(size_t i) const { return values_[i].value_or(Value()); }
  absl::StatusOr<Value> Require(size_t i) const;
  absl::StatusOr<int64_t> Integer(size_t i, int64_t otherwise) const;
  absl::StatusOr<Text> String(size_t i) const;  // required
  bool Flag(size_t i, bool otherwise) const;

 private:
  std::vector<std::optional<Value>> values_;
  std::vector<std::string_view> names_;
};

// A filter, a method or a function: `input` is what it is applied to (undefined for functions).
using BoundFunction = absl::StatusOr<Value> (*)(Context& context, const Value& input,
                                                const Bound& arguments);
using FreeFunction = absl::StatusOr<Value> (*)(Context& context, const Value& input,
                                               const CallArguments& arguments);
struct Builtin {
  std::string_view name;
  std::vector<std::string_view> parameters;
  BoundFunction bound = nullptr;
  FreeFunction free = nullptr;  // for those that take what they are given

  absl::StatusOr<Value> Apply(Context& context, const Value& input,
                              const CallArguments& arguments) const;
};

const Builtin* FindFilter(std::string_view name);
const Builtin* FindTest(std::string_view name);
const Builtin* FindFunction(std::string_view name);
// Of strings, dicts, sequences and the loop: the methods that there are, whoever has them.
bool IsMethod(std::string_view name);
// Absent where values of that kind have no such method.
const Builtin* FindMethod(const Value& self, std::string_view name);

// The tables, by what they work on.
absl::Span<const Builtin> TextFilters();
absl::Span<const Builtin> SequenceFilters();
absl::Span<const Builtin> NumberFilters();
absl::Span<const Builtin> Tests();
absl::Span<const Builtin> Functions();
absl::Span<const Builtin> StringMethods();
absl::Span<const Builtin> DictMethods();
absl::Span<const Builtin> SequenceMethods();
absl::Span<const Builtin> LoopMethods();

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_BUILTINS_H_
