/*
 * What engine 0's thread does beside packets: the kernel's frames, the TURN clients, a storm or a
 * replay, and what main asks for.
 */
#include <netinet/in.h>
#include <time.h>

#include "dataplane/port.h"
#include "pkt-gen/place.h"
#include "pkt-gen/run_parts.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

enum { ETHER = 14, IP4 = 20, IP6 = 40, UDP = 8, SERVICE_BUDGET = 32, HANDED_BURST = 32 };
enum task_state { TASK_NONE, TASK_ASKED };

/* A datagram in a frame. */
struct datagram {
	struct endpoint from, to;
	const uint8_t *octets;
	size_t len;
};

uint64_t run_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* --- what arrives without a stamp --- */

static bool udp_right(const uint8_t *src, const uint8_t *dst, size_t addr_len, const uint8_t *udp)
{
	const uint16_t len = be16_load(udp + 4);

	if (be16_load(udp + 6) == 0)
		return addr_len == 4;
	return csum_udp_right(src, dst, addr_len, udp, len);
}

/* An unfragmented UDP datagram without options. */
static bool open_datagram(struct rte_mbuf *m, bool software, struct datagram *d, bool *right)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *ip = frame + ETHER, *udp;
	const size_t have = rte_pktmbuf_data_len(m);
	size_t addr_len, at;

	if (have >= ETHER + IP4 + UDP && be16_load(frame + 12) == 0x0800 && ip[0] == 0x45 &&
	    ip[9] == IPPROTO_UDP && (be16_load(ip + 6) & 0x3FFF) == 0) {
		addr_len = 4;
		at = ETHER + IP4;
		d->from.addr = addr_from4(ip + 12);
		d->to.addr = addr_from4(ip + 16);
	} else if (have >= ETHER + IP6 + UDP && be16_load(frame + 12) == 0x86DD &&
	           ip[6] == IPPROTO_UDP) {
		addr_len = 16;
		at = ETHER + IP6;
		memcpy(d->from.addr.ip, ip + 8, 16);
		memcpy(d->to.addr.ip, ip + 24, 16);
	} else {
		return false;
	}
	udp = frame + at;
	d->from.port = be16_load(udp);
	d->to.port = be16_load(udp + 2);
	d->octets = udp + UDP;
	d->len = be16_load(udp + 4);
	if (d->len < UDP || at + d->len > have)
		return false;
	d->len -= UDP;
	if (software)
		port_complete_checksum(m);
	*right = udp_right(addr_len == 4 ? ip + 12 : ip + 8, addr_len == 4 ? ip + 16 : ip + 24,
	                   addr_len, udp);
	return true;
}

static bool is_stun(const struct datagram *d)
{
	return d->len >= 20 && d->octets[0] <= 3 && be32_load(d->octets + 4) == 0x2112A442;
}

/* false: it is the kernel's. */
static bool take(struct run *r, const struct lane *lane, struct rte_mbuf *m)
{
	struct datagram d;
	bool right = false;
	uint64_t now;

	if (!open_datagram(m, lane->software, &d, &right))
		return false;
	now = run_now_ns();
	/* First, for a storm's addresses need not be ours; it takes only what is its own. */
	if (right && r->storm != NULL &&
	    storm_input(r->storm, now, &d.to, &d.from, d.octets, d.len))
		return true;
	if (!link_ours(r->link, &d.to.addr))
		return false;
	if (right && r->fleet != NULL && is_stun(&d) &&
	    fleet_input(r->fleet, now, &d.to, d.octets, d.len))
		return true;
	if (right && r->replay != NULL &&
	    replay_input(r->replay, now, &d.to, &d.from, d.octets, d.len))
		return true;
	/* UDP to us never goes to the kernel: it would answer port unreachable. */
	atomic_fetch_add_explicit(&r->strangers, 1, memory_order_relaxed);
	return true;
}

static void sort(struct run *r, unsigned lane, struct rte_mbuf *m)
{
	if (take(r, &r->lane[0][lane], m))
		rte_pktmbuf_free(m);
	else
		link_give(r->link, lane, &m, 1);
}

void run_other(void *arg, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	const struct run_ear *ear = arg;
	struct run *r = ear->run;

	for (unsigned i = 0; i < n; i++) {
		if (ear->engine == 0) {
			sort(r, lane, m[i]);
			continue;
		}
		m[i]->port = (uint16_t)lane;
		if (rte_ring_enqueue(r->handed, m[i]) != 0)
			rte_pktmbuf_free(m[i]); /* whoever waits for it asks again */
	}
}

static unsigned take_handed(struct run *r)
{
	struct rte_mbuf *m[HANDED_BURST];
	unsigned n;

	if (r->handed == NULL)
		return 0;
	n = rte_ring_dequeue_burst(r->handed, (void **)m, HANDED_BURST, NULL);
	for (unsigned i = 0; i < n; i++)
		sort(r, m[i]->port, m[i]);
	return n;
}

/* --- the clients --- */

static unsigned poll_fleet(struct run *r)
{
	static struct fleet_datagram out[RUN_FLEET_BURST];
	struct rte_mbuf *m[RUN_FLEET_BURST];
	const unsigned n = fleet_poll(r->fleet, run_now_ns(), out, RUN_FLEET_BURST);
	unsigned n_frames = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct endpoint from = place_client(r->options, out[i].client);

		m[n_frames] = link_frame(r->link, &from, &r->server, r->server_macs, r->server_lane,
		                         out[i].octets, out[i].len);
		n_frames += m[n_frames] != NULL; /* else the fleet sends it again */
	}
	if (n_frames > 0)
		engine_send(r->engine[0], r->server_lane, m, n_frames);
	return n;
}

unsigned run_chore(void *arg, uint64_t now_ns)
{
	struct run *r = arg;
	unsigned work = link_service(r->link, r->engine[0], SERVICE_BUDGET);

	(void)now_ns; /* of another clock, perhaps */
	work += take_handed(r);
	if (r->fleet != NULL)
		work += poll_fleet(r);
	if (r->storm != NULL)
		work += storm_turn(r->storm, run_now_ns());
	if (r->replay != NULL)
		work += replay_turn(r->replay, run_now_ns());
	if (r->record != NULL)
		work += record_turn(r->record);
	if (atomic_load_explicit(&r->task_state, memory_order_acquire) == TASK_ASKED) {
		r->task(r, r->task_arg);
		atomic_store_explicit(&r->task_state, TASK_NONE, memory_order_release);
		work++;
	}
	return work;
}

void run_ask(struct run *r, run_task *task, void *arg)
{
	r->task = task;
	r->task_arg = arg;
	atomic_store_explicit(&r->task_state, TASK_ASKED, memory_order_release);
	while (atomic_load_explicit(&r->task_state, memory_order_acquire) != TASK_NONE)
		nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

struct storm_field run_storm_field(struct run *r)
{
	struct storm_field field = { .options = r->options,
		                     .link = r->link,
		                     .engine = r->engine[0],
		                     .fleet = r->fleet,
		                     .lane = r->server_lane,
		                     .pool = r->lane[0][r->server_lane].pool,
		                     .user = r->user[0] != '\0' ? r->user : NULL,
		                     .password = r->password[0] != '\0' ? r->password : NULL };

	memcpy(field.macs, r->server_macs, sizeof(field.macs));
	return field;
}
