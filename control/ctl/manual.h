/*
 * What turnpikectl says about itself, all from the table of commands: help, manual, completion.
 */
#pragma once

#include <stdio.h>

#include "control/ctl/grammar.h"

/* Options of turnpikectl itself and every command, one line each. */
void manual_help(FILE *out);
/* One command with its parameters. */
void manual_command(FILE *out, const struct ctl_command *c);
/* turnpikectl(8), troff. */
void manual_page(FILE *out);
/* Commands and counters as Markdown tables, for docs/. */
void manual_markdown(FILE *out);
/* For `source <(turnpikectl completion bash)`. */
void manual_completion(FILE *out);
