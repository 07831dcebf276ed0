#include "engine/formats/pickle_stack.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

absl::Status StackError(const std::string& reason) { return absl::InvalidArgumentError(reason); }

}  // namespace

std::string_view Describe(PickleValue::Kind kind) {
  constexpr std::string_view kNames[] = {"an integer", "a boolean", "a string",  "a global",
                                         "a tuple",    "a dict",    "a storage", "a tensor"};
  return kNames[static_cast<size_t>(kind)];
}

absl::Status PickleStack::Push(PickleRef ref) {
  if (stack_.size() >= kMaxPickleStack) {
    return StackError(absl::StrCat("more than ", kMaxPickleStack, " values on the stack"));
  }
  stack_.push_back(ref);
  return absl::OkStatus();
}

absl::Status PickleStack::PushNew(PickleValue value) {
  if (values_.size() >= kMaxPickleValues) {
    return StackError(absl::StrCat("more than ", kMaxPickleValues, " values"));
  }
  values_.push_back(std::move(value));
  return Push(static_cast<PickleRef>(values_.size() - 1));
}

absl::StatusOr<PickleRef> PickleStack::Top() const {
  if (stack_.size() <= (groups_.empty() ? 0 : groups_.back())) {
    return StackError("wants a value that the stack does not have");
  }
  return stack_.back();
}

absl::StatusOr<PickleRef> PickleStack::Pop() {
  SSMD_ASSIGN_OR_RETURN(const PickleRef top, Top());
  stack_.pop_back();
  return top;
}

absl::StatusOr<std::vector<PickleRef>> PickleStack::PopCount(size_t count) {
  std::vector<PickleRef> values(count);
  for (size_t i = count; i-- > 0;) {
    SSMD_ASSIGN_OR_RETURN(values[i], Pop());
  }
  return values;
}

absl::Status PickleStack::OpenGroup() {
  if (groups_.size() >= kMaxPickleGroups) {
    return StackError(absl::StrCat("nested deeper than ", kMaxPickleGroups, " groups"));
  }
  groups_.push_back(stack_.size());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PickleRef>> PickleStack::PopGroup() {
  if (groups_.empty()) return StackError("closes a group that no MARK opened");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(groups_.back());
  std::vector<PickleRef> values(first, stack_.end());
  stack_.erase(first, stack_.end());
  groups_.pop_back();
  return values;
}

absl::Status PickleStack::Memoize(uint32_t number) {
  if (number != memo_.size()) {
    return StackError(absl::StrCat("memo number ", number, " where ", memo_.size(), " is next"));
  }
  if (memo_.size() >= kMaxPickleValues) {
    return StackError(absl::StrCat("more than ", kMaxPickleValues, " memo numbers"));
  }
  SSMD_ASSIGN_OR_RETURN(const PickleRef top, Top());
  memo_.push_back(top);
  return absl::OkStatus();
}

absl::Status PickleStack::Recall(uint32_t number) {
  if (number >= memo_.size()) {
    return StackError(absl::StrCat("memo number ", number, " where there are ", memo_.size()));
  }
  return Push(memo_[number]);
}

bool PickleStack::AreKinds(const std::vector<PickleRef>& values,
                           std::initializer_list<PickleValue::Kind> kinds) const {
  return std::equal(
      values.begin(), values.end(), kinds.begin(), kinds.end(),
      [&](PickleRef ref, PickleValue::Kind kind) { return values_[ref].kind == kind; });
}

}  // namespace ssmd
