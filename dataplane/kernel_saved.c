/* The record of a take-over: what a clean stop gives back, also after a crash in between. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/kernel_parts.h"
#include "log.h"

enum { LINE_OCTETS = 2 * SAVED_OCTETS + 64, RECORD_VERSION = 1 };

/* --- sysctls --- */

int sysctl_read(const char *name, char *value, size_t cap)
{
	char path[SAVED_TEXT + 16];
	FILE *f;
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	f = fopen(path, "re");
	if (f == NULL)
		return -errno;
	if (fgets(value, (int)cap, f) == NULL)
		value[0] = '\0';
	if (ferror(f))
		rc = -EIO;
	fclose(f);
	value[strcspn(value, "\n")] = '\0';
	return rc;
}

int sysctl_write(const char *name, const char *value)
{
	char path[SAVED_TEXT + 16];
	int fd, rc;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : -errno;
	close(fd);
	return rc;
}

void saved_sysctl_note(struct takeover *t, const char *name)
{
	struct saved_sysctl *s = &t->sysctl[t->n_sysctls];

	for (unsigned i = 0; i < t->n_sysctls; i++)
		if (strcmp(t->sysctl[i].name, name) == 0)
			return; /* from an earlier life: what was there before that one */
	if (t->n_sysctls == SAVED_SYSCTLS_MAX || sysctl_read(name, s->value, sizeof(s->value)) != 0)
		return;
	snprintf(s->name, sizeof(s->name), "%s", name);
	t->n_sysctls++;
}

int saved_sysctl_set(struct takeover *t, const char *name, const char *value)
{
	saved_sysctl_note(t, name);
	return sysctl_write(name, value);
}

void saved_sysctl_restore(struct takeover *t)
{
	for (unsigned i = 0; i < t->n_sysctls; i++) {
		const int rc = sysctl_write(t->sysctl[i].name, t->sysctl[i].value);

		if (rc != 0 && rc != -ENOENT)
			log_warning("kernel", "give_back", "sysctl=%s value=%s error=\"%s\"",
			            t->sysctl[i].name, t->sysctl[i].value, strerror(-rc));
	}
	t->n_sysctls = 0;
}

/* --- messages --- */

bool saved_add(struct takeover *t, uint16_t type, const void *octets, size_t len)
{
	struct saved_message *m = &t->message[t->n_messages];

	for (unsigned i = 0; i < t->n_messages; i++)
		if (t->message[i].type == type && t->message[i].len == len &&
		    memcmp(t->message[i].octets, octets, len) == 0)
			return true;
	if (t->n_messages == SAVED_MESSAGES_MAX || len == 0 || len > SAVED_OCTETS)
		return false;
	m->octets = malloc(len);
	if (m->octets == NULL)
		return false;
	memcpy(m->octets, octets, len);
	m->type = type;
	m->len = (uint16_t)len;
	t->n_messages++;
	return true;
}

/* --- the file --- */

/* Where the record counts: another boot, namespace or device of the same name is somebody else. */
static void print_place(const struct takeover *t, char *out, size_t cap)
{
	char boot[64] = "";
	struct stat ns = { 0 };

	sysctl_read("kernel/random/boot_id", boot, sizeof(boot));
	if (stat("/proc/self/ns/net", &ns) != 0)
		ns.st_ino = 0;
	snprintf(out, cap, "boot %s netns %lu device %s %u", boot, (unsigned long)ns.st_ino,
	         t->port->kernel_device, t->port->kernel_ifindex);
}

static void put_hex(FILE *f, const char *key, const uint8_t *octets, size_t len)
{
	fprintf(f, "%s ", key);
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x", octets[i]);
	fputc('\n', f);
}

static size_t get_hex(const char *text, uint8_t *out, size_t cap)
{
	size_t n = 0;
	unsigned octet;

	for (; n < cap && sscanf(text + 2 * n, "%2x", &octet) == 1; n++)
		out[n] = (uint8_t)octet;
	return n;
}

