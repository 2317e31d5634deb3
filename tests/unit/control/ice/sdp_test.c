/* Mirrors control/ice/sdp.c, sdp_candidate.c and sdp_line.c. */
#include "control/ice/sdp.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ICE-059, ICE-060 to ICE-063, ICE-208: NULL as `again`: refused; "" as `again`: the same text. */
static const struct {
	const char *line;
	enum sdp_line what;
	const char *again;
} lines[] = {
	/* clang-format off */
	{ "candidate:1 1 UDP 2130706431 198.18.0.1 5000 typ host", SDP_CANDIDATE, "" },
	{ "a=candidate:1 1 udp 2130706431 198.18.0.1 5000 typ host", SDP_CANDIDATE,
	  "candidate:1 1 UDP 2130706431 198.18.0.1 5000 typ host" },
	{ "candidate:a+/Z 256 UDP 1 fd00::1 65535 typ srflx raddr fd00::2 rport 1", SDP_CANDIDATE, "" },
	{ "candidate:1 2 UDP 100 198.18.0.1 9 typ relay raddr 198.18.0.2 rport 7 generation 0 ufrag x network-cost 10",
	  SDP_CANDIDATE, "candidate:1 2 UDP 100 198.18.0.1 9 typ relay raddr 198.18.0.2 rport 7" },
	{ "candidate:1 1 UDP 100 198.18.0.1 9 typ prflx raddr 0.0.0.0 rport 9", SDP_CANDIDATE, "" },
	{ "candidate:1 1 UDP 100 198.18.0.1 9 typ host generation", SDP_CANDIDATE,
	  "candidate:1 1 UDP 100 198.18.0.1 9 typ host" },
	{ "candidate:1  1 UDP 100  198.18.0.1 9 typ  host", SDP_CANDIDATE,
	  "candidate:1 1 UDP 100 198.18.0.1 9 typ host" },
	{ "candidate:1 1 TCP 100 198.18.0.1 9 typ host tcptype active", SDP_CANDIDATE, "" },
	{ "candidate:1 1 tcp 100 198.18.0.1 8 typ srflx raddr 198.18.0.9 rport 5 tcptype passive", SDP_CANDIDATE,
	  "candidate:1 1 TCP 100 198.18.0.1 8 typ srflx raddr 198.18.0.9 rport 5 tcptype passive" },
	{ "candidate:1 1 UDP 0 198.18.0.1 9 typ host", SDP_CANDIDATE,
	  "candidate:1 1 UDP 1 198.18.0.1 9 typ host" },
	{ "candidate:1 1 UDP 4294967295 198.18.0.1 9 typ host", SDP_CANDIDATE, "" },
	{ "candidate:1 1 UDP 4294967296 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate: 1 UDP 100 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:a-b 1 UDP 100 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:123456789012345678901234567890123 1 UDP 100 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 0 UDP 100 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 257 UDP 100 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP x 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 198.18.0.1 65536 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 198.18.0.1 0 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 0.0.0.0 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 :: 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 224.0.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 ff02::1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 255.255.255.255 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 ::ffff:198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 host.example 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 3b1f8c1e-9d1c-4c3e-8f52-1f5f4c3d2b1a.local 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 198.18.0.1 9 typ magic", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 198.18.0.1 9 tip host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 SCTP 100 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 TCP 100 198.18.0.1 9 typ host", SDP_SKIPPED, NULL },
	{ "candidate:1 1 TCP 100 198.18.0.1 9 typ host tcptype so", SDP_SKIPPED, NULL },
	{ "candidate:1 1 UDP 100 198.18.0.1 9 typ", SDP_SKIPPED, NULL },
	{ "candidate:", SDP_SKIPPED, NULL },
	{ "candidat:1 1 UDP 100 198.18.0.1 9 typ host", SDP_BAD, NULL },
	{ "", SDP_BAD, NULL },
	/* clang-format on */
};

static void test_candidates(void)
{
	for (size_t i = 0; i < COUNT(lines); i++) {
		const size_t len = strlen(lines[i].line);
		char *const exact = copy_exact(lines[i].line, len);
		struct sdp_skipped skipped = { .transport = 0 };
		struct ice_candidate c;
		char out[256];

		CHECK(sdp_candidate_parse(exact, len, &c, &skipped) == lines[i].what,
		      lines[i].line);
		const unsigned n = skipped.transport + skipped.type + skipped.name +
		                   skipped.address + skipped.syntax + skipped.too_many;

		CHECK(n == (lines[i].what == SDP_SKIPPED), lines[i].line);
		if (lines[i].again) {
			CHECK(sdp_candidate_print(&c, false, out, sizeof(out)), lines[i].line);
			CHECK(strcmp(out, *lines[i].again ? lines[i].again : lines[i].line) == 0,
			      lines[i].line);
		}
		free(exact);
	}
}

/* ICE-060, ICE-214: hidden related addresses. */
static void test_hide(void)
{
	static const char four[] =
		"candidate:1 1 UDP 9 198.18.0.1 9 typ srflx raddr 198.18.0.2 rport 7";
	static const char six[] = "candidate:1 1 UDP 9 fd00::1 9 typ relay raddr fd00::2 rport 7";
	struct sdp_skipped skipped;
	struct ice_candidate c;
	char out[128], small[20];

	sdp_candidate_parse(four, strlen(four), &c, &skipped);
	CHECK(sdp_candidate_print(&c, true, out, sizeof(out)), "fits");
	CHECK(strstr(out, "raddr 0.0.0.0 rport 9") && !strstr(out, "198.18.0.2"), out);
	CHECK(!sdp_candidate_print(&c, true, small, sizeof(small)), "too small is told");
	sdp_candidate_parse(six, strlen(six), &c, &skipped);
	CHECK(sdp_candidate_print(&c, true, out, sizeof(out)), "fits");
	CHECK(strstr(out, "raddr :: rport 9") && !strstr(out, "fd00::2"), out);
}

#define PWD "abcdefghijklmnopqrstuv"

static const char whole[] =
	"v=0\r\no=- 1 1 IN IP4 198.18.0.1\r\ns=-\r\nc=IN IP4 198.18.0.1\r\nt=0 0\r\n"
	"a=ice-options:trickle ice2 x-y\r\na=ice-pacing:20\r\na=ice-ufrag:sess\r\na=ice-pwd:" PWD
	"\r\n"
	"m=audio 5000 UDP/TLS/RTP/SAVPF 111\r\na=mid:left\r\n"
	"a=candidate:1 1 UDP 2130706431 198.18.0.1 5000 typ host generation 0\r\n"
	"a=candidate:1 2 UDP 2130706430 198.18.0.1 5001 typ host\r\n"
	"a=rtcp:5001 IN IP4 198.18.0.7\r\na=end-of-candidates\r\n"
	"m=video 9 UDP/TLS/RTP/SAVPF 96\nc=IN IP4 0.0.0.0\nice-ufrag:own1\na=ice-pwd:" PWD
	"1\na=candidate:2 1 UDP 5 host.example 9 typ host\n"
	"a=remote-candidates:1 198.18.0.9 7000 2 198.18.0.9 7001\na=ice-mismatch";

/* ICE-064 to ICE-069, ICE-071, ICE-072. */
static void test_description(void)
{
	static struct ice_description d;
	struct sdp_skipped skipped;
	char err[128];
	char *const exact = copy_exact(whole, strlen(whole));
	const struct ice_stream_description *const a = &d.stream[0], *const b = &d.stream[1];

	CHECK(sdp_parse(exact, strlen(whole), &d, &skipped, err), err);
	free(exact);
	CHECK(d.n_streams == 2 && d.ice2 && d.trickle && !d.lite && d.pacing_ms == 20, "session");
	CHECK(strcmp(a->ufrag, "sess") == 0 && strcmp(a->pwd, PWD) == 0, "session's credentials");
	CHECK(strcmp(b->ufrag, "own1") == 0 && strcmp(b->pwd, PWD "1") == 0, "media level wins");
	CHECK(strcmp(a->mid, "left") == 0 && a->n_candidates == 2 && a->n_components == 2, "first");
	CHECK(a->chosen[0].port == 5000 && a->chosen[0].addr.ip[15] == 1, "default of RTP");
	CHECK(a->chosen[1].port == 5001 && a->chosen[1].addr.ip[15] == 7, "default of RTCP");
	CHECK(a->end_of_candidates && !b->end_of_candidates, "end at one level");
	CHECK(b->n_candidates == 0 && skipped.name == 1, "a name is skipped and counted");
	CHECK(b->remote[0].port == 7000 && b->remote[1].port == 7001, "remote-candidates");
	CHECK(b->mismatch && !a->mismatch, "ice-mismatch");
}

static const struct {
	const char *text, *why;
} bad[] = {
	{ "v=0\r\n", "no m= line" },
	{ "m=audio 9 RTP/AVP 0\r\na=ice-ufrag:abc\r\n", "ice-ufrag" },
	{ "m=audio 9 RTP/AVP 0\r\na=ice-ufrag:ab-d\r\n", "ice-ufrag" },
	{ "m=audio 9 RTP/AVP 0\r\na=ice-pwd:short\r\n", "ice-pwd" },
	{ "a=ice-pacing:x\r\nm=audio 9 RTP/AVP 0\r\n", "ice-pacing" },
	{ "m=audio 9 RTP/AVP 0\r\na=remote-candidates:1 198.18.0.1\r\n", "remote-candidates" },
	{ "m=audio 9 RTP/AVP 0\r\na=ice-ufrag:same\r\na=ice-pwd:" PWD "\r\n"
	  "m=audio 9 RTP/AVP 0\r\na=ice-ufrag:same\r\na=ice-pwd:" PWD "x\r\n",
	  "two passwords" },
};

static void test_refused(void)
{
	static struct ice_description d;
	struct sdp_skipped skipped;
	char err[128];

	for (size_t i = 0; i < COUNT(bad); i++) {
		CHECK(!sdp_parse(bad[i].text, strlen(bad[i].text), &d, &skipped, err), bad[i].text);
		CHECK(strstr(err, bad[i].why) != NULL, err);
	}
}

/* ICE-067: clamped, not refused. */
static void test_pacing(void)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} cases[] = { { "0", 5 }, { "4", 5 }, { "50", 50 }, { "9999999999", 10000 } };
	static struct ice_description d;
	struct sdp_skipped skipped;
	char text[128], err[128];

	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof(text), "a=ice-pacing:%s\nm=audio 9 RTP/AVP 0\n",
		         cases[i].text);
		CHECK(sdp_parse(text, strlen(text), &d, &skipped, err), err);
		CHECK(d.pacing_ms == cases[i].ms, cases[i].text);
	}
}

