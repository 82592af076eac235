/* The file server under test is ramfs. */
#include "../../srv/ramfs/ramfs.h"
#include "rig.h"
#include <unistd.h>

static void start(uv_loop_t *loop, uint64_t bytes, const struct ninep_ops **ops, void **aux,
                  char where[256])
{
    (void)loop;
    struct ramfs_config config = {.env = &cg_env_real,
                                  .bytes_max = bytes,
                                  .owner = UINT64_C(1) << 63,
                                  .group = UINT64_C(1) << 63};
    struct ramfs *fs;
    cg_err e = ramfs_new(&config, &fs, NULL);
    cg_assert(e == CG_OK);
    where[0] = '\0';
    *ops = &ramfs_ops;
    *aux = fs;
}

static void stop(void *aux)
{
    ramfs_free(aux);
}

const struct rig_kind rig_kind = {
    .name = "ramfs", .start = start, .stop = stop, .bytes_small = 1 << 20};
