// kernels_bench: what the CUDA kernels do on a GPU, beside what the GPU can do. --help explains.
#include <cstdio>
#include <string>

#include "tests/gpu/bench/bench.h"
#include "tests/gpu/bench/options.h"

int main(int argc, char** argv) {
  using namespace ssmd::gpu_bench;
  Options options;
  std::string error;
  if (!ParseOptions(argc, argv, &options, &error)) {
    std::fprintf(stderr, "kernels_bench: %s\n", error.c_str());
    return 2;
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (Bench(options).Run(&error)) return 0;
  std::fprintf(stderr, "kernels_bench: %s\n", error.c_str());
  return 1;
}