int saved_store(const struct takeover *t)
{
	char place[256], tmp[4096];
	FILE *f;
	int rc = 0;

	snprintf(tmp, sizeof(tmp), "%s.new", t->path);
	f = fopen(tmp, "we");
	if (f == NULL)
		return -errno;
	print_place(t, place, sizeof(place));
	fprintf(f, "turnpike-takeover %d\n%s\n", RECORD_VERSION, place);
	fprintf(f, "xdp %d\ngro %d\nlro %d\n", t->xdp_before, t->gro, t->lro);
	if (t->reserved != NULL)
		fprintf(f, "reserved %s\n", t->reserved);
	for (unsigned i = 0; i < t->n_sysctls; i++)
		fprintf(f, "sysctl %s %s\n", t->sysctl[i].name, t->sysctl[i].value);
	for (unsigned i = 0; i < t->n_own; i++) {
		uint8_t octets[17];

		memcpy(octets, t->own[i].addr.ip, 16);
		octets[16] = t->own[i].len;
		put_hex(f, "own", octets, sizeof(octets));
	}
	for (unsigned i = 0; i < t->n_messages; i++) {
		char key[32];

		snprintf(key, sizeof(key), "message %u", t->message[i].type);
		put_hex(f, key, t->message[i].octets, t->message[i].len);
	}
	fprintf(f, "end\n");
	if (fflush(f) != 0 || ferror(f))
		rc = errno != 0 ? -errno : -EIO;
	fclose(f);
	if (rc == 0 && rename(tmp, t->path) != 0)
		rc = -errno;
	if (rc != 0)
		unlink(tmp);
	return rc;
}

static void load_line(struct takeover *t, char *line)
{
	struct saved_sysctl *s = &t->sysctl[t->n_sysctls];
	uint8_t octets[SAVED_OCTETS];
	int flag, at = 0;
	unsigned type;
	size_t len;

	if (sscanf(line, "xdp %d", &flag) == 1) {
		t->xdp_before = flag != 0;
	} else if (sscanf(line, "gro %d", &flag) == 1) {
		t->gro = flag;
	} else if (sscanf(line, "lro %d", &flag) == 1) {
		t->lro = flag;
	} else if (strncmp(line, "reserved ", 9) == 0) {
		free(t->reserved);
		t->reserved = strdup(line + 9);
	} else if (strncmp(line, "own ", 4) == 0 && t->n_own < CONFIG_PORT_ADDRESSES_MAX) {
		if (get_hex(line + 4, octets, 17) == 17) {
			memcpy(t->own[t->n_own].addr.ip, octets, 16);
			t->own[t->n_own++].len = octets[16];
		}
	} else if (sscanf(line, "message %u %n", &type, &at) == 1 && at > 0) {
		len = get_hex(line + at, octets, sizeof(octets));
		saved_add(t, (uint16_t)type, octets, len);
	} else if (t->n_sysctls < SAVED_SYSCTLS_MAX &&
	           sscanf(line, "sysctl %127s %127s", s->name, s->value) == 2) {
		t->n_sysctls++;
	}
}

void saved_load(struct takeover *t)
{
	char place[256];
	/* A list of reserved ports may be long; everything else is short. */
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	bool ours = false;
	FILE *f = fopen(t->path, "re");

	if (f == NULL)
		return;
	print_place(t, place, sizeof(place));
	for (unsigned i = 0; (n = getline(&line, &cap, f)) > 0; i++) {
		line[strcspn(line, "\n")] = '\0';
		if (i == 0 && strcmp(line, "turnpike-takeover 1") != 0)
			break;
		if (i == 1 && !(ours = strcmp(line, place) == 0))
			break;
		if (i > 1)
			load_line(t, line);
	}
	free(line);
	fclose(f);
	t->adopted = ours;
}

void saved_remove(struct takeover *t)
{
	unlink(t->path);
}

void saved_free(struct takeover *t)
{
	for (unsigned i = 0; i < t->n_messages; i++)
		free(t->message[i].octets);
	t->n_messages = 0;
	free(t->reserved);
	t->reserved = NULL;
	free(t->path);
	t->path = NULL;
}
