/* Every invocation with every wrong type, right, handle, length and value: made from the ABI table,
 * and run both by a host test and by a program on the kernel. Freestanding.
 *
 * Each case is a call that would be done, but for one thing. It must be refused with just the
 * error, argument and limit that the table gives, and leave all tables as they were.
 */
#ifndef KERNEL_MATRIX_H
#define KERNEL_MATRIX_H

#include "abi/abi.h"
#include <stdbool.h>
#include <stdint.h>

/* One of everything, made by calls; handles are matrix.first + these. */
enum {
    HAS_CNODE, /* of 32 slots; slot 1 is a copy of the endpoint, slot 2 holds nothing, slot 3 a
                  badged copy */
    HAS_THREAD,
    HAS_ENDPOINT,
    HAS_NOTIFICATION,
    HAS_BADGED, /* copy of the endpoint, badge 77 */
    HAS_FRAME,  /* mapped: entry 5 of the table */
    HAS_LARGE,  /* mapped: entry 3 of the table of level 2 */
    HAS_TABLE1,
    HAS_TABLE2,
    HAS_TABLE3,
    HAS_SPACE,
    HAS_IRQ,    /* bound to the notification */
    HAS_PORT,   /* 100 ports from 0x3f8 */
    HAS_DEVICE, /* mapped: entry 6 of the table */
    HAS_PART,   /* 4 endpoints, untyped */
    HAS_REPLY,
    HAS_CONTEXT,
    HAS_COPY,        /* of the frame, mapped: entry 7 of the table, to be executed */
    HAS_LOOSE,       /* a frame that is not mapped */
    HAS_LOOSE_TABLE, /* a table of level 1 that is not mapped */
    HAS_LOOSE_IRQ,   /* a line that is not bound */
    HAS_SLOTS,       /* untyped: 64 slots, the first 32 the cnode's */
    HAS_EMPTY,       /* nothing */
    HAS_SCRATCH,     /* nothing; for copies with fewer rights */
    HAS_END,
};

struct matrix {
    uint64_t cnode;          /* handle of the caller's cnode, with all rights */
    uint64_t untyped[KINDS]; /* handles of ranges with something free */
    uint64_t monitor;
    uint64_t first; /* HAS_END empty slots from here */
    uint64_t slots; /* of the cnode: from here on handles are outside */
};

/* What the cases need of whoever runs them. */
uint32_t matrix_invoke(uint64_t handle, uint32_t label, uint32_t words,
                       uint64_t word[MSG_WORDS_REGS]);
uint64_t matrix_sum(void); /* one number for all tables */
void matrix_failed(uint32_t label, const char *what, uint64_t value, uint32_t error,
                   uint64_t argument);

/* Makes one of everything; the number of calls that were refused, so 0. */
uint32_t matrix_furnish(const struct matrix *m);

/* All cases of a label: how many failed; *cases how many there are. */
uint32_t matrix_run(const struct matrix *m, uint32_t label, uint32_t *cases);

#endif
