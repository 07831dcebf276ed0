// `--config FILE`: options as `name = value` lines, names without dashes. Says what is wrong by its
// line and never by what the line holds, which may be a password.
#ifndef SSMD_SERVER_CONFIG_FILE_H_
#define SSMD_SERVER_CONFIG_FILE_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace ssmd::server {

class ConfigFile : public CLI::ConfigBase {
 public:
  explicit ConfigFile(CLI::App* app) : app_(app) {}

  // Gives the app's options their values, but for those that the command line has given, and leaves
  // CLI11 nothing to do. Throws CLI::ConfigError, whose text begins with "line N: ".
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

 private:
  CLI::App* app_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_CONFIG_FILE_H_
