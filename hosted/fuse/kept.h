/* kept: what of a space its adapter's successor needs, in the adapter's book (book.h), and how a
 * successor goes on (INVARIANTS.md, "Death"). The namespace keeps its own part (ns.h).
 */
#ifndef COGNU_FUSE_KEPT_H
#define COGNU_FUSE_KEPT_H

#include "adapter.h"

enum { KEPT_VERSION = 1, KEPT_BYTES_MIB = 1024, KEPT_SETTLE_MS = 10000 };

/* Opens the adapter's book; keep NULL: for this process alone. */
cg_err kept_open(struct adapter *a, struct cg_errbuf *eb);
/* Takes up the spaces of a predecessor. */
void kept_adopt(struct adapter *a);
/* Something is to be done after a while: when next, 0: nothing. */
uint64_t kept_tick(struct space *s, uint64_t now_ns);

/* A new space: its descriptor is s->dev's. */
cg_err kept_space(struct space *s, int fd, struct cg_errbuf *eb);
void kept_space_end(struct space *s);

/* Each handle, as it is now. */
void kept_handle(struct space *s, uint64_t fh);

/* The kernel's request: true when a predecessor has begun it, and it is answered from what came of
 * it, now or later. Else it is new, and if it changes something that is noted. */
bool kept_begun(struct space *s, struct freq *r);
/* Its caller does not want to wait any longer. */
void kept_cancel(struct space *s, struct freq *r);
/* Before an answer is written, and after. */
void kept_answer(struct space *s, struct freq *r, bool after);
/* What operations that begin from here on are for. NULL: nothing. */
void kept_origin(struct space *s, const struct freq *r);

/* The namespace's hooks. */
void kept_outcome(void *ctx, uint64_t origin, uint8_t type, cg_err e, uint64_t count);
void kept_pending(void *ctx, uint64_t origin, uint8_t type);

/* Locks that owners hold: of which node, and by whom. */
bool kept_lock(struct space *s, uint64_t nodeid, uint64_t owner, uint32_t pid); /* false: full */
uint32_t kept_lock_pid(const struct space *s, uint64_t nodeid, uint64_t owner);
bool kept_unlock(struct space *s, uint64_t nodeid, uint64_t owner); /* was there one? */

#endif
