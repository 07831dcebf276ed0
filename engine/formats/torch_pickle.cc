#include "engine/formats/torch_pickle.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "engine/base/little_endian.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/pickle_opcodes.h"
#include "engine/formats/pickle_stack.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

constexpr uint8_t kProtocol = 2;  // torch.save's, in every version
constexpr size_t kMaxGlobalBytes = 256;

// What a global means here. Nothing is imported for it.
enum class Meaning : uint8_t { kOrderedDict, kRebuildTensor, kRebuildParameter, kStorage };

struct GlobalRow {
  std::string_view module;
  std::string_view name;
  Meaning meaning;
  TensorType type = TensorType::kF32;  // of kStorage
};
constexpr GlobalRow kGlobals[] = {
    {"collections", "OrderedDict", Meaning::kOrderedDict},
    {"torch._utils", "_rebuild_tensor_v2", Meaning::kRebuildTensor},
    {"torch._utils", "_rebuild_parameter", Meaning::kRebuildParameter},
    {"torch", "FloatStorage", Meaning::kStorage, TensorType::kF32},
    {"torch", "HalfStorage", Meaning::kStorage, TensorType::kF16},
    {"torch", "BFloat16Storage", Meaning::kStorage, TensorType::kBf16},
    {"torch", "DoubleStorage", Meaning::kStorage, TensorType::kF64},
    {"torch", "LongStorage", Meaning::kStorage, TensorType::kI64},
    {"torch", "IntStorage", Meaning::kStorage, TensorType::kI32},
    {"torch", "ShortStorage", Meaning::kStorage, TensorType::kI16},
    {"torch", "CharStorage", Meaning::kStorage, TensorType::kI8},
    {"torch", "ByteStorage", Meaning::kStorage, TensorType::kU8},
    {"torch", "BoolStorage", Meaning::kStorage, TensorType::kBool},
};

using Kind = PickleValue::Kind;
using Refs = std::vector<PickleRef>;

struct Storage {
  TensorType type = TensorType::kF32;
  std::string_view key;
  int64_t elements = 0;
};

absl::Status Malformed(const std::string& reason) { return absl::InvalidArgumentError(reason); }

absl::Status UnknownOpcode(uint8_t opcode) {
  const std::string_view name = PickleOpName(opcode);
  return Malformed(
      absl::StrCat("opcode ", name.empty() ? absl::StrFormat("0x%02x", opcode) : std::string(name),
                   " has no place in a dict of tensors"));
}

// Everything but Read says the reason of an error alone; Read adds where it is.
class StateDictReader {
 public:
  StateDictReader(std::string_view pickle, std::string_view source)
      : pickle_(pickle), source_(source) {}

  absl::StatusOr<std::vector<PickledTensor>> Read();

 private:
  absl::Status Run();
  absl::Status Step(uint8_t opcode);
  absl::StatusOr<std::vector<PickledTensor>> Finish();

  // Operands.
  template <typename T>
  absl::StatusOr<T> TakeNumber();
  absl::StatusOr<std::string_view> TakeBytes(size_t count);
  absl::StatusOr<std::string_view> TakeLine();

  // Opcodes.
  absl::Status Proto();
  absl::Status String();
  absl::Status LongInt();
  absl::Status Global();
  absl::Status Tuple(absl::StatusOr<Refs> items);
  absl::Status SetItems(const absl::StatusOr<Refs>& items);
  absl::Status PersistentId();
  absl::Status Reduce();
  absl::Status Build();

  // The calls that Reduce stands for.
  absl::Status RebuildTensor(const Refs& arguments);
  absl::Status RebuildParameter(const Refs& arguments);
  absl::StatusOr<std::vector<int64_t>> Integers(PickleRef tuple, std::string_view what) const;

  const std::string_view pickle_;
  const std::string_view source_;
  size_t at_ = 0;     // of the next byte
  size_t op_at_ = 0;  // of the opcode that is being read
  bool stopped_ = false;

  PickleStack stack_;
  std::vector<Storage> storages_;
  std::vector<PickledTensor> tensors_;  // their names are set at the end
};

absl::StatusOr<std::vector<PickledTensor>> StateDictReader::Read() {
  absl::Status status = Run();
  if (status.ok()) {
    auto tensors = Finish();
    if (tensors.ok()) return tensors;
    status = tensors.status();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(source_), ": byte ", op_at_, ": ", status.message()));
}

