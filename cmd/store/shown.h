/* shown: a store as files in a directory of this host. Two programs do it, each with its own job:
 * storefs serves the files, cognu-fuse shows them. One that is killed gets a successor: the adapter
 * makes its session with a new server anew, and an adapter's descriptors and books are kept here
 * (<cognu/keep.h>), so that open files stay open over the death of either. */
#ifndef COGNU_STORE_SHOWN_H
#define COGNU_STORE_SHOWN_H

#include "verbs.h"

#include <cognu/keep.h>

#include <sys/types.h>

struct shown_part {
    pid_t pid;      /* 0: it does not run */
    bool killed;    /* the last one ended by a signal */
    int status;     /* else its exit status */
    int successors; /* of such as were killed soon, in a row */
    uint64_t began_ns;
};

struct shown {
    char folder[sizeof "/tmp/store-mount-XXXXXX"]; /* of sockets */
    char socket[sizeof "/tmp/store-mount-XXXXXX/storefs"];
    const char *place; /* where it is mounted; not owned */
    struct store_secret secret;
    struct shown_part server, adapter;
    struct keep_shelf shelf; /* what the adapter's successor needs */
    int line;                /* on which the adapter asks for it; -1: none */
};

/* Ends with a message when it cannot begin. From here on an interrupt is for shown_asked_to_end. */
void shown_init(struct shown *m, const char *place);
/* Starts both. False: one of them ended, and has said why. */
bool shown_start(struct shown *m);
/* Waits some milliseconds for something to do, and does it. False: it is not shown any more, by
 * somebody's unmounting, or because a part ended (shown_failed). */
bool shown_tend(struct shown *m);
bool shown_failed(const struct shown *m);
bool shown_asked_to_end(void);
/* Ends what runs and wipes the secret; the caller has unmounted. */
void shown_fini(struct shown *m);

#endif
