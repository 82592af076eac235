/* The walk of `store put`: put.c goes through directories, walk.c reads what stands in them. */
#ifndef COGNU_STORE_WALK_H
#define COGNU_STORE_WALK_H

#include "verbs.h"

#include <signal.h>
#include <sys/stat.h>

/* What was put for the first name of a file with several. */
struct link {
    enum store_content content;
    struct store_score score;
    uint64_t size;
    uint8_t data[STORE_INLINE_BYTES_MAX];
};

struct walk {
    struct store *s;
    struct store_writer *writer;
    struct store_stream *stream;
    const char *line;
    bool have_old;
    struct store_snapshot old, snap;
    struct cg_str path;           /* for messages and excludes */
    size_t prefix;                /* of path: what stands before the part that excludes see */
    struct cg_str xattrs, target; /* of the entry at hand */
    struct cg_map links;          /* (device, inode) to struct link */
    struct meter meter;
    uint64_t files, bytes, problems;
    dev_t dev;
    int depth;
    uint32_t tries;
    volatile sig_atomic_t *stop;
};

void walk_problem(struct walk *w, int err); /* says it, and counts */
const char *walk_base(const char *path);
cg_err walk_several(struct walk *w, int count, char **paths, struct cg_errbuf *eb);
cg_err walk_open_dir(struct walk *w, int fd, const struct store_score *old, struct store_score *out,
                     struct cg_errbuf *eb);
cg_err walk_dir(struct walk *w, int dirfd, const char *name, const struct stat *st,
                const struct store_score *old, struct store_entry *e, bool *out,
                struct cg_errbuf *eb);
/* *out: there is an entry. */
cg_err walk_file(struct walk *w, int dirfd, const char *name, const struct stat *st,
                 struct store_entry *e, bool *out, struct cg_errbuf *eb);
cg_err walk_other(struct walk *w, int dirfd, const char *name, const struct stat *st,
                  struct store_entry *e, bool *out);
cg_err walk_xattrs(struct walk *w, int fd, struct store_entry *e);

#endif
