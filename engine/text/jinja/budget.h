// What one rendering may cost. Work and memory are bounded by one count: whoever evaluates a part
// of the template, copies bytes or makes elements charges for it first, so that what is alive is at
// most what was charged.
#ifndef SSMD_ENGINE_TEXT_JINJA_BUDGET_H_
#define SSMD_ENGINE_TEXT_JINJA_BUDGET_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ssmd::jinja {

class Budget {
 public:
  static constexpr size_t kStep = 32;     // an expression or statement evaluated
  static constexpr size_t kElement = 64;  // an element of a list, a member of a dict, a variable

  explicit Budget(size_t units) : units_(units), left_(units) {}

  // INVALID_ARGUMENT once more was asked for than there is.
  absl::Status Charge(size_t units) {
    if (units <= left_) {
      left_ -= units;
      return absl::OkStatus();
    }
    left_ = 0;
    return absl::InvalidArgumentError(
        absl::StrCat("rendering takes more work than the limit of ", units_, " units"));
  }
  absl::Status ChargeElements(size_t count) {
    return Charge(count > left_ / kElement ? left_ + 1 : count * kElement);
  }

 private:
  const size_t units_;
  size_t left_;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_BUDGET_H_