absl::Status StateDictReader::Run() {
  if (pickle_.size() > kMaxPickleBytes) {
    return Malformed(absl::StrCat("a pickle of ", pickle_.size(), " bytes is more than the ",
                                  kMaxPickleBytes, " allowed"));
  }
  SSMD_RETURN_IF_ERROR(Proto());
  while (!stopped_) {
    op_at_ = at_;
    SSMD_ASSIGN_OR_RETURN(const uint8_t opcode, TakeNumber<uint8_t>());
    SSMD_RETURN_IF_ERROR(Step(opcode));
  }
  if (at_ == pickle_.size()) return absl::OkStatus();
  return Malformed(absl::StrCat(pickle_.size() - at_, " bytes after the end of the pickle"));
}

absl::Status StateDictReader::Step(uint8_t opcode) {
  const auto with = [&](auto number, auto use) -> absl::Status {
    SSMD_RETURN_IF_ERROR(number.status());
    return use(*number);
  };
  const auto push = [&](int64_t number) { return stack_.PushNew({Kind::kInt, number}); };
  const auto memoize = [&](uint32_t index) { return stack_.Memoize(index); };
  const auto recall = [&](uint32_t index) { return stack_.Recall(index); };
  switch (static_cast<PickleOp>(opcode)) {
    case PickleOp::kProto:
      return Malformed("opcode PROTO is only for the first byte");
    case PickleOp::kStop:
      stopped_ = true;
      return absl::OkStatus();
    case PickleOp::kMark:
      return stack_.OpenGroup();
    case PickleOp::kBinUnicode:
      return String();
    case PickleOp::kGlobal:
      return Global();
    case PickleOp::kBinInt:
      return with(TakeNumber<uint32_t>(),
                  [&](uint32_t number) { return push(static_cast<int32_t>(number)); });
    case PickleOp::kBinInt1:
      return with(TakeNumber<uint8_t>(), push);
    case PickleOp::kBinInt2:
      return with(TakeNumber<uint16_t>(), push);
    case PickleOp::kLong1:
      return LongInt();
    case PickleOp::kNewTrue:
    case PickleOp::kNewFalse:
      return stack_.PushNew({Kind::kBool, opcode == static_cast<uint8_t>(PickleOp::kNewTrue)});
    case PickleOp::kEmptyDict:
      return stack_.PushNew({Kind::kDict});
    case PickleOp::kEmptyTuple:
      return stack_.PushNew({Kind::kTuple});
    case PickleOp::kTuple1:
    case PickleOp::kTuple2:
    case PickleOp::kTuple3:
      return Tuple(stack_.PopCount(1 + size_t{opcode} - static_cast<uint8_t>(PickleOp::kTuple1)));
    case PickleOp::kTuple:
      return Tuple(stack_.PopGroup());
    case PickleOp::kBinPut:
      return with(TakeNumber<uint8_t>(), memoize);
    case PickleOp::kLongBinPut:
      return with(TakeNumber<uint32_t>(), memoize);
    case PickleOp::kBinGet:
      return with(TakeNumber<uint8_t>(), recall);
    case PickleOp::kLongBinGet:
      return with(TakeNumber<uint32_t>(), recall);
    case PickleOp::kSetItem:
      return SetItems(stack_.PopCount(2));
    case PickleOp::kSetItems:
      return SetItems(stack_.PopGroup());
    case PickleOp::kBinPersId:
      return PersistentId();
    case PickleOp::kReduce:
      return Reduce();
    case PickleOp::kBuild:
      return Build();
  }
  return UnknownOpcode(opcode);
}

template <typename T>
absl::StatusOr<T> StateDictReader::TakeNumber() {
  SSMD_ASSIGN_OR_RETURN(const std::string_view bytes, TakeBytes(sizeof(T)));
  return GetLittleEndian<T>(bytes.data());
}

absl::StatusOr<std::string_view> StateDictReader::TakeBytes(size_t count) {
  if (count > pickle_.size() - at_) return Malformed("the pickle is cut short");
  const std::string_view bytes = pickle_.substr(at_, count);
  at_ += count;
  return bytes;
}

absl::StatusOr<std::string_view> StateDictReader::TakeLine() {
  const std::string_view near = pickle_.substr(at_, kMaxGlobalBytes);
  const size_t end = near.find('\n');
  if (end == near.npos)
    return Malformed("opcode GLOBAL is followed by no line, or a very long one");
  at_ += end + 1;
  return near.substr(0, end);
}

absl::Status StateDictReader::Proto() {
  SSMD_ASSIGN_OR_RETURN(const uint8_t opcode, TakeNumber<uint8_t>());
  SSMD_ASSIGN_OR_RETURN(const uint8_t protocol, TakeNumber<uint8_t>());
  if (opcode != static_cast<uint8_t>(PickleOp::kProto) || protocol != kProtocol) {
    return Malformed(absl::StrCat("is not a pickle of protocol ", kProtocol));
  }
  return absl::OkStatus();
}

