/* Random invocations by several threads, on the image that checks the invariant after every entry.
 *
 * CALLERS threads, each with a cnode of its own, make calls most of which make sense: caller.c
 * chooses the arguments from what the thread remembers of its cnode, one in six of them noise. The
 * root task, with the same priority, gives back what they lost and sets threads that got stuck
 * going again: main.c. On the command line: calls=N, seed=N.
 */
#ifndef USER_RANDOM_H
#define USER_RANDOM_H

#include "boot.h"

#define CALLERS      3u
#define CALLER_SLOTS 48u
#define CALLER_FREE  20u /* the slots below hold what each caller is given */

/* What a caller is given: an untyped of each kind in the slot of the kind's number, and */
#define HAS_CNODE    11u
#define HAS_THREAD   12u /* its own, to be read only */
#define HAS_MONITOR  13u /* to be read only */
#define HAS_ENDPOINT 14u /* shared by the callers */
#define HAS_SIGNAL   15u /* a notification, shared too */

struct caller {
    uint64_t random;
    uint64_t calls;
    uint64_t count[KINDS];      /* length of its untyped ranges */
    uint8_t type[CALLER_SLOTS]; /* what it believes that its slots hold, */
    uint8_t like[CALLER_SLOTS]; /* kind of untyped, level of table */
};

struct tally {
    uint64_t tried[LABELS], done[LABELS], passed[CALLS];
};
extern struct tally tally;

/* Calls for ever. */
_Noreturn void caller_run(struct caller *c);

#endif