/* ICE-195: on some streams only is on none. */
static void test_trickle(void)
{
	static struct ice_description d;
	struct sdp_skipped skipped;
	char err[128];
	static const char some[] =
		"m=audio 9 RTP/AVP 0\na=ice-options:trickle\nm=audio 9 RTP/AVP 0\n";
	static const char all[] =
		"m=audio 9 RTP/AVP 0\na=ice-options:trickle\nm=audio 9 RTP/AVP 0\n"
		"a=ice-options:trickle\n";

	CHECK(sdp_parse(some, strlen(some), &d, &skipped, err) && !d.trickle, "some");
	CHECK(sdp_parse(all, strlen(all), &d, &skipped, err) && d.trickle, "all");
}

/* What is written reads as it was: whole descriptions, fragments, lines. */
static void test_round_trip(void)
{
	static struct ice_description d, again;
	static char text[32768];
	struct sdp_skipped skipped;
	char err[128];

	CHECK(sdp_parse(whole, strlen(whole), &d, &skipped, err), err);
	size_t n = sdp_print(&d, text, sizeof(text));

	CHECK(n > 0 && n == strlen(text), "printed");
	CHECK(sdp_parse(text, n, &again, &skipped, err), err);
	CHECK(memcmp(&d, &again, sizeof(d)) == 0, "a description");
	CHECK(sdp_print(&d, text, 100) == 0, "too small is told");

	n = sdp_fragment_print(&d, text, sizeof(text));
	CHECK(n > 0 && sdp_fragment_parse(text, n, &again, err), err);
	CHECK(again.n_streams == 2 && again.stream[0].n_candidates == 2 &&
	              strcmp(again.stream[1].ufrag, "own1") == 0 &&
	              again.stream[0].end_of_candidates && !again.stream[1].end_of_candidates,
	      "a fragment");

	n = sdp_line_print(&d, text, sizeof(text));
	CHECK(n > 0 && n == strlen(text) && !strchr(text, '\n'), "one line");
	CHECK(sdp_line_parse(text, n, &again, err), err);
	CHECK(again.n_streams == 2 && again.pacing_ms == 20 && again.ice2 && again.trickle &&
	              memcmp(again.stream[0].candidate, d.stream[0].candidate,
	                     sizeof(d.stream[0].candidate)) == 0,
	      "a line");
}

