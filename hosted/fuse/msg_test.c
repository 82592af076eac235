/* Tests of the codec with bytes made by hand. */
#include "msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* A request under construction. */
struct maker {
    uint8_t bytes[4096];
    size_t len;
};

static void add(struct maker *m, const void *data, size_t len)
{
    memcpy(m->bytes + m->len, data, len);
    m->len += len;
}

static void begin(struct maker *m, uint32_t opcode)
{
    struct fuse_in_header h = {.opcode = opcode, .unique = 7, .nodeid = 3, .uid = 1000, .pid = 42};
    m->len = 0;
    add(m, &h, sizeof(h));
}

static cg_err decode(struct maker *m, struct fmsg *out)
{
    uint32_t len = (uint32_t)m->len;
    memcpy(m->bytes, &len, sizeof(len));
    return fmsg_decode(out, m->bytes, m->len);
}

static void lookup(void **state)
{
    struct maker m;
    struct fmsg r;
    (void)state;
    begin(&m, FUSE_LOOKUP);
    add(&m, "hello", 6);
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_string_equal(r.name, "hello");
    assert_null(r.newname);
    assert_int_equal(r.h.unique, 7);
    assert_int_equal(r.h.nodeid, 3);
    assert_int_equal(r.h.pid, 42);
}

static cg_err try_name(const char *name)
{
    struct maker m;
    struct fmsg r;
    begin(&m, FUSE_LOOKUP);
    add(&m, name, strlen(name) + 1);
    return decode(&m, &r);
}

static void names(void **state)
{
    char longest[256], too_long[257];
    (void)state;
    memset(longest, 'x', 255);
    longest[255] = 0;
    memset(too_long, 'x', 256);
    too_long[256] = 0;
    assert_int_equal(try_name(longest), CG_OK);
    assert_int_equal(try_name(too_long), CG_ENAMETOOLONG);
    assert_int_equal(try_name(""), CG_EINVAL);
    assert_int_equal(try_name("."), CG_EINVAL);
    assert_int_equal(try_name(".."), CG_EINVAL);
    assert_int_equal(try_name("a/b"), CG_EINVAL);
    assert_int_equal(try_name("..."), CG_OK);
}

static void string_without_end(void **state)
{
    struct maker m;
    struct fmsg r;
    (void)state;
    begin(&m, FUSE_LOOKUP);
    add(&m, "hello", 5);
    assert_int_equal(decode(&m, &r), CG_EPROTO);
    assert_int_equal(r.h.unique, 7); /* so that it can be answered */
    begin(&m, FUSE_LOOKUP);
    assert_int_equal(decode(&m, &r), CG_EPROTO);
}

static void rename_forms(void **state)
{
    struct maker m;
    struct fmsg r;
    struct fuse_rename_in one = {.newdir = 9};
    struct fuse_rename2_in two = {.newdir = 10, .flags = 2};
    (void)state;
    begin(&m, FUSE_RENAME);
    add(&m, &one, sizeof(one));
    add(&m, "old\0new", 8);
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_int_equal(r.in.rename2.newdir, 9);
    assert_int_equal(r.in.rename2.flags, 0);
    assert_string_equal(r.name, "old");
    assert_string_equal(r.newname, "new");
    begin(&m, FUSE_RENAME2);
    add(&m, &two, sizeof(two));
    add(&m, "old\0new", 8);
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_int_equal(r.in.rename2.newdir, 10);
    assert_int_equal(r.in.rename2.flags, 2);
    begin(&m, FUSE_RENAME2);
    add(&m, &two, sizeof(two));
    add(&m, "old\0ne/w", 9);
    assert_int_equal(decode(&m, &r), CG_EINVAL);
}

/* The target of a link is no name: it may have slashes, and be long. */
static void symlink_target(void **state)
{
    struct maker m;
    struct fmsg r;
    (void)state;
    begin(&m, FUSE_SYMLINK);
    add(&m, "name\0../a/b", 12);
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_string_equal(r.name, "name");
    assert_string_equal(r.newname, "../a/b");
}

