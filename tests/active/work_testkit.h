/* A workload of an active tree: the same changes, syncs and commits with changes while they go on,
 * and snapshots for the same seed, until it is done or the first error. */
#ifndef COGNU_TESTS_ACTIVE_WORK_H
#define COGNU_TESTS_ACTIVE_WORK_H

#include "shadow_testkit.h"

enum { WORK_STEPS = 150, WORK_SNAPSHOTS_MAX = 8 };

/* Of a run that nothing stopped: the tree after each step. */
extern struct cg_str work_text[WORK_STEPS + 1];
void work_text_fini(void);

struct work {
    int done, synced; /* steps; those that were acknowledged as durable */
    int snapshot[WORK_SNAPSHOTS_MAX];
    int snapshots; /* acknowledged, and after which step each was taken */
    cg_err e;
};
/* record: sets work_text. after, if not NULL, is called before the tree is closed. */
void work_run(struct disk *d, struct work *r, uint64_t seed, bool record,
              void (*after)(struct world *w, struct work *r));
bool work_equal(const struct cg_str *a, const struct cg_str *b);
/* The disk holds a tree that was there after one of the steps from first on, and all snapshots; the
 * store is whole, and the tree goes on. Says what is wrong and gives false. */
bool work_verify(struct disk *d, const struct work *r, int first);

#endif
