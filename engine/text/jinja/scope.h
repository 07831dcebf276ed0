// Variables of a template, by Jinja's scopes: a loop, a macro and the like see what is around them,
// and what they set ends with them.
#ifndef SSMD_ENGINE_TEXT_JINJA_SCOPE_H_
#define SSMD_ENGINE_TEXT_JINJA_SCOPE_H_

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

// Names are views of the template's tree, or live as long.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> parent = nullptr) : parent_(std::move(parent)) {}

  const Value* Find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
      for (const auto& [known, value] : scope->variables_) {
        if (known == name) return &value;
      }
    }
    return nullptr;
  }
  void Set(std::string_view name, Value value) {
    for (auto& [known, old] : variables_) {
      if (known != name) continue;
      old = std::move(value);
      return;
    }
    variables_.emplace_back(name, std::move(value));
  }
  size_t size() const { return variables_.size(); }
  const Scope* parent() const { return parent_.get(); }

 private:
  std::shared_ptr<Scope> parent_;
  std::vector<std::pair<std::string_view, Value>> variables_;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_SCOPE_H_
