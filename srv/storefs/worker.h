/* Commits and syncs of the active tree on threads of libuv's pool, and the tick once a second. */
#ifndef STOREFS_WORKER_H
#define STOREFS_WORKER_H

#include "storefs.h"
#include <uv.h>

struct worker;
/* Gives what storefs_serve_active wants; both outlive the server. */
cg_err worker_new(uv_loop_t *loop, struct worker **out, struct storefs_live *live);
void worker_start(struct worker *w, struct storefs *fs);
/* After the server: waits for what is under way, and takes it in. */
void worker_free(struct worker *w);

/* This process, for who asks for the hold; and whether such a one is no more: its number on this
 * boot of this machine is free or another's. */
enum { WHO_BYTES = 52 };
void who_am_i(char out[WHO_BYTES]);
bool who_is_gone(void *aux, const char *who);

#endif
