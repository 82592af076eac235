/* A disk in memory behind struct store_io, for tests: it counts its calls, fails or stops at the
 * n-th, fills up, and crashes. What was written and not synced may be lost, torn into sectors and
 * reordered; a name that was made, moved or removed may be lost until its folder is synced. */
#ifndef COGNU_TESTS_STORE_DISK_H
#define COGNU_TESTS_STORE_DISK_H

#include <cognu/store.h>

struct disk;
struct disk *disk_new(void);
void disk_free(struct disk *d);
/* The table; ctx is the disk. It has no fini: the disk is the test's. */
struct store_io disk_io(struct disk *d);

uint64_t disk_calls(
    const struct disk *d); /* that change something: create, write, sync, rename, remove... */
uint64_t disk_bytes(const struct disk *d);
/* From the n-th changing call from now on all calls fail, as if the machine had stopped. 0: never.
 * The n-th write is done in part. */
void disk_stop_at(struct disk *d, uint64_t n);
/* Only the n-th call from now (of any kind) fails, with CG_EIO. */
void disk_fail_at(struct disk *d, uint64_t n);
bool disk_failed(const struct disk *d);          /* that call came */
void disk_limit(struct disk *d, uint64_t bytes); /* more is CG_ENOSPC; 0: no limit */
/* What a machine finds that starts again: a new disk, chosen by the seed among all that could be
 * left. */
struct disk *disk_crash(const struct disk *d, uint64_t seed);
struct disk *
disk_copy(const struct disk *d); /* everything as a program sees it, all of it synced */

/* For flipping bytes and the like. */
uint32_t disk_files(const struct disk *d);
const char *disk_name(const struct disk *d, uint32_t i);
uint8_t *disk_data(struct disk *d, uint32_t i, size_t *len);
void disk_truncate(struct disk *d, uint32_t i, size_t len);

/* A small reproducible generator (splitmix64). */
uint64_t disk_random(uint64_t *seed);

#endif
