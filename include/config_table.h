/*
 * The settings table and what walks it; private to config*.c.
 *
 * A key is written as people write it, groups before a dot: `limits.allocations` is `allocations`
 * in the map `limits`. Keys of the entries of `ports` and `listeners` have a scope of their own.
 */
#pragma once

#include <yaml.h>

#include "config.h"

enum {
	CONFIG_SETTINGS_MAX = 64,
	CONFIG_KEY_MAX = 40,
	CONFIG_QUOTE_MAX = 160,
	CONFIG_ADVERTISE_MAX = CONFIG_RELAYS_MAX,
	CONFIG_FILE_MAX = 64 << 20, /* octets of a configuration file */
};

enum setting_type {
	SETTING_U32,
	SETTING_U32_OR_AUTO, /* 0 is written `auto` */
	SETTING_BOOL,
	SETTING_CHOICE,  /* one of `choices`, into an int-sized enum */
	SETTING_FLAGS,   /* a list of `choices`; `value` is the offset of a bool */
	SETTING_CORE,    /* a core number or `none` (-1) */
	SETTING_CORES,   /* one for each worker */
	SETTING_NAME,    /* file-name safe, into an array of max + 1 octets */
	SETTING_TEXT,    /* into a char * */
	SETTING_OPAQUE,  /* OpaqueString (RFC 8265), into a char * */
	SETTING_PATH,    /* absolute, into a char * */
	SETTING_LETTER,  /* one printable ASCII octet */
	SETTING_SECRET,  /* text, { file: PATH } or { env: NAME }; into a char * */
	SETTING_SECRETS, /* a list of them */
	SETTING_USERS,   /* { name: secret } */
	SETTING_PORTS,   /* a list of maps, or one map; keys of scope IN_PORT */
	SETTING_DEVICE,
	SETTING_CIDRS,     /* interface addresses */
	SETTING_LISTENERS, /* a list of texts or of maps with keys of scope IN_LISTENER */
	SETTING_TRANSPORT, /* enum config_transport */
	SETTING_ENDPOINT,
	SETTING_RELAYS,    /* a list of addresses */
	SETTING_RANGE,     /* two uint16_t, `N-M` */
	SETTING_ADVERTISE, /* { relay address: address } */
	SETTING_PREFIXES,  /* into struct prefix * and the unsigned count at `count` */
};

enum setting_scope { IN_CONFIG, IN_PORT, IN_LISTENER };

struct setting_choice {
	const char *name;
	size_t value;
};

struct setting {
	const char *key;
	enum setting_type type;
	enum setting_scope scope;
	size_t at, count;     /* offsets in the struct of the scope */
	uint32_t min, max;    /* of the number, or of the text's octets */
	const char *unit;     /* of a number; what it counts */
	const char *def;      /* as it would be written in the file; NULL: none */
	const char *def_told; /* what the manual says of the default where `def` is NULL */
	const struct setting_choice *choices; /* ends with a NULL name */
	bool required;
	const char *doc; /* one sentence, no full stop */
};

extern const struct setting config_settings[];
extern const unsigned config_n_settings;

/* "a number of seconds from 1 to 3600": what may stand there, for errors and the manual. */
void config_table_allowed(const struct setting *s, char *out, size_t cap);

/*
 * The setting of that whole key and scope, or NULL. `group` is set if the key names a map of
 * settings instead.
 */
const struct setting *config_table_find(const char *key, enum setting_scope scope, bool *group);

/* The known key or group nearest to one that is not known; false if nothing is near. */
bool config_table_nearest(const char *key, enum setting_scope scope, char *out, size_t cap);

/* One file being read. */
struct reading {
	struct config *cfg;
	struct config_error *err;
	const char *path; /* as the user wrote it */
	enum config_view view;
	yaml_document_t doc;
	unsigned seen[CONFIG_SETTINGS_MAX]; /* line of each setting, 0: not given */
	unsigned port_line[CONFIG_PORTS_MAX], listener_line[CONFIG_LISTENERS_MAX];
	unsigned relay_line[CONFIG_RELAYS_MAX], advertise_line[CONFIG_ADVERTISE_MAX];
	struct {
		struct addr real, told;
	} advertise[CONFIG_ADVERTISE_MAX];
	unsigned n_advertise, n_cores;
};

/* Fills r->err with `path:line: key: ...`; always false. Line 0 and key NULL are left out. */
bool config_fail(struct reading *r, unsigned line, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* "'TEXT' is not ..., with what config_table_allowed() says. Never for a secret. */
bool config_fail_value(struct reading *r, const struct setting *s, const yaml_node_t *node,
                       const char *text);

/* A list or map stands where a value is expected, or the other way round. */
bool config_fail_kind(struct reading *r, const struct setting *s, const yaml_node_t *node);

/* What stood there, printable and not too long; returns `out`. */
const char *config_quote(const char *text, char out[CONFIG_QUOTE_MAX]);

/* The line where a setting was given, or 1. */
unsigned config_line(const struct reading *r, const char *key);

unsigned config_node_line(const yaml_node_t *node);
yaml_node_t *config_node_at(struct reading *r, int id);
bool config_node_is_empty(const yaml_node_t *node); /* `key:` with nothing behind it */

/* A scalar's text, or NULL after config_fail(). */
const char *config_read_text(struct reading *r, const char *key, const yaml_node_t *node);

/* One map of settings of one scope. `group` is the part of the key before it, dot included. */
bool config_read_map(struct reading *r, const char *group, enum setting_scope scope, void *base,
                     const yaml_node_t *node);

/* An entry of a list: a map with a scope of its own, whose keys count afresh. */
bool config_read_entry(struct reading *r, const struct setting *s, enum setting_scope scope,
                       void *base, const yaml_node_t *node);

/* One value, checked by itself. */
bool config_read_value(struct reading *r, const struct setting *s, void *base,
                       const yaml_node_t *node);

/* One of the types that are one line of text. */
bool config_read_scalar(struct reading *r, const struct setting *s, void *base,
                        const yaml_node_t *node);
bool config_read_core(const struct setting *s, const char *text, int32_t *out);
bool config_read_opaque(struct reading *r, const struct setting *s, const yaml_node_t *node,
                        const char *text, char **out);

/* text | { file: PATH } | { env: NAME } into *out, on the heap; NULL where secrets are not wanted.
 */
bool config_read_secret(struct reading *r, const struct setting *s, const yaml_node_t *node,
                        char **out);
extern const char config_redacted[]; /* what stands in place of a secret */

/* What no value can tell by itself; also fills in what follows from other settings. */
bool config_check(struct reading *r);
