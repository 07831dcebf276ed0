#include "clients/ssmctl/input.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace ssmd::ctl {
namespace {

// Standard input is `path` while it lives.
class StandardInput {
 public:
  explicit StandardInput(const std::string& path) : before_(::dup(STDIN_FILENO)) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(fd, 0);
    ::dup2(fd, STDIN_FILENO);
    ::close(fd);
  }
  ~StandardInput() {
    if (before_ < 0) {
      ::close(STDIN_FILENO);  // there was none
      return;
    }
    ::dup2(before_, STDIN_FILENO);
    ::close(before_);
  }

 private:
  const int before_;
};

class InputTest : public ::testing::Test {
 protected:
  const std::string folder_ = ::testing::TempDir();
  const std::string file_ = folder_ + "ssmd_input";
};

TEST_F(InputTest, AFileIsReadWholeAndAFolderIsAProblem) {
  const std::string all(200000, 'x');
  std::ofstream(file_) << all;
  std::string text;
  EXPECT_EQ(ReadFile(file_, &text), std::nullopt);
  EXPECT_EQ(text, all);
  EXPECT_EQ(ReadFile(folder_, &text), "cannot read " + folder_ + ": Is a directory");
  EXPECT_EQ(ReadFile("/no/such", &text), "cannot read /no/such: No such file or directory");
}

TEST_F(InputTest, LinesEndWithTheirFileAndFailWithAFolder) {
  std::ofstream(file_) << "one\ntwo";
  std::string line;
  {
    const StandardInput input(file_);
    LineReader reader;
    EXPECT_EQ(reader.Read(-1, &line), LineReader::Outcome::kLine);
    EXPECT_EQ(line, "one");
    EXPECT_EQ(reader.Read(-1, &line), LineReader::Outcome::kLine);
    EXPECT_EQ(line, "two");
    EXPECT_EQ(reader.Read(-1, &line), LineReader::Outcome::kEnd);
  }
  const StandardInput input(folder_);
  LineReader reader;
  EXPECT_EQ(reader.Read(-1, &line), LineReader::Outcome::kUnreadable);
  EXPECT_EQ(line, "cannot read standard input: Is a directory");
}

}  // namespace
}  // namespace ssmd::ctl
