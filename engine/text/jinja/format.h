// Python's two ways to fill in a text: "%s" % values, and "{}".format(values).
#ifndef SSMD_ENGINE_TEXT_JINJA_FORMAT_H_
#define SSMD_ENGINE_TEXT_JINJA_FORMAT_H_

#include "absl/status/statusor.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

// Conversions %s, %r, %d, %i, %x, %f, %g and %e, with flags, width and precision.
absl::StatusOr<Value> FormatPercent(const Text& form, const Value& values, Budget* budget);
// Fields {}, {0}, {name}, {name.member} and {name[member]}, with !r and !s, and for numbers with
// [0][width][.precision] and d, f, x or nothing.
absl::StatusOr<Value> FormatBraces(const Text& form, const CallArguments& arguments,
                                   Budget* budget);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_FORMAT_H_
