#include "engine/formats/torch_pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/formats/pickle_stack.h"
#include "tests/support/torch_zip_writer.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::PickledGlobal;
using testing::PickledInt;
using testing::PickledStateDict;
using testing::PickledStorage;
using testing::PickledString;
using testing::PickledTensorCall;
using testing::PickledTuple;
using testing::TorchTensor;
using testing::WholeStorage;

std::string ErrorOf(const std::string& pickle) {
  const auto tensors = ReadStateDict(pickle, "data.pkl");
  EXPECT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument) << tensors.status();
  return std::string(tensors.status().message());
}

const std::string kProto2 = "\x80\x2";

TEST(TorchPickle, FindsEveryTensorInTheOrderOfTheDict) {
  TorchTensor part = WholeStorage("7", {3, 1, 2});
  part.type = "BFloat16Storage";
  part.offset = 5;
  part.storage_elements = 12;
  const std::string pickle = PickledStateDict(
      {{"b", PickledTensorCall(part)}, {"a", PickledTensorCall(WholeStorage("0", {}))}});
  const auto tensors = ReadStateDict(pickle, "data.pkl");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  const PickledTensor& b = tensors->front();
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.type, TensorType::kBf16);
  EXPECT_EQ(b.storage, "7");
  EXPECT_EQ(b.storage_elements, 12);
  EXPECT_EQ(b.offset, 5);
  EXPECT_THAT(b.shape, ElementsAre(3, 1, 2));
  EXPECT_THAT(b.strides, ElementsAre(2, 2, 1));
  EXPECT_EQ(tensors->back().name, "a");
  EXPECT_THAT(tensors->back().shape, ElementsAre());
}

TEST(TorchPickle, KnowsEveryTypeOfStorage) {
  const std::vector<std::pair<std::string, TensorType>> types = {
      {"FloatStorage", TensorType::kF32},     {"HalfStorage", TensorType::kF16},
      {"BFloat16Storage", TensorType::kBf16}, {"DoubleStorage", TensorType::kF64},
      {"LongStorage", TensorType::kI64},      {"IntStorage", TensorType::kI32},
      {"ShortStorage", TensorType::kI16},     {"CharStorage", TensorType::kI8},
      {"ByteStorage", TensorType::kU8},       {"BoolStorage", TensorType::kBool}};
  for (const auto& [name, type] : types) {
    TorchTensor tensor = WholeStorage("0", {2});
    tensor.type = name;
    const auto tensors =
        ReadStateDict(PickledStateDict({{"t", PickledTensorCall(tensor)}}), "data.pkl");
    ASSERT_TRUE(tensors.ok()) << name << ": " << tensors.status();
    EXPECT_EQ(tensors->front().type, type) << name;
  }
}

// As in files of people who save a model's parameters, and of Hugging Face, whose dict is plain.
TEST(TorchPickle, TakesParametersAndPlainDicts) {
  const std::string tensor = PickledTensorCall(WholeStorage("0", {4}));
  const std::string parameter =
      absl::StrCat(PickledGlobal("torch._utils", "_rebuild_parameter"), "(", tensor, "\x88",
                   PickledGlobal("collections", "OrderedDict"), ")RtR");
  const std::string pickle = absl::StrCat(kProto2, "}", PickledString("w"), parameter, "s.");
  const auto tensors = ReadStateDict(pickle, "data.pkl");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->front().name, "w");
  EXPECT_THAT(tensors->front().shape, ElementsAre(4));
}

TEST(TorchPickle, RemembersWhatWasMemoized) {
  const std::string call = PickledTensorCall(WholeStorage("0", {4}));
  const std::string pickle = absl::StrCat(kProto2, "}q", std::string(1, '\0'), PickledString("a"),
                                          call, "q\x1", "s", PickledString("b"), "h\x1", "s.");
  const auto tensors = ReadStateDict(pickle, "data.pkl");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ(tensors->back().name, "b");
  EXPECT_EQ(tensors->back().storage, "0");
}

