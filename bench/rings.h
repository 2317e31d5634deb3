/*
 * Rig R1: in one process, the generator on one core and a device on another, joined by two rings
 * (SP/SC, 2048) that each sees as a port; and a third port that receives what it sends, for the
 * generator alone.
 *
 * A full ring is the receiver's, as a port's receive queue is: what the generator finds no room for
 * is sent and lost.
 *
 * Spinning   Both threads spin while a trial runs, and sleep between trials.
 * Distance   A virtual machine's two cores may be moved apart while one measures: a cache line then
 *            takes nearly three times as long there and back, and everything here depends on it.
 *            rings_distance() says how far they are now.
 * Sharing    On cores that others want too a stall of some milliseconds is a loss. With
 *            TURNPIKE_BENCH_REALTIME=1 both threads run under SCHED_FIFO; it is not the default,
 *            since it takes the cores from everybody.
 * Threads    Main. The device's thread and the generator's are the rig's own.
 */
#pragma once

#include "bench/dut.h"
#include "bench/forward.h"
#include "pkt-gen/trial.h"

enum { RINGS_SLOTS = 2048 };

/* What stands behind the rings. */
enum device { DEVICE_REST, DEVICE_RELAY, DEVICE_FORWARD, DEVICE_ECHO };

/* EAL, pool, ports, the device's thread on core 1. Ends the program on failure. Callgrind has no
 * room for what EAL reserves with hugepages. */
void rings_begin(bool may_huge);
/* The calling thread to core 0, to turn an engine itself. */
void rings_pin_generator(void);
/* The pool, the device's port, and the generator's for who has no stage. */
void *rings_pool(void);
uint16_t rings_device_port(void);
uint16_t rings_take_port(void);
/* The device spins, or sleeps where it is idle. Trials do it by themselves. */
void rings_spin(bool spin);
/* The device from now on: `relay` for DEVICE_RELAY, `how` for DEVICE_FORWARD. */
void rings_device(enum device what, struct dut *relay, enum forward how);

/* Nanoseconds of a cache line to the device's core and back; the device rests afterwards. */
double rings_distance(void);

/* A generator on core 0, for both directions of `flows` bindings. */
struct stage {
	struct streams *s;
	struct engine *e;
	struct crew *crew; /* while it has the rings: trials of another stage take them over */
	uint32_t flows;
};

/* Looped: on the port of its own. */
void stage_open(struct stage *st, uint32_t flows, bool looped);
void stage_close(struct stage *st);

/* How streams come back: through the relay, as they left, or with both ends turned round. */
enum expect { EXPECT_RELAYED, EXPECT_SAME, EXPECT_SWAPPED };
void stage_expect(struct stage *st, enum expect how);

/* A trial; ends the program if the sum does not close. */
struct outcome stage_trial(struct stage *st, double pps, double seconds,
                           const struct profile *profile, bool check);