/* ICE-069, ICE-070: a fragment without an m= line speaks of all streams. */
static void test_fragment(void)
{
	static struct ice_description d;
	static const char end[] =
		"a=ice-ufrag:sess\r\na=ice-pwd:" PWD "\r\na=end-of-candidates\r\n";
	char err[128];

	CHECK(sdp_fragment_parse(end, strlen(end), &d, err), err);
	CHECK(d.n_streams == 1 && d.stream[0].end_of_candidates &&
	              strcmp(d.stream[0].ufrag, "sess") == 0 && !*d.stream[0].mid,
	      "credentials and end");
}

/* A person pastes: blanks at the end are nothing, a cut or changed line is told as such. */
static void test_pasted(void)
{
	static struct ice_description d, again;
	static char text[8192];
	struct sdp_skipped skipped;
	char err[128];

	CHECK(sdp_parse(whole, strlen(whole), &d, &skipped, err), err);
	const size_t n = sdp_line_print(&d, text, sizeof(text) - 3);

	memcpy(text + n, " \r\n", 3);
	CHECK(sdp_line_parse(text, n + 3, &again, err), err);
	for (size_t cut = 0; cut < n; cut++) {
		char *const exact = copy_exact(text, cut);

		CHECK(!sdp_line_parse(exact, cut, &again, err) && *err, "a shorter line");
		free(exact);
	}
	text[10] ^= 1;
	CHECK(!sdp_line_parse(text, n, &again, err) && strstr(err, "changed"), err);
	CHECK(!sdp_line_parse("hello", 5, &again, err) && strstr(err, "ice1"), err);
}

