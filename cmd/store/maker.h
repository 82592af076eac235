/* What `store get` makes on the host. While one thread reads the store and checks every score,
 * another makes the files: creating and filling them is about half of the work of a restore.
 *
 * Jobs are done in the order in which they were asked for. Memory is bounded: who asks waits while
 * the batches are full. Without a second thread jobs are done when a batch is full, by who asks. */
#ifndef COGNU_STORE_MAKER_H
#define COGNU_STORE_MAKER_H

#include "verbs.h"

#include <pthread.h>

enum { MAKER_BATCHES = 3 };

struct batch {
    uint8_t *data; /* jobs, one behind the other */
    size_t len;
};

struct maker {
    pthread_mutex_t lock; /* of all that follows but what is said to be one side's */
    pthread_cond_t more, less;
    pthread_t thread;
    bool threaded, stop;
    struct batch batch[MAKER_BATCHES];
    uint32_t put, taken; /* numbers of batches that were filled, and done */
    struct batch *open;  /* being filled; the asker's */
    cg_err failed;       /* ends everything */
    struct cg_errbuf eb;
    struct meter meter;
    uint64_t files, bytes, problems; /* read them after maker_wait */
    int fd;                          /* of the file that is being made, or negative; the maker's */
    cg_err written;                  /* how its data fared; the maker's */
    bool root;                       /* may give files away */
};

cg_err maker_start(struct maker *m, bool threaded);
void maker_stop(struct maker *m); /* what was asked for is done first */
/* All that was asked for is done. The error that ended it, if one did. */
cg_err maker_wait(struct maker *m, struct cg_errbuf *eb);

/* A file, link or special file below dirfd, which stays open until all jobs with it are done; its
 * name is the last element of path, and path is for messages. Data of a file follows, then its end.
 */
cg_err maker_begin(struct maker *m, int dirfd, const char *path, const struct store_entry *e,
                   struct cg_errbuf *eb);
cg_err maker_data(struct maker *m, uint64_t at, const uint8_t *data, size_t len,
                  struct cg_errbuf *eb);
/* One that is not whole does not stay. */
cg_err maker_end(struct maker *m, int dirfd, const char *path, const struct store_entry *e,
                 bool whole, struct cg_errbuf *eb);
/* The directory fd is complete: it gets its attributes and is closed. */
cg_err maker_leave(struct maker *m, int fd, const char *path, const struct store_entry *e,
                   struct cg_errbuf *eb);
/* At once; only after maker_wait. */
void maker_attributes(struct maker *m, int fd, const char *path, const struct store_entry *e);
void maker_problem(struct maker *m, const char *path,
                   const char *what); /* says errno, and counts */
void maker_progress(struct maker *m, uint64_t bytes, uint64_t files);

#endif
