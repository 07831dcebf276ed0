// Which comparisons of fast kernels with their plain twins came out well before on the very same
// GPU, driver and build, so that a start need not make them again: a small text file.
//
//   ssmd kernel checks 1
//   <what it holds for: a line>
//   <a comparison: a line each>
//   end <digest of all before>
//
// Only what agreed is remembered: what did not is compared at every start. A file that is not just
// like that, or holds for something else, is as none. It is a hint and never trusted with more: it
// is replaced as a whole, and what cannot be written is not remembered.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_AGREED_CHECKS_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_AGREED_CHECKS_H_

#include <set>
#include <string>

namespace ssmd::kernels::cuda {

class AgreedChecks {
 public:
  // A file in `folder`, one for each `gpu`. Nothing is read or kept where `folder` or `holds_for`
  // is empty.
  AgreedChecks(const std::string& folder, const std::string& gpu, const std::string& holds_for);

  bool Has(const std::string& check) const { return checks_.count(check) > 0; }
  void Add(const std::string& check) { changed_ = checks_.insert(check).second || changed_; }
  // If there is anything new.
  void Save();

  const std::string& path() const { return path_; }

 private:
  const std::string header_;
  std::string path_;  // empty: nowhere
  std::set<std::string> checks_;
  bool changed_ = false;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_AGREED_CHECKS_H_
