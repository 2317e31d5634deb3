/* The run directory: made, locked, removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/rundir.h"
#include "exit.h"

static int fail(int code, const char *what, const char *path)
{
	fprintf(stderr, "turnpike: %s '%s': %s\n", what, path, strerror(errno));
	return code;
}

/* The directory with its parents; only the last is private. */
static bool make(const char *path)
{
	char part[256];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	if (mkdir(path, 0750) == 0)
		return chmod(path, 0750) == 0; /* whatever the umask is */
	struct stat st;
	return errno == EEXIST && stat(path, &st) == 0 &&
	       (S_ISDIR(st.st_mode) || (errno = ENOTDIR, false));
}

/* Members of socket-group must be able to reach the socket inside. */
static int give(const struct config *cfg)
{
	if (cfg->socket_group == NULL)
		return EXIT_CODE_OK;
	const struct group *g = getgrnam(cfg->socket_group);
	if (g == NULL) {
		fprintf(stderr, "turnpike: %s: socket-group: there is no group '%s'\n", cfg->path,
		        cfg->socket_group);
		return EXIT_CODE_CONFIG;
	}
	if (chown(cfg->run_dir, (uid_t)-1, g->gr_gid) != 0)
		return fail(EXIT_CODE_RESOURCE, "cannot give to the group the directory",
		            cfg->run_dir);
	return EXIT_CODE_OK;
}

static int tell_busy(int fd, const char *path)
{
	char pid[16] = "";
	const ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	fprintf(stderr,
	        "turnpike: a relay already runs in '%s' (process %s); stop it, or give this one "
	        "another name or run-dir\n",
	        path, pid[0] != '\0' ? pid : "unknown");
	return EXIT_CODE_RESOURCE;
}

static int lock(struct rundir *d)
{
	char path[256];
	struct stat held, there;

	snprintf(path, sizeof(path), "%s/lock", d->path);
	for (;;) {
		if (!make(d->path))
			return fail(EXIT_CODE_RESOURCE, "cannot make the run directory", d->path);
		/* Inherited: who outlives a killed supervisor still holds the directory. */
		const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0640);
		if (fd < 0 && errno == ENOENT)
			continue; /* removed between the two lines by one that stops */
		if (fd < 0)
			return fail(EXIT_CODE_RESOURCE, "cannot open the lock", path);
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			const int code = errno == EWOULDBLOCK
			                         ? tell_busy(fd, d->path)
			                         : fail(EXIT_CODE_RESOURCE, "cannot lock", path);
			close(fd);
			return code;
		}
		/* The one before us may have removed the file that we now hold. */
		if (fstat(fd, &held) == 0 && stat(path, &there) == 0 &&
		    held.st_ino == there.st_ino && held.st_dev == there.st_dev) {
			d->lock = fd;
			return EXIT_CODE_OK;
		}
		close(fd);
	}
}

int rundir_open(struct rundir *d, const struct config *cfg)
{
	d->path = cfg->run_dir;
	d->lock = -1;
	const int code = lock(d);
	if (code != EXIT_CODE_OK)
		return code;
	if (ftruncate(d->lock, 0) != 0 || dprintf(d->lock, "%d\n", (int)getpid()) < 0) {
		const int full = fail(EXIT_CODE_RESOURCE, "cannot write the lock in", d->path);

		rundir_close(d, false);
		return full;
	}
	const int given = give(cfg);
	if (given != EXIT_CODE_OK)
		rundir_close(d, false);
	return given;
}

/*
 * Sockets, locks and the store, which a process that was killed has left. Not `kernel-PORT`: it
 * says what the data plane took from a device and has not given back.
 */
static bool is_ours(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	return S_ISSOCK(st.st_mode) ||
	       (S_ISREG(st.st_mode) &&
	        (strncmp(name, "store", 5) == 0 || strcmp(name, "dataplane.lock") == 0));
}

void rundir_close(struct rundir *d, bool keep)
{
	char path[256];
	DIR *dir = keep ? NULL : opendir(d->path);

	if (dir != NULL) {
		for (struct dirent *e; (e = readdir(dir)) != NULL;)
			if (is_ours(dirfd(dir), e->d_name))
				unlinkat(dirfd(dir), e->d_name, 0);
		closedir(dir);
	}
	snprintf(path, sizeof(path), "%s/lock", d->path);
	unlink(path);
	if (!keep)
		rmdir(d->path); /* fails where something else lies in it, rightly */
	if (d->lock >= 0)
		close(d->lock);
	d->lock = -1;
}
