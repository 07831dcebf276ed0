// A folder of a test's own, removed with all it holds when the test ends.
#ifndef SSMD_TESTS_SUPPORT_TEMP_FOLDER_H_
#define SSMD_TESTS_SUPPORT_TEMP_FOLDER_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace ssmd::testing {

class TempFolder {
 public:
  TempFolder() : TempFolder(::testing::TempDir()) {}
  explicit TempFolder(const std::string& parent) : path_(parent + "/ssmd_XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream out(File(name), std::ios::binary);
    out << bytes;
    return File(name);
  }
  std::string Read(const std::string& name) const {
    std::ifstream in(File(name), std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  }

 private:
  std::string path_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_TEMP_FOLDER_H_