// The encodings of an integer, as the offset of a tensor.
TEST(TorchPickle, ReadsIntegersOfEveryEncoding) {
  const std::vector<std::pair<std::string, int64_t>> rows = {
      {std::string("K\xff"), 255},
      {std::string("M\x34\x12"), 0x1234},
      {std::string("J\xff\xff\xff\x7f"), std::numeric_limits<int32_t>::max()},
      {std::string("\x8a\0", 2), 0},
      {std::string("\x8a\x1\x7f"), 127},
      {std::string("\x8a\x5\0\0\0\0\x1", 7), int64_t{1} << 32},
      {PickledInt(std::numeric_limits<int64_t>::max()), std::numeric_limits<int64_t>::max()}};
  for (const auto& [encoded, value] : rows) {
    const std::string call =
        absl::StrCat(PickledGlobal("torch._utils", "_rebuild_tensor_v2"), "(",
                     PickledStorage(WholeStorage("0", {4})), encoded, "))\x89}tR");
    const auto tensors = ReadStateDict(PickledStateDict({{"t", call}}), "data.pkl");
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    EXPECT_EQ(tensors->front().offset, value);
  }
}

TEST(TorchPickle, RefusesEveryPickleThatIsCutShort) {
  const std::string whole = PickledStateDict({{"t", PickledTensorCall(WholeStorage("0", {2}))}});
  ASSERT_TRUE(ReadStateDict(whole, "data.pkl").ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ReadStateDict(whole.substr(0, size), "data.pkl").ok()) << size;
  }
  EXPECT_THAT(ErrorOf(whole + "."), HasSubstr("1 bytes after the end"));
}

struct BadPickle {
  const char* name;
  std::string pickle;
  std::string error;
};

class TorchPickleRefuses : public ::testing::TestWithParam<BadPickle> {};

TEST_P(TorchPickleRefuses, NamingTheByteAndTheReason) {
  const std::string error = ErrorOf(GetParam().pickle);
  EXPECT_THAT(error, ::testing::StartsWith("data.pkl: byte "));
  EXPECT_THAT(error, HasSubstr(GetParam().error));
}

