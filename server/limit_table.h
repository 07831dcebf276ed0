// The daemon's limits as one table: the flag, where its value goes, its range, and a line that says
// what it is. See options.h.
#ifndef SSMD_SERVER_LIMIT_TABLE_H_
#define SSMD_SERVER_LIMIT_TABLE_H_

#include <CLI/CLI.hpp>

namespace ssmd::server {

struct Options;

// Declares a flag for every limit. `options` holds the defaults, and gets the values when the
// command line is parsed. A count of bytes may end in K, M, G or T (powers of 1024).
void AddLimitFlags(CLI::App* app, Options* options);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_LIMIT_TABLE_H_
