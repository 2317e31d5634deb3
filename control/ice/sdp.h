/*
 * ICE in SDP: attributes of RFC 8839, trickle fragments of RFC 8840, and the one-line form that
 * turnpike-agent gives to people. Pure text to struct and back; no state. Texts need no NUL.
 *
 * Errors     One sentence in `err`; a candidate that cannot be used is skipped and counted, never
 *            an error of the whole (ICE-062).
 */
#pragma once

#include "control/ice/ice.h"

struct sdp_skipped {
	unsigned transport, type, name, address, syntax,
		too_many; /* candidates skipped, by reason */
};

/* "candidate:1 1 UDP 2130706431 198.18.0.1 9 typ host ..." with or without "a=". */
enum sdp_line { SDP_CANDIDATE, SDP_SKIPPED, SDP_BAD };
enum sdp_line sdp_candidate_parse(const char *line, size_t len, struct ice_candidate *out,
                                  struct sdp_skipped *skipped);
/* Without "a=" and line end. false: did not fit. `hide`: related address as 0.0.0.0 port 9. */
bool sdp_candidate_print(const struct ice_candidate *c, bool hide, char *out, size_t cap);

/* A whole session description, or as much of one as ICE needs: session and media levels. */
bool sdp_parse(const char *text, size_t len, struct ice_description *out,
               struct sdp_skipped *skipped, char err[128]);
/* A minimal description that carries the ICE attributes: v=, o=, s=, t=, an m= line a stream. */
size_t sdp_print(const struct ice_description *d, char *out, size_t cap);

/* application/trickle-ice-sdpfrag (ICE-070). */
bool sdp_fragment_parse(const char *text, size_t len, struct ice_description *out, char err[128]);
size_t sdp_fragment_print(const struct ice_description *d, char *out, size_t cap);

/*
 * A description as one line that a person can read and paste, without a line end:
 *
 *   ice1 ice2 trickle pace=50 stream=0,1,UFRAG,PWD c=F,1,udp,host,2130706431,198.18.0.1,9 end #crc
 *
 * The last word is the CRC of what stands before it, so that a line that was cut is told from one
 * that is wrong.
 */
size_t sdp_line_print(const struct ice_description *d, char *out, size_t cap);
bool sdp_line_parse(const char *line, size_t len, struct ice_description *out, char err[128]);
