/* How fast the file servers answer, over the framework and the rig's queues, without a wire:
 * prints, asserts nothing. usage: fs_perf_KIND [FILES]
 */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 5000, SMALL = 300, MEGA = 1 << 20, SIZE_MB = 64, ROUNDS = 5 };

static struct rig_names page;

static uint64_t now(void)
{
    return cg_env_real.now_ns(NULL);
}

static void must(cg_err e, const char *what)
{
    if (e != CG_OK) {
        fprintf(stderr, "%s: %s\n", what, cg_err_name(e));
        exit(1);
    }
}

static void print(const char *what, double value, const char *unit)
{
    printf("%s %-28s %10.1f %s\n", rig_kind.name, what, value, unit);
}

/* The best of a few rounds, in ns; counts entries and inlined files. */
static uint64_t list(struct rig_client *c, uint32_t want, uint32_t *entries, uint32_t *whole)
{
    uint64_t best = UINT64_MAX;
    uint32_t fid;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = now(), cookie = 0;
        *entries = *whole = 0;
        must(rig_walk(c, "d", &fid), "walk");
        do {
            /* So few bytes that a page has at most as many entries as rig_names holds. */
            must(rig_readdir(c, fid, cookie, 131072, want, 4096, &page), "readdir");
            for (uint32_t i = 0; i < page.count; i++) {
                *whole += page.entry[i].whole;
                cookie = page.entry[i].cookie;
            }
            *entries += page.count;
        } while (!page.eof);
        rig_clunk(c, fid);
        best = now() - begin < best ? now() - begin : best;
    }
    return best;
}

static void listings(struct rig_client *c, uint32_t files)
{
    char name[32];
    uint8_t data[SMALL];
    uint32_t entries, whole;
    memset(data, 's', sizeof data);
    must(rig_mkdir(c, "d", 0755), "mkdir");
    uint64_t begin = now();
    for (uint32_t i = 0; i < files; i++) {
        snprintf(name, sizeof name, "d/file%u", i);
        must(rig_put(c, name, 0, 0644, data, sizeof data), "put");
    }
    print("walk + put + clunk, us each", (double)(now() - begin) / 1e3 / files, "us");
    uint64_t ns = list(c, 0, &entries, &whole);
    printf("%s listed %u entries, %u inlined\n", rig_kind.name, entries, whole);
    print("readdir, all files", (double)ns / 1e6, "ms");
    ns = list(c, NINEP_WANT_INLINE, &entries, &whole);
    printf("%s listed %u entries, %u inlined\n", rig_kind.name, entries, whole);
    print("readdir + inline, all files", (double)ns / 1e6, "ms");
    ns = list(c, NINEP_WANT_INLINE | NINEP_WANT_LEASE, &entries, &whole);
    print("readdir + inline + leases", (double)ns / 1e6, "ms");
}

static void contents(struct rig_client *c)
{
    uint32_t fid, n;
    uint8_t *data = cg_zalloc(MEGA);
    must(rig_create(c, "big", NINEP_OPEN_RDWR, 0644, &fid), "create");
    uint64_t begin = now();
    for (uint64_t i = 0; i < SIZE_MB; i++) {
        must(rig_write(c, fid, i * MEGA, data, MEGA, &n), "write");
    }
    print("write of 1 MiB", SIZE_MB / ((double)(now() - begin) / 1e9), "MiB/s");
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        begin = now();
        for (uint64_t i = 0; i < SIZE_MB; i++) {
            union ninep_tmsg t = {.read = {.fid = fid, .offset = i * MEGA, .count = MEGA}};
            must(rig_call(c, NINEP_TREAD, &t), "read");
        }
        best = now() - begin < best ? now() - begin : best;
    }
    print("read of 1 MiB", SIZE_MB / ((double)best / 1e9), "MiB/s");
    uint32_t small = 0;
    begin = now();
    for (; small < 20000; small++) {
        struct ninep_attr a;
        must(rig_fstat(c, fid, &a), "getattr");
    }
    print("getattr", (double)(now() - begin) / 1e3 / small, "us");
    rig_clunk(c, fid);
    cg_free(data);
}

int main(int argc, char **argv)
{
    uint32_t files = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : FILES;
    struct rig *rig = rig_new(0);
    struct rig_client *c = rig_attach(rig, geteuid(), "");
    must(c->err, "attach");
    listings(c, files);
    contents(c);
    rig_free(rig);
    return 0;
}
