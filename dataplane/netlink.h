/*
 * Blocking netlink for setup and teardown (libmnl): one request, one answer.
 *
 * Threads    Main, before workers run and after they ended.
 * Errors     0 or -errno as the kernel gave it.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

enum { NETLINK_OCTETS = 8192 };

/* NULL with errno set. */
struct mnl_socket *netlink_open(void);

/* Sends `h` (completed: type, flags, body) with an acknowledgement asked for, waits for it. */
int netlink_ask(struct mnl_socket *s, struct nlmsghdr *h);

/* Dumps `type` (RTM_GETADDR ...) of a family; `each` gets every message. */
int netlink_dump(struct mnl_socket *s, uint16_t type, uint8_t family, mnl_cb_t each, void *arg);

/* Link `ifindex` up or down. */
int netlink_link_up(struct mnl_socket *s, unsigned ifindex, bool up);

/* Adds an interface address; IPv4 gets its broadcast address. Flags as IFA_F_*. */
int netlink_add_address(struct mnl_socket *s, unsigned ifindex, const struct prefix *p,
                        uint32_t flags);
int netlink_delete_address(struct mnl_socket *s, unsigned ifindex, const struct prefix *p);

/* The 16-octet form of an attribute of `family`; false if it has another size. */
bool netlink_addr(uint8_t family, const void *octets, size_t len, struct addr *out);
