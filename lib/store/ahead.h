/* ahead: frames loaded by a thread for who reads on. */
#ifndef COGNU_STORE_AHEAD_H
#define COGNU_STORE_AHEAD_H

#include "store__.h"

enum {
    AHEAD_FRAMES = 4,   /* loaded and not asked for yet; 512 KiB each */
    AHEAD_RUN = 6,      /* so many frames were read on from before the thread follows on and on */
    AHEAD_PATIENCE = 8, /* turns of another reader before the thread follows that one */
};
#define AHEAD_ALL UINT64_MAX
struct ahead;
cg_err ahead_new(struct store *s, struct ahead **out);
void ahead_free(struct ahead *a);
/* The frame at a place, if it is there or under way, in exchange for *out. The others are nothing
 * without a thread (a is NULL). */
bool ahead_take(struct ahead *a, uint32_t pack, uint32_t at, struct frame_in *out);
/* f is being read: those behind it may be asked for next; so many bytes of objects of them will. */
void ahead_follow(struct ahead *a, const struct frame_in *f, uint64_t want);
void ahead_forget(struct ahead *a, uint32_t pack); /* its file goes or changes */
uint64_t ahead_taken(struct ahead *a);             /* frames that were asked for in time */

#endif