absl::Status StateDictReader::String() {
  SSMD_ASSIGN_OR_RETURN(const uint32_t size, TakeNumber<uint32_t>());
  SSMD_ASSIGN_OR_RETURN(const std::string_view text, TakeBytes(size));
  return stack_.PushNew({Kind::kString, 0, text});
}

// A two's complement number of as many bytes as the first one says.
absl::Status StateDictReader::LongInt() {
  SSMD_ASSIGN_OR_RETURN(const uint8_t size, TakeNumber<uint8_t>());
  if (size > sizeof(int64_t)) return Malformed(absl::StrCat("an integer of ", size, " bytes"));
  SSMD_ASSIGN_OR_RETURN(const std::string_view bytes, TakeBytes(size));
  const bool negative = size > 0 && static_cast<uint8_t>(bytes.back()) >= 0x80;
  uint64_t number = negative ? ~uint64_t{0} : 0;
  for (size_t i = size; i-- > 0;) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return stack_.PushNew({Kind::kInt, static_cast<int64_t>(number)});
}

absl::Status StateDictReader::Global() {
  SSMD_ASSIGN_OR_RETURN(const std::string_view module, TakeLine());
  SSMD_ASSIGN_OR_RETURN(const std::string_view name, TakeLine());
  const auto* row = std::find_if(std::begin(kGlobals), std::end(kGlobals), [&](const GlobalRow& r) {
    return r.module == module && r.name == name;
  });
  if (row == std::end(kGlobals)) {
    return Malformed(absl::StrCat("refers to ", Quoted(absl::StrCat(View(module), ".", View(name))),
                                  ", which has no place in a dict of tensors"));
  }
  return stack_.PushNew({Kind::kGlobal, row - std::begin(kGlobals)});
}

absl::Status StateDictReader::Tuple(absl::StatusOr<Refs> items) {
  SSMD_RETURN_IF_ERROR(items.status());
  return stack_.PushNew({Kind::kTuple, 0, {}, *std::move(items)});
}

absl::Status StateDictReader::SetItems(const absl::StatusOr<Refs>& items) {
  SSMD_RETURN_IF_ERROR(items.status());
  SSMD_ASSIGN_OR_RETURN(const PickleRef target, stack_.Top());
  PickleValue& dict = stack_[target];
  if (dict.kind != Kind::kDict) return Malformed("sets items of what is no dict");
  if (items->size() % 2 != 0) return Malformed("sets a key without a value");
  dict.items.insert(dict.items.end(), items->begin(), items->end());
  return absl::OkStatus();
}

// ("storage", its class, key, location, number of elements). The location is where it was.
absl::Status StateDictReader::PersistentId() {
  SSMD_ASSIGN_OR_RETURN(const PickleRef id, stack_.Pop());
  const Refs& parts = stack_[id].items;
  if (stack_[id].kind != Kind::kTuple ||
      !stack_.AreKinds(parts,
                       {Kind::kString, Kind::kGlobal, Kind::kString, Kind::kString, Kind::kInt}) ||
      stack_[parts[0]].text != "storage") {
    return Malformed("a persistent id that is not a storage's");
  }
  const GlobalRow& type = kGlobals[stack_[parts[1]].number];
  const int64_t elements = stack_[parts[4]].number;
  if (type.meaning != Meaning::kStorage) return Malformed("a storage of a class that is not one's");
  if (elements < 0) return Malformed(absl::StrCat("a storage of ", elements, " elements"));
  storages_.push_back({type.type, stack_[parts[2]].text, elements});
  return stack_.PushNew({Kind::kStorage, static_cast<int64_t>(storages_.size() - 1)});
}

absl::Status StateDictReader::Reduce() {
  SSMD_ASSIGN_OR_RETURN(const Refs call, stack_.PopCount(2));
  if (!stack_.AreKinds(call, {Kind::kGlobal, Kind::kTuple})) {
    return Malformed("a call that is not of a global with a tuple");
  }
  const GlobalRow& global = kGlobals[stack_[call[0]].number];
  // Not copied: a call is three bytes, however many arguments are recalled for it.
  const Refs& arguments = stack_[call[1]].items;
  switch (global.meaning) {
    case Meaning::kOrderedDict:
      if (!arguments.empty()) return Malformed("an OrderedDict made from arguments");
      return stack_.PushNew({Kind::kDict});
    case Meaning::kRebuildTensor:
      return RebuildTensor(arguments);
    case Meaning::kRebuildParameter:
      return RebuildParameter(arguments);
    case Meaning::kStorage:
      break;
  }
  return Malformed(absl::StrCat("a call of ", View(global.module), ".", View(global.name)));
}

