/* What the tests of the active tree share: a shadow of the tree, trivial on purpose, random steps
 * that are done to both, and one text for each of a shadow, a tree and a snapshot: equal trees give
 * equal texts. */
#ifndef COGNU_TESTS_ACTIVE_SHADOW_H
#define COGNU_TESTS_ACTIVE_SHADOW_H

#include "../store/disk_testkit.h"
#include <cognu/active.h>

enum { FILES_MAX = 160, NAMES_MAX = 320, BYTES_MAX = 300000, HELD_MAX = 4 };

struct sh_file {
    bool used;
    enum store_kind kind;
    uint32_t mode, nlink, holds, size;
    char xattr[16], target[16];
    uint8_t *data; /* BYTES_MAX */
};
struct sh_name {
    int dir, file;
    char name[8];
};
struct shadow_tree {
    struct sh_file file[FILES_MAX]; /* 0 is the root */
    struct sh_name name[NAMES_MAX];
    int names;
    int held[HELD_MAX];
    struct active_node *node[HELD_MAX]; /* the same, in the tree */
};
struct shadow_tree *shadow_new(void);
void shadow_free(struct shadow_tree *s);
/* Lets go of what is open, in the tree too when t is not NULL. */
void shadow_let_go(struct shadow_tree *s, struct active *t);
/* One random change of both. The tree's error when it is none that the shadow gives: the disk's;
 * the shadow is then as before. */
cg_err shadow_step(struct shadow_tree *s, struct active *t, uint64_t *seed);
/* Longest write of a step; up to ACTIVE_WRITE_BYTES a step is one frame of the journal. */
extern uint32_t shadow_write_max;
void shadow_text(const struct shadow_tree *s, struct cg_str *out);
/* Says where they differ first. */
void shadow_differ(const char *want, const char *got);
void active_text(struct active *t, struct cg_str *out);
void snapshot_text(struct store *s, const char *ref, struct cg_str *out);

/* A store on a disk, opened twice, and its active tree. */
struct world {
    struct store_io io;
    struct store *reads, *writes;
    struct active *t;
};
void world_init(struct disk *d);
cg_err world_open(struct world *w, struct disk *d);
void world_close(struct world *w);

#endif
