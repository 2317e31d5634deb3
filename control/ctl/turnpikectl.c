/*
 * turnpikectl: a thin client of the control socket. Words of the command line become one request by
 * the table of commands; its result becomes text, or is printed as it came.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "control/ctl/client.h"
#include "control/ctl/manual.h"
#include "control/ctl/text.h"
#include "exit.h"

enum { STOP_WAIT_S = 15, PAGE_ROWS = 1000 };

struct invocation {
	const char *config, *socket;
	bool json;
	const struct ctl_command *command;
	struct ctl_args args;
};

static int usage_error(const char *text, const char *word)
{
	fprintf(stderr, "turnpikectl: %s%s%s; try 'turnpikectl --help'\n", text, word ? ": " : "",
	        word ? word : "");
	return EXIT_CODE_USAGE;
}

/* The longest command that the words begin with; *used is how many words it took. */
static const struct ctl_command *match(char *const words[], int n, int *used)
{
	const struct ctl_command *best = NULL;
	char name[128] = "";

	for (int i = 0; i < n && i < 3; i++) {
		if (strlen(name) + strlen(words[i]) + 2 > sizeof(name))
			break;
		strcat(strcat(name, i ? " " : ""), words[i]);
		const struct ctl_command *const c = ctl_find(name);

		if (c) {
			best = c;
			*used = i + 1;
		}
	}
	return best;
}

