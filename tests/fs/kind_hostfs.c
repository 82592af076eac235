/* The file server under test is hostfs, on a directory of its own; as root a small file system is a
 * tmpfs that only this process sees.
 */
#include "../../srv/hostfs/hostfs.h"
#include "rig.h"
#include <ftw.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static char directory[256];
static bool mounted;

static bool private_mounts(void)
{
    static int got = -1;
    if (got < 0) {
        got = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
              mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    }
    return got == 1;
}

static void start(uv_loop_t *loop, uint64_t bytes, const struct ninep_ops **ops, void **aux,
                  char where[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/cognu-fs-XXXXXX", base != NULL ? base : "/tmp");
    if (geteuid() == 0 && setgroups(0, NULL) != 0) {
        abort();
    }
    if (mkdtemp(directory) == NULL || chmod(directory, 01777) != 0) {
        abort();
    }
    mounted = bytes > 0 && private_mounts();
    if (mounted) {
        char options[64];
        snprintf(options, sizeof options, "size=%llu,mode=1777", (unsigned long long)bytes);
        mounted = mount("tmpfs", directory, "tmpfs", 0, options) == 0;
    }
    struct hostfs_tree tree = {.name = "root", .path = directory};
    struct hostfs_config config = {.loop = loop, .tree = &tree, .trees = 1};
    struct hostfs *fs;
    struct cg_errbuf eb = {0};
    cg_err e = hostfs_new(&config, &fs, &eb);
    if (e != CG_OK) {
        fprintf(stderr, "%s\n", eb.text);
        abort();
    }
    snprintf(where, 256, "%s", directory);
    *ops = &hostfs_ops;
    *aux = fs;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void stop(void *aux)
{
    hostfs_free(aux);
    if (mounted) {
        umount2(directory, MNT_DETACH);
    }
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    mounted = false;
}

const struct rig_kind rig_kind = {
    .name = "hostfs", .host = true, .start = start, .stop = stop, .bytes_small = 1 << 20};
