/*
 * turnpike-gen: options, signals, a run.
 *
 * The ports' kernel devices are given back at every end but SIGKILL. Signals that ask for an end
 * are an early but ordinary one. Those that tell of a broken process cannot trust its memory: they
 * replace it by a new one of this program with --give-back.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exit.h"
#include "log.h"
#include "pkt-gen/link.h"
#include "pkt-gen/run.h"

enum { ALTERNATE_STACK = 65536, SIGNAL_TEXT = 40 };

static const char died[] = "TURNPIKE_GEN_DIED";

/* Made ready before anything can break. */
static char **broken_argv, **broken_env;
static char signal_text[SIGNAL_TEXT];

static void on_end(int sig)
{
	(void)sig;
	run_interrupt();
}

static void on_broken(int sig)
{
	char *digits = signal_text + sizeof(died); /* behind NAME= */

	digits[0] = (char)('0' + sig / 10);
	digits[1] = (char)('0' + sig % 10);
	digits[2] = '\0';
	execve("/proc/self/exe", broken_argv, broken_env);
	signal(sig, SIG_DFL);
	raise(sig);
}

static bool prepare_for_worse(int argc, char **argv)
{
	extern char **environ;
	static char give_back[] = "--give-back";
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	broken_argv = calloc((size_t)argc + 2, sizeof(*broken_argv));
	broken_env = calloc(n + 2, sizeof(*broken_env));
	if (broken_argv == NULL || broken_env == NULL)
		return false;
	memcpy(broken_argv, argv, (size_t)argc * sizeof(*argv));
	broken_argv[argc] = give_back;
	memcpy(broken_env, environ, n * sizeof(*environ));
	snprintf(signal_text, sizeof(signal_text), "%s=", died);
	broken_env[n] = signal_text;
	return true;
}

static void set_signals(void)
{
	static const int broken[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };
	static const int kept[] = { SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN,  SIGTTOU,
		                    SIGCONT, SIGCHLD, SIGURG,  SIGWINCH, SIGPIPE };
	struct sigaction end = { .sa_handler = on_end, .sa_flags = SA_RESTART };
	struct sigaction worse = { .sa_handler = on_broken, .sa_flags = SA_ONSTACK | SA_NODEFER };
	static char octets[ALTERNATE_STACK];
	stack_t stack = { .ss_sp = octets, .ss_size = sizeof(octets) };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	sigaltstack(&stack, NULL);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		bool leave = sig > SIGSYS && sig < SIGRTMIN; /* libc's own */

		for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			leave |= sig == kept[i];
		if (!leave)
			sigaction(sig, &end, NULL);
	}
	for (unsigned i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		sigaction(broken[i], &worse, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* The process that died replaced itself by this one. */
static int give_back(const struct options *o)
{
	const char *sig = getenv(died);
	const int rc = link_restore(o);

	if (sig == NULL)
		return rc;
	fprintf(stderr, "turnpike-gen: broke by signal %s (%s); its ports were given back\n", sig,
	        strsignal(atoi(sig)));
	return EXIT_CODE_FAILURE;
}

int main(int argc, char **argv)
{
	static struct options o;
	int rc = options_parse(&o, argc, argv);

	if (rc != 0)
		return rc < 0 ? EXIT_CODE_OK : rc;
	log_open("turnpike-gen", LOG_LEVEL_WARNING, LOG_TEXT);
	if (o.give_back)
		return give_back(&o);
	if (!prepare_for_worse(argc, argv)) {
		fputs("turnpike-gen: out of memory\n", stderr);
		return EXIT_CODE_RESOURCE;
	}
	set_signals();
	return run(&o, argc, argv);
}
