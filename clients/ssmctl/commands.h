// The commands of ssmctl. Each function adds one subcommand; running it sets context.exit_code.
// Both arguments outlive the parse.
#ifndef SSMD_CLIENTS_SSMCTL_COMMANDS_H_
#define SSMD_CLIENTS_SSMCTL_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "clients/ssmctl/context.h"

namespace ssmd::ctl {

void AddGenerateCommand(CLI::App& app, Context& context);
void AddChatCommand(CLI::App& app, Context& context);
void AddEncodeCommand(CLI::App& app, Context& context);
void AddScoreCommand(CLI::App& app, Context& context);
void AddTokenizeCommand(CLI::App& app, Context& context);
void AddDetokenizeCommand(CLI::App& app, Context& context);
void AddSessionsCommand(CLI::App& app, Context& context);
void AddMemoryCommand(CLI::App& app, Context& context);
void AddModelsCommand(CLI::App& app, Context& context);
void AddHealthCommand(CLI::App& app, Context& context);
void AddStatsCommand(CLI::App& app, Context& context);
void AddTopCommand(CLI::App& app, Context& context);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_COMMANDS_H_
