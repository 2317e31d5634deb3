/*
 * A relay within the process: configuration, addresses, next hop and `flows` bindings, as many
 * allocations with a channel each, all over IPv4; and its worker, the one that ships. There is no
 * service turn and no control process.
 *
 * Threads    Main makes and frees it. dut_run() is for a thread of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

struct dut;

/* On that port's queue 0. Ends the program on failure. */
struct dut *dut_new(uint32_t flows, uint16_t ethdev, void *mbuf_pool);
void dut_free(struct dut *d);

/*
 * dut_start() makes the worker, dut_run() is its loop until dut_stop(), dut_end() unmakes it when
 * the loop has ended. One relay at a time.
 */
void dut_start(struct dut *d);
void dut_run(struct dut *d);
/* Never sleeps; else it does where it is idle, as between trials. */
void dut_spin(struct dut *d, bool spin);
void dut_stop(struct dut *d);
void dut_end(struct dut *d);

/* Who takes part in binding i. */
struct endpoint dut_client(uint32_t i);
struct endpoint dut_peer(uint32_t i);
struct endpoint dut_relayed(uint32_t i);
struct endpoint dut_listener(void);
uint16_t dut_channel(void);
/* Both MACs of a frame to the relay: destination, source. */
extern const uint8_t dut_macs[12];

/* One change of a binding's channel row as control makes it: away, and again. Of flow i. */
void dut_change(struct dut *d, uint32_t i);
