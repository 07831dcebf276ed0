// The stack, the memo and the values of a pickle that is read as data (torch_pickle.h).
//
// A value never goes away, so that references to it stay good, and each costs a byte of the pickle
// at least. What is on the stack below an open group cannot be reached until the group is closed.
// Errors say the reason alone: the reader knows where in the pickle it is.
#ifndef SSMD_ENGINE_FORMATS_PICKLE_STACK_H_
#define SSMD_ENGINE_FORMATS_PICKLE_STACK_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ssmd {

inline constexpr size_t kMaxPickleValues = size_t{1} << 18;  // and as many memo numbers
inline constexpr size_t kMaxPickleStack = size_t{1} << 16;
inline constexpr size_t kMaxPickleGroups = 64;  // that are open at once

using PickleRef = uint32_t;  // of a value, by its index

struct PickleValue {
  enum class Kind : uint8_t { kInt, kBool, kString, kGlobal, kTuple, kDict, kStorage, kTensor };
  Kind kind = Kind::kInt;
  // Of kInt and kBool; of kGlobal, kStorage and kTensor an index into a table of the reader's.
  int64_t number = 0;
  std::string_view text = {};         // of kString
  std::vector<PickleRef> items = {};  // of kTuple, its elements; of kDict, keys and values in turn
};

std::string_view Describe(PickleValue::Kind kind);  // "a string"

class PickleStack {
 public:
  absl::Status Push(PickleRef ref);
  // Makes references that operator[] gave invalid.
  absl::Status PushNew(PickleValue value);

  absl::StatusOr<PickleRef> Top() const;
  absl::StatusOr<PickleRef> Pop();
  absl::StatusOr<std::vector<PickleRef>> PopCount(size_t count);  // in the order of pushing

  absl::Status OpenGroup();
  absl::StatusOr<std::vector<PickleRef>> PopGroup();

  // Numbers are given in order, from 0 on, as Python does.
  absl::Status Memoize(uint32_t number);
  absl::Status Recall(uint32_t number);

  PickleValue& operator[](PickleRef ref) { return values_[ref]; }
  const PickleValue& operator[](PickleRef ref) const { return values_[ref]; }
  // Whether there are as many values, of these kinds in turn.
  bool AreKinds(const std::vector<PickleRef>& values,
                std::initializer_list<PickleValue::Kind> kinds) const;
  bool empty() const { return stack_.empty() && groups_.empty(); }

 private:
  std::vector<PickleValue> values_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> groups_;  // heights of the stack where they opened
  std::vector<PickleRef> memo_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_PICKLE_STACK_H_
