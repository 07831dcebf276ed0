// Programs that a test starts: their output is collected in files, and they do not outlive the
// test.
//
// Not thread-safe: one thread starts a process and waits for it.
#ifndef SSMD_TESTS_SUPPORT_PROCESS_H_
#define SSMD_TESTS_SUPPORT_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ssmd::test {

// A folder of its own under the system's temporary one, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Writes `contents` to a file of that name; returns its path.
  std::string Write(const std::string& name, const std::string& contents) const;

 private:
  std::string path_;
};

// Empty where there is no such file.
std::string ReadFile(const std::string& path);

class Process {
 public:
  struct Options {
    std::string input;                                             // its standard input
    std::vector<std::pair<std::string, std::string>> environment;  // added to this process's
  };
  // A program that cannot be started ends with status 127.
  static std::unique_ptr<Process> Start(const std::vector<std::string>& arguments,
                                        const Options& options);
  static std::unique_ptr<Process> Start(const std::vector<std::string>& arguments) {
    return Start(arguments, Options());
  }
  // Kills it when it still runs.
  ~Process();

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // The exit status, 128 + signal when a signal ended it, or nothing when it still runs.
  std::optional<int> Poll();
  // The same; nothing when it still runs after `timeout`.
  std::optional<int> Wait(std::chrono::milliseconds timeout);
  // What it wrote so far.
  std::string output() const { return ReadFile(dir_.File("out")); }
  std::string errors() const { return ReadFile(dir_.File("err")); }

 private:
  Process() = default;

  TempDir dir_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

struct Finished {
  int status = -1;  // -1: it had to be killed
  std::string output;
  std::string errors;
};
// Runs a program to its end.
Finished RunProgram(const std::vector<std::string>& arguments, const Process::Options& options = {},
                    std::chrono::milliseconds timeout = std::chrono::seconds(60));

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_PROCESS_H_
