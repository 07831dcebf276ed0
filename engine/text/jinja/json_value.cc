#include "engine/text/jinja/json_value.h"

#include <utility>

#include "engine/base/status_macros.h"

namespace ssmd::jinja {

absl::StatusOr<Value> FromJson(const JsonValue& json, Origin origin) {
  if (json.is_null()) return Value::None();
  if (const auto flag = json.AsBool()) return Value::Bool(*flag);
  if (const auto number = json.AsInt()) return Value::Int(*number);
  if (const auto number = json.AsDouble()) return Value::Float(*number);
  if (const auto text = json.AsString()) return Value::String(Text(std::string(*text), origin));
  if (json.is_array()) {
    std::vector<Value> items;
    for (const JsonValue element : json.elements()) {
      SSMD_ASSIGN_OR_RETURN(Value item, FromJson(element, origin));
      items.push_back(std::move(item));
    }
    return MakeSequence(std::move(items));
  }
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, member] : json.members()) {
    SSMD_ASSIGN_OR_RETURN(Value value, FromJson(member, origin));
    SSMD_RETURN_IF_ERROR(
        dict->Set(Value::String(Text(std::string(key), origin)), std::move(value)));
  }
  return Value::Of(std::shared_ptr<const Dict>(std::move(dict)));
}

}  // namespace ssmd::jinja