static int unknown_command(char *const words[], int n)
{
	char name[128];

	snprintf(name, sizeof(name), "%.60s%s%.60s", words[0], n > 1 ? " " : "",
	         n > 1 ? words[1] : "");
	const char *near = ctl_nearest(name);

	if (!near)
		near = ctl_nearest(words[0]);
	fprintf(stderr, "turnpikectl: no command '%s'%s%s%s; try 'turnpikectl --help'\n", name,
	        near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	return EXIT_CODE_USAGE;
}

static const struct ctl_value *arg(const struct invocation *in, const char *name)
{
	static const struct ctl_value none;
	const int i = ctl_param_find(in->command, name, strlen(name));

	return i < 0 ? &none : &in->args.value[i];
}

/* "--name VALUE", "--name=VALUE" or "--flag"; returns the words used, 0 on error (told). */
static int take_option(struct invocation *in, char *const words[], int n)
{
	const char *const name = words[0] + 2, *value = strchr(name, '=');
	const size_t len = value ? (size_t)(value - name) : strlen(name);
	const int i = ctl_param_find(in->command, name, len);
	struct ctl_complaint why;

	if (i < 0 || in->command->params[i].use != CTL_OPTION) {
		usage_error("no such option here", words[0]);
		return 0;
	}
	const struct ctl_param *const p = &in->command->params[i];

	if (p->type == CTL_FLAG && !value) {
		in->args.value[i].given = true;
		return 1;
	}
	value = value ? value + 1 : n > 1 ? words[1] : NULL;
	if (!value) {
		usage_error("this option needs a value", words[0]);
		return 0;
	}
	if (!ctl_take_text(p, value, strlen(value), &in->args.value[i], &why)) {
		usage_error(why.text, NULL);
		return 0;
	}
	return name[len] == '=' ? 1 : 2;
}

/* The next parameter that stands in its place and has no value yet. */
static bool take_word(struct invocation *in, const char *word)
{
	struct ctl_complaint why;

	for (int i = 0; in->command->params[i].type != CTL_END; i++) {
		const struct ctl_param *const p = &in->command->params[i];

		if (p->use == CTL_OPTION || in->args.value[i].given)
			continue;
		if (ctl_take_text(p, word, strlen(word), &in->args.value[i], &why))
			return true;
		usage_error(why.text, NULL);
		return false;
	}
	usage_error("one word too many", word);
	return false;
}

static int take_params(struct invocation *in, char *const words[], int n)
{
	for (int i = 0; i < n;) {
		if (strncmp(words[i], "--", 2) == 0 && words[i][2]) {
			const int used = take_option(in, words + i, n - i);

			if (!used)
				return EXIT_CODE_USAGE;
			i += used;
		} else if (!take_word(in, words[i++])) {
			return EXIT_CODE_USAGE;
		}
	}
	for (int i = 0; in->command->params[i].type != CTL_END; i++)
		if (in->command->params[i].use == CTL_REQUIRED && !in->args.value[i].given) {
			char usage[256];

			fprintf(stderr, "turnpikectl: '%s' is missing; usage: turnpikectl %s\n",
			        in->command->params[i].name,
			        ctl_usage(in->command, usage, sizeof(usage)));
			return EXIT_CODE_USAGE;
		}
	return EXIT_CODE_OK;
}

/* A password of "-" is the first line of standard input. */
static bool read_password(struct invocation *in)
{
	struct ctl_complaint why;
	const int i = ctl_param_find(in->command, "password", strlen("password"));
	char *line = NULL;
	size_t cap = 0;

	if (i < 0 || strcmp(in->args.value[i].text, "-") != 0)
		return true;
	const ssize_t n = getline(&line, &cap, stdin);
	const bool good = n > 0 && ctl_take_text(&in->command->params[i], line,
	                                         strcspn(line, "\r\n"), &in->args.value[i], &why);

	if (!good)
		usage_error(n > 0 ? why.text : "no password on standard input", NULL);
	if (line)
		OPENSSL_cleanse(line, cap);
	free(line);
	return good;
}

/* All of a stream into `text`, CTL_LONG_MAX octets. false: it has more, or cannot be read. */
static bool read_all(FILE *from, char *text, size_t *len)
{
	if (!from)
		return false;
	*len = fread(text, 1, CTL_LONG_MAX, from);
	return !ferror(from) && (*len < CTL_LONG_MAX || getc(from) == EOF);
}

/* A long text of "-" is standard input, "@FILE" what is in that. */
static bool read_longer(struct invocation *in)
{
	static char text[CTL_LONG_MAX];
	struct ctl_complaint why;
	size_t len;

	for (int i = 0; in->command->params[i].type != CTL_END; i++) {
		struct ctl_value *const v = &in->args.value[i];
		const char *const word = v->longer;

		if (!word || (strcmp(word, "-") != 0 && word[0] != '@'))
			continue;
		FILE *const from = word[0] == '@' ? fopen(word + 1, "r") : stdin;
		const bool whole = read_all(from, text, &len);
		const bool good =
			whole && ctl_take_text(&in->command->params[i], text, len, v, &why);

		if (!whole)
			usage_error("cannot be read, or is too long", word);
		else if (!good)
			usage_error(why.text, NULL);
		if (from && from != stdin)
			fclose(from);
		OPENSSL_cleanse(text, sizeof(text));
		if (!good)
			return false;
	}
	return true;
}

static const char *text_of(const struct ctl_param *p, const struct ctl_value *v)
{
	return p->type == CTL_LONG ? v->longer : v->text;
}

/* JSON carries nothing else. */
static bool is_utf8(const struct invocation *in)
{
	for (int i = 0; in->command->params[i].type != CTL_END; i++) {
		const struct ctl_param *const p = &in->command->params[i];
		json_t *const text = in->args.value[i].given
		                             ? json_string(text_of(p, &in->args.value[i]))
		                             : json_null();

		if (!text) {
			usage_error("this is not UTF-8", p->name);
			return false;
		}
		json_decref(text);
	}
	return true;
}

static json_t *params_of(const struct invocation *in)
{
	json_t *const params = json_object();

	for (int i = 0; in->command->params[i].type != CTL_END; i++) {
		const struct ctl_param *const p = &in->command->params[i];
		const struct ctl_value *const v = &in->args.value[i];

		if (p->local || !v->given)
			continue;
		json_object_set_new(params, p->name,
		                    p->type == CTL_FLAG ? json_true()
		                    : p->type == CTL_NUMBER || p->type == CTL_SECONDS
		                            ? json_integer((json_int_t)v->number)
		                            : json_string(text_of(p, v)));
	}
	return params;
}

static int told(const struct client_error *err)
{
	fprintf(stderr, "turnpikectl: %s\n", err->text);
	return err->status;
}

static bool socket_path(const struct invocation *in, char *path, size_t cap,
                        struct client_error *err)
{
	const char *const env = getenv("TURNPIKE_CONFIG");
	const char *const file = in->config ? in->config
	                         : env      ? env
	                                    : "/etc/turnpike/turnpike.yaml";
	struct config_error why;

	if (in->socket) {
		snprintf(path, cap, "%s", in->socket);
		return true;
	}
	struct config *const cfg = config_load(file, CONFIG_NO_SECRETS, &why);

	if (!cfg) {
		err->status = EXIT_CODE_CONFIG;
		snprintf(err->text, sizeof(err->text), "%s (or name the socket: --socket PATH)",
		         why.text);
		return false;
	}
	const bool fits = config_run_path(cfg, "control.sock", path, cap);

	config_free(cfg);
	if (!fits) {
		err->status = EXIT_CODE_CONFIG;
		snprintf(err->text, sizeof(err->text), "run-dir in %s is too long", file);
	}
	return fits;
}

/* A list is its rows, for scripts: the envelope only matters to who pages by hand. */
static const json_t *rows_of(const struct invocation *in, const json_t *result)
{
	const char *const noun =
		strncmp(in->command->name, "show ", 5) == 0 ? in->command->name + 5 : "";
	const json_t *const rows = json_object_get(result, noun);

	if (!json_is_array(rows))
		return result;
	const json_t *const next = json_object_get(result, "next");

	if (json_is_integer(next))
		fprintf(stderr, "turnpikectl: there are more; go on with --after %lld\n",
		        (long long)json_integer_value(next));
	return rows;
}

static void print(const struct invocation *in, const json_t *result)
{
	if (arg(in, "ice-servers")->given) {
		text_ice_servers(stdout, result);
	} else if (in->json) {
		json_dumpf(rows_of(in, result), stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (arg(in, "uclient")->given) {
		text_uclient(stdout, result);
	} else if (ctl_id_of(in->command) == CTL_SHOW_COUNTERS) {
		text_counters(stdout, result, arg(in, "describe")->given);
	} else {
		text_print(stdout, ctl_id_of(in->command), result);
	}
}

/* Lists come in pages; this asks until the limit or the end. */
static json_t *call_pages(int fd, const struct invocation *in, struct client_error *err)
{
	const struct ctl_value *const limit = arg(in, "limit");
	json_int_t left = limit->given ? (json_int_t)limit->number : PAGE_ROWS;
	json_t *all = NULL, *after = NULL;

	do {
		json_t *const params = params_of(in);

		json_object_set_new(params, "limit",
		                    json_integer(left < PAGE_ROWS ? left : PAGE_ROWS));
		if (after)
			json_object_set(params, "after", after);
		json_t *const page = client_call(fd, in->command->name, params, err);

		if (!page) {
			json_decref(all);
			return NULL;
		}
		json_t *const rows = json_object_get(page, "allocations");

		left -= (json_int_t)json_array_size(rows);
		if (all) {
			json_array_extend(json_object_get(all, "allocations"), rows);
			json_object_set(all, "next", json_object_get(page, "next"));
			json_decref(page);
		} else {
			all = page;
		}
		after = json_object_get(all, "next");
	} while (left > 0 && json_is_integer(after));
	return all;
}

static int watch(int fd, const struct invocation *in)
{
	const struct ctl_value *const interval = arg(in, "interval"), *const count =
									      arg(in, "count");
	const uint64_t step_s = interval->given ? interval->number : 1;
	struct client_error err;
	json_t *before = NULL;
	struct timespec then = { 0 }, now;

	for (uint64_t lines = 0; !count->given || lines <= count->number; lines++) {
		json_t *const counters = client_call(fd, "show counters", NULL, &err);
		json_t *const status = counters ? client_call(fd, "status", NULL, &err) : NULL;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!status) {
			json_decref(counters);
			json_decref(before);
			return told(&err);
		}
		if (in->json && lines) {
			json_dumpf(status, stdout, JSON_COMPACT);
			putchar('\n');
			fflush(stdout);
		} else if (!in->json) {
			if (lines % 20 == 0)
				text_watch_head(stdout);
			if (before)
				text_watch(stdout, status, before, counters,
				           (double)(now.tv_sec - then.tv_sec) +
				                   (double)(now.tv_nsec - then.tv_nsec) / 1e9);
		}
		json_decref(before);
		json_decref(status);
		before = counters;
		then = now;
		if (count->given && lines == count->number)
			break;
		sleep((unsigned)step_s);
	}
	json_decref(before);
	return EXIT_CODE_OK;
}

static void print_event(void *arg, const json_t *event)
{
	const struct invocation *const in = arg;

	if (in->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		text_event(stdout, event);
	}
	fflush(stdout);
}

static int ask(struct invocation *in)
{
	struct client_error err;
	char path[256];

	if (!socket_path(in, path, sizeof(path), &err))
		return told(&err);
	const int fd = client_connect(path, &err);

	if (fd < 0)
		return told(&err);
	if (ctl_id_of(in->command) == CTL_WATCH) {
		const int status = watch(fd, in);

		close(fd);
		return status;
	}
	if (ctl_id_of(in->command) == CTL_SESSION_EVENTS) {
		client_follow(fd, in->command->name, params_of(in), print_event, in, &err);
		close(fd);
		return told(&err);
	}
	json_t *const result = ctl_id_of(in->command) == CTL_SHOW_ALLOCATIONS
	                               ? call_pages(fd, in, &err)
	                               : client_call(fd, in->command->name, params_of(in), &err);

	if (result) {
		print(in, result);
		fflush(stdout);
		json_decref(result);
	}
	if (result && ctl_id_of(in->command) == CTL_STOP && !client_wait_end(fd, STOP_WAIT_S))
		fprintf(stderr, "turnpikectl: still stopping after %d s; see the relay's log\n",
		        STOP_WAIT_S);
	close(fd);
	return result ? EXIT_CODE_OK : told(&err);
}

/* `help show allocations`, `help "show allocations"`, `help`. */
static int help(char *const words[], int n)
{
	int used = 0;

	if (n == 0) {
		manual_help(stdout);
		return EXIT_CODE_OK;
	}
	const struct ctl_command *const c = match(words, n, &used);

	if (!c || used != n)
		return unknown_command(words, n);
	manual_command(stdout, c);
	return EXIT_CODE_OK;
}

static int run(struct invocation *in, char *const words[], int n)
{
	int used = 0;

	if (n == 0)
		return usage_error("no command", NULL);
	in->command = match(words, n, &used);
	if (!in->command)
		return unknown_command(words, n);
	if (ctl_id_of(in->command) == CTL_HELP && !in->json)
		return help(words + used, n - used);
	const int status = take_params(in, words + used, n - used);

	if (status != EXIT_CODE_OK)
		return status;
	if (ctl_id_of(in->command) == CTL_COMPLETION) {
		manual_completion(stdout);
		return EXIT_CODE_OK;
	}
	if (!read_password(in) || !read_longer(in) || !is_utf8(in))
		return EXIT_CODE_USAGE;
	return ask(in);
}

int main(int argc, char *argv[])
{
	static const struct {
		const char *option;
		void (*print)(FILE *);
	} prints[] = {
		{ "-h", manual_help },
		{ "--help", manual_help },
		{ "--manual", manual_page },
		{ "--markdown", manual_markdown },
	};
	struct invocation in = { .json = false };
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		for (unsigned k = 0; k < sizeof(prints) / sizeof(prints[0]); k++)
			if (strcmp(argv[i], prints[k].option) == 0) {
				prints[k].print(stdout);
				return EXIT_CODE_OK;
			}
		if (strcmp(argv[i], "--version") == 0) {
			puts("turnpikectl " TURNPIKE_VERSION);
			return EXIT_CODE_OK;
		}
		if (strcmp(argv[i], "--json") == 0)
			in.json = true;
		else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
			in.config = argv[++i];
		else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc)
			in.socket = argv[++i];
		else
			return usage_error("no such option", argv[i]);
	}
	/* `turnpikectl status --json` is what fingers type. */
	if (i < argc && argc - i > 1 && strcmp(argv[argc - 1], "--json") == 0) {
		in.json = true;
		argc--;
	}
	const int status = run(&in, argv + i, argc - i);

	ctl_args_release(&in.args);
	return status;
}