// _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, backward_hooks)
absl::Status StateDictReader::RebuildTensor(const Refs& arguments) {
  if (!stack_.AreKinds(arguments, {Kind::kStorage, Kind::kInt, Kind::kTuple, Kind::kTuple,
                                   Kind::kBool, Kind::kDict})) {
    return Malformed(
        "a tensor that is not made from a storage, an offset, a shape and strides alone");
  }
  const Storage& storage = storages_[static_cast<size_t>(stack_[arguments[0]].number)];
  PickledTensor tensor;
  tensor.type = storage.type;
  tensor.storage = storage.key;
  tensor.storage_elements = storage.elements;
  tensor.offset = stack_[arguments[1]].number;
  if (tensor.offset < 0) return Malformed(absl::StrCat("a tensor at offset ", tensor.offset));
  SSMD_ASSIGN_OR_RETURN(tensor.shape, Integers(arguments[2], "a tensor's shape"));
  SSMD_ASSIGN_OR_RETURN(tensor.strides, Integers(arguments[3], "a tensor's strides"));
  if (tensor.shape.size() != tensor.strides.size()) {
    return Malformed("a tensor whose shape and strides differ in length");
  }
  for (const int64_t dimension : tensor.shape) {
    if (dimension >= 0) continue;
    return Malformed(absl::StrCat("a tensor of shape ", DescribeShape(tensor.shape)));
  }
  tensors_.push_back(std::move(tensor));
  return stack_.PushNew({Kind::kTensor, static_cast<int64_t>(tensors_.size() - 1)});
}

// _rebuild_parameter(tensor, requires_grad, backward_hooks): for us, the tensor.
absl::Status StateDictReader::RebuildParameter(const Refs& arguments) {
  if (!stack_.AreKinds(arguments, {Kind::kTensor, Kind::kBool, Kind::kDict})) {
    return Malformed("a parameter that is not made from a tensor alone");
  }
  return stack_.Push(arguments[0]);
}

absl::StatusOr<std::vector<int64_t>> StateDictReader::Integers(PickleRef tuple,
                                                               std::string_view what) const {
  const Refs& items = stack_[tuple].items;
  if (items.size() > kMaxTensorDimensions) {
    return Malformed(
        absl::StrCat(View(what), " has more than ", kMaxTensorDimensions, " dimensions"));
  }
  std::vector<int64_t> numbers;
  for (const PickleRef item : items) {
    if (stack_[item].kind != Kind::kInt) {
      return Malformed(absl::StrCat(View(what), " holds what is no integer"));
    }
    numbers.push_back(stack_[item].number);
  }
  return numbers;
}

// The attribute that nn.Module.state_dict sets on its dict: versions of modules, nothing to us.
absl::Status StateDictReader::Build() {
  SSMD_ASSIGN_OR_RETURN(const PickleRef state, stack_.Pop());
  SSMD_ASSIGN_OR_RETURN(const PickleRef target, stack_.Top());
  const PickleValue& attributes = stack_[state];
  if (stack_[target].kind != Kind::kDict || attributes.kind != Kind::kDict ||
      !stack_.AreKinds(attributes.items, {Kind::kString, Kind::kDict}) ||
      stack_[attributes.items[0]].text != "_metadata") {
    return Malformed("sets attributes other than the _metadata of a dict");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PickledTensor>> StateDictReader::Finish() {
  SSMD_ASSIGN_OR_RETURN(const PickleRef root, stack_.Pop());
  if (!stack_.empty()) return Malformed("ends with values left on the stack");
  if (stack_[root].kind != Kind::kDict) {
    return Malformed(absl::StrCat("the file holds ", View(Describe(stack_[root].kind)),
                                  ", not a dict of tensors"));
  }
  std::vector<PickledTensor> result;
  std::set<std::string_view> names;
  const Refs& items = stack_[root].items;
  for (size_t i = 0; i < items.size(); i += 2) {
    const PickleValue& key = stack_[items[i]];
    const PickleValue& value = stack_[items[i + 1]];
    if (key.kind != Kind::kString) return Malformed("the dict has a key that is no string");
    if (value.kind != Kind::kTensor) {
      return Malformed(absl::StrCat("the dict has ", View(Describe(value.kind)), " under ",
                                    Quoted(key.text), ", not a tensor"));
    }
    if (!names.insert(key.text).second) {
      return Malformed(absl::StrCat("the dict has ", Quoted(key.text), " twice"));
    }
    result.push_back(tensors_[static_cast<size_t>(value.number)]);
    result.back().name = key.text;
  }
  return result;
}

}  // namespace

absl::StatusOr<std::vector<PickledTensor>> ReadStateDict(std::string_view pickle,
                                                         std::string_view source) {
  return StateDictReader(pickle, source).Read();
}

}  // namespace ssmd
