/*
 * The data plane's tables for bench_scale: its headers and the engine's private ones do not go
 * together in one file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "abi/command.h"
#include "abi/punt.h"
#include "config.h"

void scale_make(const struct config *cfg);
void scale_free(void);

/* A CMD_SET of the rig's; fills the event. */
void scale_carry_out(enum cmd_kind kind, const struct cmd_flow *wanted, struct punt_row *ev);
unsigned scale_refused(void);
/* The client's channel leads to a row, and that row to the peer. */
bool scale_leads(const struct endpoint *client, uint16_t channel, const struct endpoint *peer);

/* Calls with the resident octets of each structure. */
void scale_show(void (*show)(const char *what, double octets));
/* Resident octets of an array. */
double scale_resident(const void *at, size_t octets);
