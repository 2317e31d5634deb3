/*
 * What the kernel_*.c files share: the take-over of one port.
 *
 * What was found on a kernel device is written to run-dir/kernel-PORT before anything is changed,
 * so that a start after a crash still knows what a clean stop has to give back.
 */
#pragma once

#include <stdio.h>

#include "dataplane/kernel.h"
#include "dataplane/netlink.h"

enum { SAVED_MESSAGES_MAX = 256, SAVED_SYSCTLS_MAX = 8, SAVED_TEXT = 128, SAVED_OCTETS = 1024 };

/* One address or route of the device, as the kernel's own netlink message body. */
struct saved_message {
	uint16_t type; /* RTM_NEWADDR, RTM_NEWROUTE */
	uint16_t len;
	uint8_t *octets; /* struct ifaddrmsg or rtmsg, attributes behind it */
};

struct saved_sysctl {
	char name[SAVED_TEXT]; /* below /proc/sys/ */
	char value[SAVED_TEXT];
};

struct takeover {
	struct port *port;
	char *path;   /* of the record */
	int claim;    /* held while the device is ours; -1: none */
	bool taken;   /* something was changed */
	bool adopted; /* a record of this device was there: the last life did not end cleanly */

	struct saved_message message[SAVED_MESSAGES_MAX];
	unsigned n_messages;
	struct saved_sysctl sysctl[SAVED_SYSCTLS_MAX];
	unsigned n_sysctls;
	struct prefix own[CONFIG_PORT_ADDRESSES_MAX]; /* addresses that we put on the TAP */
	unsigned n_own;
	bool xdp_before; /* somebody's program was attached: not ours to remove */
	int gro, lro;    /* 1: were on, 0: off, -1: not told */
	char *reserved;  /* ports that we added to ip_local_reserved_ports; NULL: none */
	bool muted_by_nft;
	time_t patience_s; /* monotonic: until then a link that is down is waited for */
};

/* --- kernel_saved.c --- */

/* Reads the record of an earlier life, if it speaks of this device in this namespace and boot. */
void saved_load(struct takeover *t);
/* Writes it whole or not at all. 0 or -errno. */
int saved_store(const struct takeover *t);
/* Removes it. */
void saved_remove(struct takeover *t);
void saved_free(struct takeover *t);
/* Keeps a copy unless the same message is there. false: no room. */
bool saved_add(struct takeover *t, uint16_t type, const void *octets, size_t len);
/* Sets /proc/sys/NAME and remembers what it was. 0 or -errno. */
int saved_sysctl_set(struct takeover *t, const char *name, const char *value);
void saved_sysctl_restore(struct takeover *t);
/* Notes what a later saved_sysctl_set() will change. */
void saved_sysctl_note(struct takeover *t, const char *name);
int sysctl_read(const char *name, char *value, size_t cap);
int sysctl_write(const char *name, const char *value);

/* --- kernel_tap.c --- */

/* Opens or adopts the persistent TAP. 0 or an enum exit_code, logged. */
int tap_open(struct takeover *t);
/* Removes it from the kernel. */
void tap_remove(struct port *p);

/* --- kernel_move.c --- */

/* Reads the device's addresses and routes into the record. 0 or -errno. */
int move_collect(struct takeover *t, struct mnl_socket *s);
/* Puts them, and the configured addresses, on the TAP and takes them from the device. */
int move_to_tap(struct takeover *t, struct mnl_socket *s);
/* After the TAP is gone. */
void move_back(struct takeover *t, struct mnl_socket *s);

/* --- kernel_mute.c --- */

/* The kernel no longer hears the device; the other end of a veth sends no super-frames. */
int mute_device(struct takeover *t);
void mute_end(struct takeover *t);
/* What is to be given back, before anything changes. */
void mute_note(struct takeover *t);

/* --- kernel_reserved.c --- */

/*
 * "1,5-9" as a bit for each port, and back. Parsing false: not such a list. Printing returns a
 * malloc'd text, NULL when memory is short.
 */
struct port_set {
	uint64_t word[1024];
};
bool port_set_parse(const char *text, struct port_set *out);
char *port_set_print(const struct port_set *set);

/* Adds the relay range to ip_local_reserved_ports where the host shares the address. */
void reserved_add(struct takeover *t, const struct config *cfg);
void reserved_note(struct takeover *t, const struct config *cfg);
void reserved_restore(struct takeover *t);
