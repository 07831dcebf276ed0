// The opcodes of Python's pickle (its pickletools module documents them): those that the reader of
// torch checkpoints knows, and the names of all, for its errors.
#ifndef SSMD_ENGINE_FORMATS_PICKLE_OPCODES_H_
#define SSMD_ENGINE_FORMATS_PICKLE_OPCODES_H_

#include <cstdint>
#include <string_view>

namespace ssmd {

enum class PickleOp : uint8_t {
  kMark = '(',
  kEmptyTuple = ')',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kBuild = 'b',
  kGlobal = 'c',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
};

// "STACK_GLOBAL"; empty where no opcode has that byte.
std::string_view PickleOpName(uint8_t opcode);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_PICKLE_OPCODES_H_
