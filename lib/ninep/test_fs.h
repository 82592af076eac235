/* test_fs.h: a tiny file server for tests of client and glue.
 *
 *   log    each write is appended, so that one done twice is seen; create and remove are logged too
 *   bulk   reads give a pattern, writes are counted and forgotten; as large as one likes
 *   hang   a read or write is answered only when it is cancelled
 */
#ifndef COGNU_TEST_FS_H
#define COGNU_TEST_FS_H

#include <cognu/ninep.h>

enum { TEST_LOG, TEST_BULK, TEST_HANG, TEST_FILES };

struct test_fs {
    struct cg_str log;
    uint64_t bulk_bytes;
    uint32_t hanging, refs;
};
extern const struct ninep_ops test_fs_ops;
void test_fs_pattern(uint8_t *data, uint64_t offset, uint32_t count);

#endif
