/*
 * Control on a thread of its own, for bench_visible: the engine with intake and install on the
 * rings of the bed, without its sockets; and the client whose requests it answers. The engine's
 * private headers and the data plane's do not go together in one file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/ring.h"

/* Reads the bed's configuration and runs until stop. Ends the program on failure. */
void visible_control_start(const char *config, struct ring_writer *command,
                           struct ring_reader *punts, struct ring_reader *events);
bool visible_control_ready(void); /* the data plane confirmed the sync */
void visible_control_stop(void);

/* The client at 198.18.0.50:2000: one message, signed but for BARE; octets. */
enum { VISIBLE_CHANNEL = 0x4001, VISIBLE_MESSAGE_MAX = 256 };
enum visible_ask { VISIBLE_BARE, VISIBLE_ALLOCATE, VISIBLE_BIND, VISIBLE_REFRESH };
uint32_t visible_control_ask(uint8_t *message, enum visible_ask what);
/* What came back: learns realm and nonce. false: it is no answer, or an error but 401. */
bool visible_control_learn(const uint8_t *octets, uint32_t len);