/* ICE-058: a hundred candidates a stream, and one more. */
static void test_many(void)
{
	static struct ice_description d;
	static char text[32768];
	struct sdp_skipped skipped;
	size_t n = (size_t)snprintf(text, sizeof(text), "m=audio 9 RTP/AVP 0\n");
	char err[128];

	for (unsigned i = 0; i < ICE_CANDIDATES_MAX + 1; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		                      "a=candidate:1 1 UDP 5 198.18.0.1 %u typ host\n", i + 1);
	CHECK(sdp_parse(text, n, &d, &skipped, err), err);
	CHECK(d.stream[0].n_candidates == ICE_CANDIDATES_MAX && skipped.too_many == 1, "bounded");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "candidates (ICE-059..063, ICE-208)", test_candidates },
		{ "hidden addresses (ICE-060)", test_hide },
		{ "description (ICE-064..072)", test_description },
		{ "refused (ICE-064, ICE-068)", test_refused },
		{ "pacing (ICE-067)", test_pacing },
		{ "trickle (ICE-195)", test_trickle },
		{ "round trip", test_round_trip },
		{ "fragment (ICE-070)", test_fragment },
		{ "pasted line", test_pasted },
		{ "bounds (ICE-058)", test_many },
		CU_TEST_INFO_NULL,
	};
	return run_suite("sdp", tests);
}
