/* Freed after the grace period, in order. */
#include "dataplane/retire.h"

#include <assert.h>
#include <rte_rcu_qsbr.h>

bool retire_room(const struct retire *r, unsigned n)
{
	return r->n + n <= RETIRE_MAX;
}

void retire_later(struct retire *r, void *what, void (*release)(void *))
{
	if (what == NULL)
		return;
	if (r->qsbr == NULL) {
		release(what);
		return;
	}
	assert(retire_room(r, 1));
	const unsigned at = (r->first + r->n++) % RETIRE_MAX;

	r->entry[at].what = what;
	r->entry[at].release = release;
	r->entry[at].token = rte_rcu_qsbr_start(r->qsbr);
}

static void release_first(struct retire *r)
{
	r->entry[r->first].release(r->entry[r->first].what);
	r->first = (r->first + 1) % RETIRE_MAX;
	r->n--;
}

void retire_run(struct retire *r)
{
	while (r->n && rte_rcu_qsbr_check(r->qsbr, r->entry[r->first].token, false))
		release_first(r);
}

void retire_all(struct retire *r)
{
	while (r->n)
		release_first(r);
}
