/* What a program holds and has not used yet: empty slots of its cnode, and one untyped range a
 * kind, from which objects are made in turn. Nothing is given back one by one: a mark remembers
 * where all ranges stand, and holdings_reset deletes what was made since.
 */
#ifndef USER_HOLDINGS_H
#define USER_HOLDINGS_H

#include "sys.h"

struct range {
    uint64_t untyped; /* handle; 0: the program holds none of this kind */
    uint64_t first;   /* of the range itself, where it matters: frames */
    uint64_t count;
    uint64_t used;
};

struct holdings {
    uint64_t cnode;     /* the program's own, as a handle in itself */
    uint64_t slots;     /* its length */
    uint64_t free_slot; /* the first that was never used */
    struct range range[KINDS];
};

struct mark {
    uint64_t free_slot;
    uint64_t used[KINDS];
};

/* Each gives a handle, or gives up with a message when the holdings are exhausted. */
uint64_t slot_new(struct holdings *h);
uint64_t slots_new(struct holdings *h, uint64_t count); /* consecutive; the first */
uint64_t object_new(struct holdings *h,
                    uint64_t type); /* thread endpoint notification reply context space */
uint64_t table_new(struct holdings *h, unsigned level);
uint64_t frame_new(struct holdings *h);
uint64_t frames_new(struct holdings *h,
                    uint64_t count); /* 4 KiB each, handles consecutive; the first */
uint64_t large_frame_new(struct holdings *h);
uint64_t cnode_new(struct holdings *h, uint64_t slots);
/* A part of the range as an untyped of its own: for another program. */
uint64_t untyped_new(struct holdings *h, unsigned kind, uint64_t count);
/* A capability made from another of the program's, or the same with a badge. */
uint64_t copy_new(struct holdings *h, uint64_t from, uint64_t rights);
uint64_t badged_new(struct holdings *h, uint64_t from, uint64_t rights, uint64_t badge);

struct mark holdings_mark(const struct holdings *h);
void holdings_reset(struct holdings *h, const struct mark *m);

#endif
