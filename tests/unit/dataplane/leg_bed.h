/* Legs of ICE sessions on a bed: as control sets them, as their peers talk to them. */
#pragma once

#include "crypto.h"
#include "dataplane/flow_leg.h"
#include "tests/unit/dataplane/bed.h"

#define LEG_PWD "a password of enough length"

enum { A, B, C, SIX, LEGS };

extern const char *const leg_peer[LEGS], *const leg_at[LEGS];

/* A leg as control would set it, with its list behind it. */
struct leg_wanted {
	struct cmd_leg c;
	struct cmd_leg_to to[LEG_TO_MAX];
};

/* With ufrag legN, its password LEG_PWD, port 50000 + N; lite, answers. `to`: the legs it sends to.
 */
struct leg_wanted leg_make(unsigned i, bool connected, unsigned n_to, const unsigned *to);

/* Rows that went, as they were reported. */
extern struct punt_row leg_final[32];
extern unsigned leg_n_final;

/* The status of the last event that is not of these, or -1. */
int leg_said(struct punt_row *ev);
int leg_set(const struct leg_wanted *w, struct punt_row *ev);
uint32_t leg_set_ok(const struct leg_wanted *w); /* the row */

/* A to B and back, both connected. */
void leg_begin(struct leg_wanted *a, struct leg_wanted *b);
/* A datagram through worker 0. */
void leg_put(const char *from, const char *to, const void *data, uint32_t len);

struct crypto_hmac_sha1 leg_key_for(const char *pwd);

enum {
	CHECK_NO_PRIORITY = 1,
	CHECK_USE = 2,
	CHECK_CONTROLLED = 4,
	CHECK_STRANGE = 8,
	CHECK_NO_FINGERPRINT = 16,
	CHECK_BAD_FINGERPRINT = 32,
};

/* A check, `how` of the above; 512 octets of room. Octets. */
uint32_t leg_check(uint8_t *out, const char *name, const char *pwd, unsigned how);
