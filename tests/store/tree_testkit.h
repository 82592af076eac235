/* What the tests of the store share: a shadow of trees in memory, and comparing a store with it.
 *
 * A shadow is what a line of snapshots should hold: files with contents made from a seed, in
 * directories. It is trivial on purpose: an array of paths. */
#ifndef COGNU_TESTS_STORE_KIT_H
#define COGNU_TESTS_STORE_KIT_H

#include "disk_testkit.h"

enum { SHADOW_FILES_MAX = 64, SHADOW_DIRS = 4 };

struct shadow_file {
    uint32_t dir, name;  /* dir 0 is the root */
    uint32_t size, hole; /* a hole of so many bytes stands before the contents */
    uint64_t seed;       /* of the contents */
    uint32_t edit_at;    /* one byte differs from what the seed says */
};
struct shadow {
    struct shadow_file file[SHADOW_FILES_MAX];
    uint32_t files;
};
void shadow_random(struct shadow *t, uint64_t *seed);
void shadow_change(struct shadow *t, uint64_t *seed); /* a few files come, go, change */

/* Opens with cheap keys and small caches, without helpers. */
struct store_options kit_options(void);
struct store *kit_open(const struct store_io *io, cg_err *e);
struct store *kit_open_as(const struct store_io *io, const struct store_options *o, cg_err *e);
cg_err kit_init(const struct store_io *io);
/* Puts the tree and commits it under a name. */
cg_err kit_put(struct store_writer *w, const struct shadow *t, const char *name,
               enum store_commit how);
/* Puts without committing. */
cg_err kit_tree(struct store_writer *w, const struct shadow *t, struct store_score *snap,
                const char *name);
/* CG_OK: the snapshot is that tree, byte for byte; fails the test when it is another. */
cg_err kit_compare(struct store *s, const char *name, const struct shadow *t);
uint64_t kit_seed(const char *test, uint64_t otherwise); /* COGNU_SEED, or this; prints it */
bool kit_full(void);                                     /* COGNU_FULL=1: the long form */

#endif
