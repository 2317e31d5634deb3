/*
 * What two processes agree on before anything else: constants, the hello, the region directory.
 *
 * Law: fixed-width integers; no pointers, bool, enum, size_t or bit-fields in shared structs. One
 * writer per region, enforced by the mapping: the data plane writes region D and control may only
 * read it; control writes region C and the data plane may only read it. Copy out, then validate,
 * then use. Any change here changes ABI_MAJOR or ABI_MINOR and tests/abi/abi.golden.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ABI_MAGIC UINT64_C(0x5455524E50494B45) /* "TURNPIKE" */
enum { ABI_MAJOR = 2, ABI_MINOR = 0, ABI_LINE = 64 };

/*
 * A counter's owner adds to it: others see it whole, before or after. A relaxed load and store, in
 * one instruction where there is one; no locked one.
 */
static inline void abi_count(_Atomic uint64_t *count, uint64_t n)
{
#if defined(__x86_64__)
	__asm__("addq %1, %0" : "+m"(*(uint64_t *)(uintptr_t)count) : "er"(n) : "cc");
#else
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
	                      memory_order_relaxed);
#endif
}

/*
 * The hello, over the data plane's SOCK_SEQPACKET socket (run-dir/dataplane.sock), after
 * SO_PEERCRED. Three messages, each one struct hello of exactly this size:
 *
 *   1. data plane -> control: HELLO_OFFER; fds: region D, eventfd to wake the data plane, the same
 *      for control
 *   2. control -> data plane: HELLO_JOIN; fds: region C
 *   3. data plane -> control: HELLO_WELCOME, or HELLO_REFUSE (text says why, with both versions)
 *
 * The socket then stays open and silent; its hang-up is the death notice for both sides.
 */
enum hello_kind { HELLO_OFFER = 1, HELLO_JOIN = 2, HELLO_WELCOME = 3, HELLO_REFUSE = 4 };

struct hello {
	uint64_t magic;
	uint16_t major, minor;
	uint32_t kind;
	uint64_t generation;    /* of the data plane: random at its start */
	uint64_t region_octets; /* of the region that travels with this message */
	uint32_t n_workers;     /* OFFER: there is one punt ring more, the service turn's */
	uint32_t pid;
	char text[88]; /* REFUSE: why; NUL-terminated by the receiver before use */
};
static_assert(sizeof(struct hello) == 128, "hello is two lines");

/*
 * A region begins with its directory. Unknown kinds are skipped; a section whose major version the
 * reader does not know is refused.
 */
enum section_kind {
	/* region D */
	SECTION_LIFE = 1,      /* struct life */
	SECTION_LISTENERS = 2, /* struct abi_listener[] */
	SECTION_RELAYS = 3,    /* struct abi_relay[] */
	SECTION_COUNTERS = 4,  /* struct stats, instance = worker; n_workers = service turn */
	SECTION_PUNT = 5,      /* ring producer part, instance = worker; n_workers = service turn */
	SECTION_COMMAND_TAIL = 6, /* ring consumer part of the command ring */
	SECTION_ROWS = 7,         /* struct row[], 64 octets each */
	SECTION_ROWS_WIDE = 8,    /* struct row_wide[], 128 octets each */
	SECTION_FOREIGN = 9,      /* struct row_counts[], instance 0 for ROWS, 1 for ROWS_WIDE */
	SECTION_PORTS = 10,       /* struct abi_port[] */
	SECTION_NEIGHBOURS = 11,  /* struct abi_neighbour[]: the adjacency table, for people */
	/* region C */
	SECTION_COMMAND = 32,   /* ring producer part */
	SECTION_PUNT_TAIL = 33, /* ring consumer part, instance = punt ring */
};

struct section {
	uint16_t kind, instance;
	uint16_t major, minor;
	uint64_t offset, octets; /* offset is a multiple of ABI_LINE */
};
static_assert(sizeof(struct section) == 24, "");

struct directory {
	uint64_t magic;
	uint16_t major, minor;
	uint32_t n_sections;
	uint64_t octets; /* of the region */
	uint64_t generation;
	struct section section[]; /* n_sections */
};
static_assert(offsetof(struct directory, section) == 32, "");

struct life {
	_Atomic uint64_t started_ns; /* CLOCK_MONOTONIC */
	_Atomic uint64_t turn_ns;    /* of the last service turn */
	_Atomic uint32_t n_listeners, n_relays, n_ports, n_workers;
	_Atomic uint32_t flows, flows_max; /* rows in use, rows there are */
	_Atomic uint32_t ready;            /* 1: ports up, DAD over, Binding is answered */
	_Atomic uint32_t config_epoch;     /* goes up when a reload was taken */
	_Atomic uint32_t hugepages;        /* 1: packet memory lies on hugepages */
	_Atomic uint32_t reserved;
};

/* Ids are given by the data plane and never reused within one life of it. */
struct abi_listener {
	uint8_t ip[16];
	uint16_t port;
	uint16_t id;
	uint8_t transport; /* enum config_transport */
	uint8_t live;      /* 0 after a reload took it away */
	uint8_t reserved[10];
};
static_assert(sizeof(struct abi_listener) == 32, "");

struct abi_relay {
	uint8_t ip[16];
	uint8_t advertise[16];
	uint16_t id;
	uint16_t port_min, port_max;
	uint8_t live;
	uint8_t reserved[25];
};
static_assert(sizeof(struct abi_relay) == 64, "");

struct abi_port {
	char name[16];
	char device[48];
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t n_queues;
	uint16_t kind; /* enum config_device */
	_Atomic uint32_t link_up;
	_Atomic uint32_t speed_mbps;
	uint8_t reserved[8];
	_Atomic uint64_t rx_packets, rx_octets, tx_packets, tx_octets, rx_missed, tx_errors;
	_Atomic uint64_t tap_in, tap_out; /* frames from and to the kernel */
	uint8_t reserved2[32];
};
static_assert(sizeof(struct abi_port) == 192, "");

enum neighbour_state { NEIGHBOUR_NONE, NEIGHBOUR_RESOLVING, NEIGHBOUR_RESOLVED, NEIGHBOUR_FAILED };

struct abi_neighbour {
	uint8_t ip[16]; /* of the next hop */
	uint8_t mac[6];
	uint16_t port;          /* index into SECTION_PORTS */
	_Atomic uint32_t state; /* enum neighbour_state */
	_Atomic uint32_t users; /* rows that name it */
};
static_assert(sizeof(struct abi_neighbour) == 32, "");