std::string AfterProto(const std::string& rest) { return kProto2 + rest; }
// Each would run a command when Python loaded it, or reach one that can.
INSTANTIATE_TEST_SUITE_P(
    Attack, TorchPickleRefuses,
    ::testing::Values(
        BadPickle{"System", AfterProto("cos\nsystem\n" + PickledString("true") + "\x85R."),
                  "byte 2: refers to \"os.system\""},
        BadPickle{"PosixSystem", AfterProto("cposix\nsystem\n)R."), "\"posix.system\""},
        BadPickle{"Eval", AfterProto("c__builtin__\neval\n" + PickledString("1") + "\x85R."),
                  "\"__builtin__.eval\""},
        BadPickle{"DeepWithinAStateDict",
                  PickledStateDict({{"a", PickledTensorCall(WholeStorage("0", {1}))},
                                    {"b", "csubprocess\nPopen\n)R"}}),
                  "\"subprocess.Popen\""},
        BadPickle{"TorchsOwnLoader", AfterProto("ctorch\nload\n)R."), "\"torch.load\""},
        BadPickle{"AnotherGlobalOfKnownModules", AfterProto("ccollections\nnamedtuple\n)R."),
                  "\"collections.namedtuple\""},
        BadPickle{"DottedName", AfterProto("ctorch\nFloatStorage.__init__\n)R."),
                  "FloatStorage.__init__"},
        BadPickle{"SwappedNames", AfterProto("cOrderedDict\ncollections\n)R."), "refers to"},
        BadPickle{"StackGlobal",
                  AfterProto(PickledString("os") + PickledString("system") + "\x93)R."),
                  "byte 20: opcode STACK_GLOBAL"},
        BadPickle{"Inst", AfterProto("(ios\nsystem\n."), "byte 3: opcode INST"},
        BadPickle{"Obj", AfterProto("(ccollections\nOrderedDict\no."), "opcode OBJ"},
        BadPickle{"NewObj", AfterProto("ccollections\nOrderedDict\n)\x81."), "opcode NEWOBJ"},
        BadPickle{"NewObjEx", AfterProto("ccollections\nOrderedDict\n)}\x92."), "opcode NEWOBJ_EX"},
        BadPickle{"Ext1", AfterProto("\x82\x1."), "opcode EXT1"},
        BadPickle{"Ext2", AfterProto("\x83\x1\x1."), "opcode EXT2"},
        BadPickle{"Ext4", AfterProto("\x84\x1\x1\x1\x1."), "opcode EXT4"},
        BadPickle{"PersId", AfterProto("P0\n."), "opcode PERSID"},
        BadPickle{"Buffer", AfterProto("\x97."), "opcode NEXT_BUFFER"},
        BadPickle{"NoOpcode", AfterProto("\xff."), "opcode 0xff"},
        // BUILD could call __setstate__, or set any attribute.
        BadPickle{"BuildAnotherAttribute", AfterProto("}}" + PickledString("__class__") + "}sb."),
                  "attributes other than"},
        BadPickle{
            "BuildMoreAttributes",
            AfterProto("}}(" + PickledString("_metadata") + "}" + PickledString("x") + "}ub."),
            "attributes other than"},
        BadPickle{"BuildWithATuple", AfterProto("})b."), "attributes other than"},
        BadPickle{"BuildOfATuple", AfterProto(")}" + PickledString("_metadata") + "}sb."),
                  "attributes other than"},
        BadPickle{"BuildMetadataOfNoDict", AfterProto("}}" + PickledString("_metadata") + ")sb."),
                  "attributes other than"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Shape, TorchPickleRefuses,
    ::testing::Values(
        BadPickle{"Empty", "", "cut short"}, BadPickle{"NoProtocol", "}.", "protocol 2"},
        BadPickle{"Protocol3", "\x80\x3}.", "protocol 2"},
        BadPickle{"Protocol4", "\x80\x4\x95", "protocol 2"},
        BadPickle{"ProtocolAgain", AfterProto("\x80\x2}."), "only for the first byte"},
        BadPickle{"Nothing", AfterProto("."), "stack does not have"},
        BadPickle{"TwoValues", AfterProto("}}."), "left on the stack"},
        BadPickle{"OpenGroup", AfterProto("}(."), "stack does not have"},
        BadPickle{"ATuple", AfterProto(")."), "holds a tuple, not a dict"},
        BadPickle{"ATensor", AfterProto(PickledTensorCall(WholeStorage("0", {1})) + "."),
                  "holds a tensor, not a dict"},
        BadPickle{"AnIntegerInTheDict", PickledStateDict({{"epoch", "K\x5"}}),
                  "an integer under \"epoch\", not a tensor"},
        BadPickle{"ADictInTheDict", PickledStateDict({{"state_dict", "}"}}),
                  "a dict under \"state_dict\", not a tensor"},
        BadPickle{"TheDictInItself",
                  AfterProto("}q" + std::string(1, '\0') + PickledString("a") + "h" +
                             std::string(1, '\0') + "s."),
                  "a dict under \"a\""},
        BadPickle{"AKeyThatIsNoString", AfterProto("}K\x1}s."), "a key that is no string"},
        BadPickle{"ANameTwice",
                  PickledStateDict({{"a", PickledTensorCall(WholeStorage("0", {1}))},
                                    {"a", PickledTensorCall(WholeStorage("0", {1}))}}),
                  "has \"a\" twice"},
        BadPickle{"AKeyWithoutAValue", AfterProto("}(K\x1u."), "a key without a value"},
        BadPickle{"ItemsOfATuple", AfterProto(")K\x1K\x1s."), "items of what is no dict"},
        BadPickle{"ItemsWithoutAGroup", AfterProto("}u."), "no MARK opened"},
        BadPickle{"TupleWithoutAGroup", AfterProto("}t."), "no MARK opened"},
        BadPickle{"PopsBelowAGroup", AfterProto("}K\x1(K\x2\x86."), "stack does not have"},
        BadPickle{"PopsTheEmptyStack", AfterProto("R."), "stack does not have"},
        BadPickle{"StringPastTheEnd",
                  AfterProto("X\xff\xff\xff\xff"
                             "abc"),
                  "cut short"},
        BadPickle{"GlobalWithoutAnEnd", AfterProto("cos"), "no line, or a very long one"},
        BadPickle{"GlobalOfGreatLength", AfterProto("c" + std::string(10000, 'x') + "\nx\n"),
                  "very long one"},
        BadPickle{"LongIntegerOfNineBytes", AfterProto("\x8a\x9" + std::string(9, '\1') + "."),
                  "an integer of 9 bytes"}),
    [](const auto& test) { return test.param.name; });

std::string TensorCall(const std::string& arguments) {
  return PickledStateDict(
      {{"t", PickledGlobal("torch._utils", "_rebuild_tensor_v2") + arguments + "R"}});
}
std::string TensorAt(int64_t offset, const std::string& shape, const std::string& strides) {
  return TensorCall(absl::StrCat("(", PickledStorage(WholeStorage("0", {4})), PickledInt(offset),
                                 shape, strides, "\x89}t"));
}
std::string StorageOf(const std::string& parts) { return AfterProto("(" + parts + "tQ."); }

INSTANTIATE_TEST_SUITE_P(
    Calls, TorchPickleRefuses,
    ::testing::Values(
        BadPickle{"NotAGlobal", AfterProto("})R."), "not of a global with a tuple"},
        BadPickle{"NotATuple", AfterProto("ccollections\nOrderedDict\n}R."), "not of a global"},
        BadPickle{"OrderedDictOfArguments", AfterProto("ccollections\nOrderedDict\n}\x85R."),
                  "OrderedDict made from arguments"},
        BadPickle{"AStorageClass", AfterProto("ctorch\nFloatStorage\n)R."),
                  "a call of torch.FloatStorage"},
        BadPickle{"ATensorOfNothing", TensorCall(")"), "not made from a storage"},
        BadPickle{"ATensorWithMetadata",
                  TensorCall("(" + PickledStorage(WholeStorage("0", {4})) + "K\x1))\x89}}t"),
                  "not made from a storage"},
        BadPickle{"ATensorOfAClass", TensorCall("(ctorch\nFloatStorage\nK\x1))\x89}t"),
                  "not made from a storage"},
        BadPickle{"AParameterOfNothing",
                  AfterProto(PickledGlobal("torch._utils", "_rebuild_parameter") + ")R."),
                  "not made from a tensor"},
        BadPickle{"NegativeOffset", TensorAt(-1, PickledTuple({2}), PickledTuple({1})),
                  "offset -1"},
        BadPickle{"NegativeDimension", TensorAt(0, PickledTuple({2, -2}), PickledTuple({1, 1})),
                  "shape [2, -2]"},
        BadPickle{"NineDimensions",
                  TensorAt(0, PickledTuple(std::vector<int64_t>(9, 1)), PickledTuple({1})),
                  "more than 8 dimensions"},
        BadPickle{"ShapeAndStridesDiffer", TensorAt(0, PickledTuple({2, 2}), PickledTuple({1})),
                  "differ in length"},
        BadPickle{"ShapeOfStrings", TensorAt(0, "(" + PickledString("2") + "t", PickledTuple({1})),
                  "what is no integer"},
        BadPickle{"PersistentIdOfNoTuple", AfterProto("}Q."), "not a storage's"},
        BadPickle{"PersistentIdOfAnotherKind",
                  StorageOf(PickledString("module") + "ctorch\nFloatStorage\n" +
                            PickledString("0") + PickledString("cpu") + "K\x4"),
                  "not a storage's"},
        BadPickle{"PersistentIdWithoutASize",
                  StorageOf(PickledString("storage") + "ctorch\nFloatStorage\n" +
                            PickledString("0") + PickledString("cpu")),
                  "not a storage's"},
        BadPickle{"StorageOfAnotherClass",
                  StorageOf(PickledString("storage") + "ccollections\nOrderedDict\n" +
                            PickledString("0") + PickledString("cpu") + "K\x4"),
                  "a class that is not one's"},
        BadPickle{"NegativeStorage",
                  StorageOf(PickledString("storage") + "ctorch\nFloatStorage\n" +
                            PickledString("0") + PickledString("cpu") + PickledInt(-4)),
                  "a storage of -4 elements"}),
    [](const auto& test) { return test.param.name; });

std::string Repeat(const std::string& piece, size_t count) {
  std::string out;
  out.reserve(piece.size() * count);
  for (size_t i = 0; i < count; ++i) out += piece;
  return out;
}

// A memo whose numbers are not consecutive would let four bytes ask for gigabytes.
INSTANTIATE_TEST_SUITE_P(
    Limits, TorchPickleRefuses,
    ::testing::Values(
        BadPickle{"MemoBomb", AfterProto("}r\xff\xff\xff\x7f."),
                  "memo number 2147483647 where 0 is next"},
        BadPickle{"MemoSkips", AfterProto("}q\x1."), "memo number 1 where 0 is next"},
        BadPickle{"MemoSetAgain",
                  AfterProto("}q" + std::string(1, '\0') + "q" + std::string(1, '\0')),
                  "memo number 0 where 1 is next"},
        BadPickle{"MemoOfNothing", AfterProto("q" + std::string(1, '\0')), "stack does not have"},
        BadPickle{"MemoThatIsNotThere", AfterProto("h\x5."), "memo number 5 where there are 0"},
        BadPickle{"LongMemoThatIsNotThere", AfterProto("j\xff\xff\xff\xff."),
                  "memo number 4294967295"},
        BadPickle{"NestedGroups", AfterProto(Repeat("(", kMaxPickleGroups + 1)),
                  "nested deeper than 64"},
        BadPickle{"StackOfValues", AfterProto(Repeat("}", kMaxPickleStack + 1)),
                  "more than 65536 values on the stack"},
        // Tuples of tuples: each as deep as it likes, and never walked.
        BadPickle{"ManyValues", AfterProto(")" + Repeat("\x85", kMaxPickleValues) + "."),
                  "more than 262144 values"},
        BadPickle{"GreatLength", AfterProto(std::string(kMaxPickleBytes, '}')),
                  "more than the 16777216"}),
    [](const auto& test) { return test.param.name; });

// A tuple of all that the stack holds, recalled as a call's arguments over and over: what is not
// looked at must not be copied either.
TEST(TorchPickle, RefusesACallOfVeryManyArgumentsAtOnce) {
  const std::string arguments = "(" + Repeat("}", 60000) + "t";
  EXPECT_THAT(ErrorOf(TensorCall(arguments)), HasSubstr("not made from a storage"));
}

// Nesting costs nothing: a tuple within a tuple, up to the limit of values, then a proper dict.
TEST(TorchPickle, IsNotTroubledByDepth) {
  const std::string deep = ")" + Repeat("\x85", kMaxPickleValues - 1000);
  const std::string pickle = AfterProto("}" + PickledString("a") + deep + "s.");
  EXPECT_THAT(ErrorOf(pickle), HasSubstr("a tuple under \"a\""));
}

}  // namespace
}  // namespace ssmd
