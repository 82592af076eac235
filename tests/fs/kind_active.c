/* The file server under test is storefs: its active tree, on a store in memory. */
#include "../../srv/storefs/storefs.h"
#include "../store/tree_testkit.h"
#include "rig.h"
#include <unistd.h>

static struct disk *disk;
static struct store_io io;
static struct store *reads, *writes;
static struct active *tree;
static struct ninep_ops ops_of_tree;

/* Its tree is the active one. */
static void attach(struct ninep_req *r)
{
    r->t.attach.tree = cg_span_of("active");
    storefs_ops.attach(r);
}

static void start(uv_loop_t *loop, uint64_t bytes, const struct ninep_ops **ops, void **aux,
                  char where[256])
{
    struct storefs *fs;
    cg_err e;
    (void)loop;
    disk = disk_new();
    io = disk_io(disk);
    e = kit_init(&io);
    cg_assert(e == CG_OK);
    reads = kit_open(&io, &e);
    writes = kit_open(&io, &e);
    cg_assert(reads && writes);
    struct active_config c = {.reads = reads, .writes = writes, .who = "test", .mode = 01777};
    e = active_open(&c, &tree, NULL);
    cg_assert(e == CG_OK);
    e = storefs_new(reads, UINT64_C(1) << 63, &fs, NULL);
    cg_assert(e == CG_OK);
    storefs_serve_active(fs, tree, NULL);
    disk_limit(disk, bytes ? disk_bytes(disk) + ACTIVE_SPACE_MARGIN + bytes : 0);
    ops_of_tree = storefs_ops;
    ops_of_tree.attach = attach;
    where[0] = '\0';
    *ops = &ops_of_tree;
    *aux = fs;
}

static void stop(void *aux)
{
    storefs_free(aux);
    active_close(tree);
    store_close(writes);
    store_close(reads);
    disk_free(disk);
}

const struct rig_kind rig_kind = {
    .name = "active", .unreserved = true, .start = start, .stop = stop};
