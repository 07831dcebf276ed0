#include "tests/support/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

// This process's environment with `added` in place.
std::vector<std::string> Environment(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(added.begin(), added.end(),
                                      [&](const auto& variable) { return variable.first == name; });
    if (!replaced) result.emplace_back(text);
  }
  for (const auto& [name, value] : added) result.push_back(absl::StrCat(name, "=", value));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& text : *strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: only what is safe in a child of a process with threads.
[[noreturn]] void BecomeProgram(char* const* arguments, char* const* environment, int in, int out,
                                int err) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // the program does not outlive the test
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvpe(arguments[0], arguments, environment);
  ::_exit(127);
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = std::filesystem::temp_directory_path().string() + "/ssmd_test_XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::Write(const std::string& name, const std::string& contents) const {
  std::ofstream(File(name), std::ios::binary) << contents;
  return File(name);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::unique_ptr<Process> Process::Start(const std::vector<std::string>& arguments,
                                        const Options& options) {
  std::unique_ptr<Process> process(new Process());
  const TempDir& dir = process->dir_;
  const int in = ::open(dir.Write("in", options.input).c_str(), O_RDONLY | O_CLOEXEC);
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  const int out = ::open(dir.File("out").c_str(), flags, 0600);
  const int err = ::open(dir.File("err").c_str(), flags, 0600);
  std::vector<std::string> argument_strings = arguments;
  std::vector<std::string> environment_strings = Environment(options.environment);
  const std::vector<char*> argument_pointers = Pointers(&argument_strings);
  const std::vector<char*> environment_pointers = Pointers(&environment_strings);
  process->pid_ = ::fork();
  if (process->pid_ == 0) {
    BecomeProgram(argument_pointers.data(), environment_pointers.data(), in, out, err);
  }
  for (const int fd : {in, out, err}) ::close(fd);
  return process;
}

Process::~Process() {
  if (Poll().has_value()) return;
  Signal(SIGKILL);
  Wait(std::chrono::seconds(10));
}

void Process::Signal(int signal) const {
  if (!status_.has_value() && pid_ > 0) ::kill(pid_, signal);
}

std::optional<int> Process::Poll() {
  if (status_.has_value() || pid_ <= 0) return status_;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_;
}

std::optional<int> Process::Wait(std::chrono::milliseconds timeout) {
  Eventually([this] { return Poll().has_value(); }, timeout);
  return status_;
}

Finished RunProgram(const std::vector<std::string>& arguments, const Process::Options& options,
                    std::chrono::milliseconds timeout) {
  const auto process = Process::Start(arguments, options);
  const int status = process->Wait(timeout).value_or(-1);
  return {status, process->output(), process->errors()};
}

}  // namespace ssmd::test