static void write_sizes(void **state)
{
    struct maker m;
    struct fmsg r;
    struct fuse_write_in in = {.fh = 5, .offset = 4096, .size = 3};
    (void)state;
    begin(&m, FUSE_WRITE);
    add(&m, &in, sizeof(in));
    add(&m, "abc", 3);
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_int_equal(r.data.len, 3);
    assert_memory_equal(r.data.data, "abc", 3);
    assert_int_equal(r.in.write.offset, 4096);
    add(&m, "d", 1); /* more than it says */
    assert_int_equal(decode(&m, &r), CG_EPROTO);
    m.len -= 2; /* less */
    assert_int_equal(decode(&m, &r), CG_EPROTO);
}

static void setxattr(void **state)
{
    struct maker m;
    struct fmsg r;
    uint32_t in[2] = {5, 1}; /* size, flags: the form without SETXATTR_EXT */
    (void)state;
    begin(&m, FUSE_SETXATTR);
    add(&m, in, sizeof(in));
    add(&m, "user.k\0value", 12);
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_string_equal(r.name, "user.k");
    assert_int_equal(r.data.len, 5);
    assert_int_equal(r.in.setxattr.flags, 1);
}

static void forgets(void **state)
{
    struct maker m;
    struct fmsg r;
    struct fuse_batch_forget_in in = {.count = 2};
    struct fuse_forget_one ones[2] = {{11, 1}, {12, 5}};
    (void)state;
    begin(&m, FUSE_BATCH_FORGET);
    add(&m, &in, sizeof(in));
    add(&m, ones, sizeof(ones));
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_int_equal(fmsg_forget(&r, 1).nodeid, 12);
    assert_int_equal(fmsg_forget(&r, 1).nlookup, 5);
    in.count = UINT32_MAX;
    memcpy(m.bytes + sizeof(struct fuse_in_header), &in, sizeof(in));
    assert_int_equal(decode(&m, &r), CG_EPROTO);
}

static void lengths(void **state)
{
    struct maker m;
    struct fmsg r;
    struct fuse_getattr_in in = {0};
    (void)state;
    begin(&m, FUSE_GETATTR);
    add(&m, &in, sizeof(in));
    assert_int_equal(decode(&m, &r), CG_OK);
    assert_int_equal(fmsg_decode(&r, m.bytes, m.len - 1), CG_EPROTO); /* header says more */
    for (size_t cut = 0; cut < sizeof(struct fuse_in_header); cut++) {
        assert_int_equal(fmsg_decode(&r, m.bytes, cut), CG_EPROTO);
        assert_int_equal(r.h.unique, 0);
    }
    add(&m, "x", 1); /* rubbish behind it */
    assert_int_equal(decode(&m, &r), CG_EPROTO);
}

static void unknown(void **state)
{
    struct maker m;
    struct fmsg r;
    (void)state;
    static const uint32_t strange[] = {0,    7,         FUSE_COPY_FILE_RANGE, FUSE_TMPFILE, 53,
                                       4096, UINT32_MAX};
    for (size_t i = 0; i < CG_COUNT(strange); i++) {
        begin(&m, strange[i]);
        assert_int_equal(decode(&m, &r), CG_ENOSYS);
        assert_int_equal(r.h.unique, 7);
        assert_string_equal(fmsg_op_name(strange[i]), "?");
    }
}

