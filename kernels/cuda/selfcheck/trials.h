// Which comparison is being made: noted in a file before it begins, so that one that brings the
// process or the GPU down is not made for ever again. In `folder`, beside what agreed:
//
//   ssmd kernel trials 1
//   <what it holds for: a line>
//   off <group of kernels>: <comparison>          for each that did not come to its end
//   begun <how often, without an end> <group of kernels>: <comparison>
//   end <digest of all before>
//
// A comparison that was cut short may have been a start that somebody broke off. So it is made
// once more; after the second time, or the first if the GPU failed in it, its group is left off.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_TRIALS_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_TRIALS_H_

#include <string>
#include <vector>

namespace ssmd::kernels::cuda {

struct Trial {
  std::string group;  // of kernels: no colon in it
  std::string check;

  bool operator==(const Trial& other) const = default;
};

class Trials {
 public:
  // As AgreedChecks has it: where `folder` or `holds_for` is empty nothing is noted.
  Trials(const std::string& folder, const std::string& gpu, const std::string& holds_for);

  // Those that did not come to their end: a start does without their groups.
  const std::vector<Trial>& off() const { return off_; }
  const std::string& path() const { return path_; }

  void Begin(const Trial& trial);
  // It came to its end, whatever it showed; unless the GPU failed in it.
  void End(bool gpu_failed);

 private:
  void Read();
  void Write() const;

  const std::string header_;
  std::string path_;  // empty: nowhere
  std::vector<Trial> off_;
  // Of the process at hand and of those before it, whose comparisons have not been made again yet.
  struct Begun {
    Trial trial;
    int times;
  };
  std::vector<Begun> begun_;
  Trial trying_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_TRIALS_H_
