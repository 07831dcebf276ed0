// What a kernel takes at a time that wants many numbers at hand (registers_avx2.h): sixteen lanes,
// where one register has them all or there are registers enough.
//
// Include after a vec_*.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_REGISTERS_WHOLE_H_
#define SSMD_KERNELS_CPU_REGISTERS_WHOLE_H_

namespace ssmd::kernels::cpu {
namespace {

constexpr int kRegisterLanes = kLanes;
constexpr int kRegisters = 1;
using Register = F16;

inline Register LoadRegister(const float* p) { return Load(p); }
inline Register BroadcastRegister(float x) { return Broadcast(x); }
inline Register Keep(Register a) { return a; }
inline Register RegisterOf(F16 v, int /*i*/) { return v; }
inline F16 Join(const Register (&v)[kRegisters]) { return v[0]; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_REGISTERS_WHOLE_H_