static void init_old_and_new(void **state)
{
    struct maker m;
    struct fmsg r;
    struct fuse_init_out out;
    struct fuse_init_in in = {.major = 7,
                              .minor = 45,
                              .max_readahead = 131072,
                              .flags = UINT32_MAX,
                              .flags2 = UINT32_MAX};
    (void)state;
    begin(&m, FUSE_INIT);
    add(&m, &in, FMSG_INIT_IN_BYTES_MIN);
    assert_int_equal(decode(&m, &r), CG_OK);
    fmsg_init_reply(&r.in.init, &out);
    assert_int_equal(out.flags2, 0); /* nothing was offered there */
    begin(&m, FUSE_INIT);
    add(&m, &in, sizeof(in));
    assert_int_equal(decode(&m, &r), CG_OK);
    fmsg_init_reply(&r.in.init, &out);
    assert_int_equal(out.major, 7);
    assert_int_equal(out.max_pages, 256);
    assert_true(out.flags & FUSE_MAX_PAGES);
    assert_true(out.flags & FUSE_EXPLICIT_INVAL_DATA);
    assert_true(out.flags & FUSE_HANDLE_KILLPRIV_V2);
    assert_false(out.flags & FUSE_AUTO_INVAL_DATA);
    assert_false(out.flags & FUSE_WRITEBACK_CACHE);
    assert_false(out.flags & FUSE_EXPORT_SUPPORT);
    assert_false(out.flags & FUSE_NO_OPENDIR_SUPPORT);
    assert_true((uint64_t)out.flags2 << 32 & FMSG_DIRECT_IO_ALLOW_MMAP);
    in.flags = 0;
    fmsg_init_reply(&in, &out);
    assert_int_equal(out.flags, 0); /* never more than was offered */
    assert_int_equal(out.flags2, 0);
}

static void entries(void **state)
{
    uint8_t bytes[256];
    struct fmsg_dir d = {.data = bytes, .cap = sizeof(bytes)};
    struct fuse_entry_out none = {.nodeid = 77};
    struct fuse_dirent e;
    (void)state;
    assert_true(fmsg_dirent(&d, 5, 1, S_IFDIR | 0755, "abc"));
    assert_int_equal(d.len, 32); /* 24 and 3, up to a multiple of 8 */
    memcpy(&e, bytes, FUSE_NAME_OFFSET);
    assert_int_equal(e.ino, 5);
    assert_int_equal(e.off, 1);
    assert_int_equal(e.namelen, 3);
    assert_int_equal(e.type, 4); /* DT_DIR */
    assert_memory_equal(bytes + FUSE_NAME_OFFSET, "abc\0\0\0\0\0", 8);
    assert_true(fmsg_direntplus(&d, &none, 6, 2, S_IFREG, "x"));
    assert_int_equal(d.len, 32 + sizeof(none) + 32);
    assert_false(fmsg_direntplus(&d, &none, 6, 3, S_IFREG, "y"));
    assert_int_equal(d.len, 32 + sizeof(none) + 32);
    assert_true(fmsg_dirent(&d, 7, 3, S_IFREG, "12345678"));
}

/* Any bytes give an error or a message whose parts lie within them. */
static void random_bytes(void **state)
{
    const char *given = getenv("COGNU_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20240607;
    uint8_t bytes[256];
    struct fmsg r;
    (void)state;
    print_message("COGNU_SEED=%u\n", seed);
    srandom(seed);
    for (int i = 0; i < 200000; i++) {
        size_t len = (size_t)random() % sizeof(bytes);
        for (size_t j = 0; j < len; j++) {
            bytes[j] = random() % 3 ? 0 : (uint8_t)random();
        }
        struct fuse_in_header h = {.len = (uint32_t)len, .opcode = (uint32_t)random() % 56};
        memcpy(bytes, &h, len < 8 ? len : 8);
        if (fmsg_decode(&r, bytes, len) != CG_OK) {
            continue;
        }
        const uint8_t *end = bytes + len, *name = (const uint8_t *)r.name;
        assert_true(!name || (name >= bytes && name + strlen(r.name) < end));
        assert_true(r.data.len == 0 || (r.data.data >= bytes && r.data.data + r.data.len <= end));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup),           cmocka_unit_test(names),
        cmocka_unit_test(rename_forms),     cmocka_unit_test(string_without_end),
        cmocka_unit_test(symlink_target),   cmocka_unit_test(write_sizes),
        cmocka_unit_test(setxattr),         cmocka_unit_test(forgets),
        cmocka_unit_test(lengths),          cmocka_unit_test(unknown),
        cmocka_unit_test(init_old_and_new), cmocka_unit_test(entries),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
