/*
 * Telling whoever started us: the supervisor by a line on the descriptor it left, a service manager
 * by sd_notify(3)'s datagram.
 */
#pragma once

/* Once the relay serves; `listeners` as for people. The supervisor is told once in our life. */
void ready_tell(const char *listeners);
/* A stop has begun and may take a moment. */
void ready_tell_stopping(void);
