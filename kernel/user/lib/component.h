/* Components: native programs with a cnode, an address space and holdings of their own. A component
 * finds the same information at the same places as the root task (abi/boot_info.h), with less in
 * it: each is the root of what it was given.
 */
#ifndef USER_COMPONENT_H
#define USER_COMPONENT_H

#include "boot.h"

#define COMPONENT_SCRATCH 0x3fe00000ULL /* where the parent maps a page while it fills it */
#define COMPONENT_GRANTS  8u

/* What a component is given, beside itself. */
struct component_plan {
    const char *file; /* in the boot image */
    const char *line; /* its command line */
    uint64_t slots;   /* of its cnode */
    uint64_t budget_us, period_us, priority;
    uint64_t count[KINDS]; /* of each kind, as an untyped range of its own; not slot, which are its
                              cnode's beside this */
    uint64_t fault;        /* handle of the endpoint of its faults; 0: none */
    bool image;            /* it may read the boot image */
    unsigned grants;
    uint64_t grant[COMPONENT_GRANTS]; /* handles of the parent, with which rights, */
    uint64_t grant_rights[COMPONENT_GRANTS];
    uint64_t grant_slot[COMPONENT_GRANTS]; /* and where they stand in the component's cnode */
};

struct component {
    uint64_t cnode, thread, context;
    struct space space;
};

/* Starts it; gives up with a message when something is missing. */
void component_start(struct holdings *h, struct space *own, const struct component_plan *plan,
                     struct component *c);

#endif
