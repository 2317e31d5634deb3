/* turnpike: runs the processes of a relay from one file; checks such a file. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control/rundir.h"
#include "control/supervise.h"
#include "exit.h"
#include "log.h"

static const char default_path[] = "/etc/turnpike/turnpike.yaml";

static const char usage_text[] =
	"usage: turnpike run [-c FILE]      run a relay in the foreground\n"
	"       turnpike check [-c FILE]    say whether the file is good\n"
	"       turnpike --help | --version\n"
	"\n"
	"FILE is turnpike.yaml(5), /etc/turnpike/turnpike.yaml if not given. `run` prints\n"
	"`ready: LISTENERS` once clients are served. HUP reloads, USR1 drains, TERM and INT stop.\n"
	"Exit codes: 0 stopped or good, 1 failure, 2 usage, 75 busy or missing resource,\n"
	"78 bad configuration.\n";

static int usage(FILE *out, int code)
{
	fputs(usage_text, out);
	return code;
}

static int run(const char *path)
{
	struct config_error err;
	struct rundir dir;
	bool keep;

	struct config *cfg = config_load(path, CONFIG_NO_SECRETS, &err);
	if (cfg == NULL) {
		fprintf(stderr, "turnpike: %s\n", err.text);
		return EXIT_CODE_CONFIG;
	}
	log_open("turnpike", cfg->log_level, cfg->log_format);
	int code = rundir_open(&dir, cfg);
	if (code == EXIT_CODE_OK) {
		code = supervise_run(path, &keep);
		rundir_close(&dir, keep);
	}
	config_free(cfg);
	return code;
}

static int check(const char *path)
{
	struct config_error err;
	struct config *cfg = config_load(path, CONFIG_ALL, &err);

	if (cfg == NULL) {
		fprintf(stderr, "turnpike: %s\n", err.text);
		return EXIT_CODE_CONFIG;
	}
	printf("%s: ok\n", path);
	config_free(cfg);
	return EXIT_CODE_OK;
}

/* For the build and the documentation: not in the usage. */
static int manual(const char *form)
{
	if (form != NULL && strcmp(form, "markdown") != 0)
		return usage(stderr, EXIT_CODE_USAGE);
	config_manual(stdout, form != NULL);
	return fflush(stdout) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = default_path;

	for (int o; (o = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
		switch (o) {
		case 'c': path = optarg; break;
		case 'h': return usage(stdout, EXIT_CODE_OK);
		case 'V': puts("turnpike " TURNPIKE_VERSION); return EXIT_CODE_OK;
		default: return usage(stderr, EXIT_CODE_USAGE);
		}
	}
	const int words = argc - optind;
	const char *word = words > 0 ? argv[optind] : "";
	if (words == 1 && strcmp(word, "run") == 0)
		return run(path);
	if (words == 1 && strcmp(word, "check") == 0)
		return check(path);
	if ((words == 1 || words == 2) && strcmp(word, "manual") == 0)
		return manual(words == 2 ? argv[optind + 1] : NULL);
	return usage(stderr, EXIT_CODE_USAGE);
}
