/* What POSIX asks of a file system, over the framework: files and what is in them. The same test
 * for every file server that keeps files; one that needs what the host does not give (root, xattrs)
 * says so and passes.
 */
#include "semantics.h"

/* ---- files ------------------------------------------------------------------------------------
 */

static void create_modes_and_flags(void **state)
{
    (void)state;
    uint32_t fid, n;
    make("f", "hello");
    FAILS(rig_create(c, "f", NINEP_OPEN_EXCL | NINEP_OPEN_WRITE, 0600, NULL), CG_EEXIST);
    OK(rig_create(c, "f", NINEP_OPEN_RDWR, 0600, &fid));
    assert_int_equal(c->r.create.created, 0);
    rig_clunk(c, fid);
    holds("f", "hello");
    OK(rig_create(c, "f", NINEP_OPEN_RDWR | NINEP_OPEN_TRUNC, 0600, &fid));
    assert_int_equal(c->r.create.attr.size, 0);
    rig_clunk(c, fid);
    struct ninep_attr a = stat_of("f");
    assert_int_equal(a.mode, S_IFREG | 0644);
    assert_int_equal(a.nlink, 1);
    OK(rig_create(c, "g", NINEP_OPEN_WRITE, 04777, NULL)); /* no umask, all bits */
    assert_int_equal(stat_of("g").mode & 07777, 04777);
    assert_int_equal(stat_of("g").owner, HOST_USER | geteuid());
    FAILS(rig_create(c, "f/x", NINEP_OPEN_WRITE, 0600, NULL), CG_ENOTDIR);
    FAILS(rig_create(c, "none/x", NINEP_OPEN_WRITE, 0600, NULL), CG_ENOENT);
    OK(rig_mkdir(c, "d", 0755));
    FAILS(rig_create(c, "d", NINEP_OPEN_RDWR, 0600, NULL), CG_EISDIR);
    OK(rig_create(c, "ro", NINEP_OPEN_RDWR, 0, &fid)); /* a mode binds later openers only */
    OK(rig_write(c, fid, 0, "x", 1, &n));
    rig_clunk(c, fid);
}

static void names_at_their_limits(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    OK(rig_create(c, name, NINEP_OPEN_WRITE, 0600, NULL));
    OK(rig_remove(c, name, false));
    name[255] = 'n';
    name[256] = '\0';
    FAILS(rig_create(c, name, NINEP_OPEN_WRITE, 0600, NULL), CG_ENAMETOOLONG);
    OK(rig_create(c, "\xff\xfe\x01 odd", NINEP_OPEN_WRITE, 0600, NULL)); /* bytes, not text */
    stat_of("\xff\xfe\x01 odd");
    FAILS(rig_create(c, "..", NINEP_OPEN_WRITE, 0600, NULL), CG_EINVAL);
    FAILS(rig_mkdir(c, ".", 0700), CG_EINVAL);
}

static void read_and_write(void **state)
{
    (void)state;
    uint32_t fid, n;
    char buf[64];
    OK(rig_create(c, "f", NINEP_OPEN_RDWR, 0600, &fid));
    OK(rig_write(c, fid, 0, "0123456789", 10, &n));
    OK(rig_write(c, fid, 5, "abc", 3, &n));
    assert_int_equal(c->r.write.attr.size, 10);
    OK(rig_read(c, fid, 3, buf, 4, &n));
    assert_int_equal(n, 4);
    assert_memory_equal(buf, "34ab", 4);
    assert_false(c->r.read.eof);
    OK(rig_read(c, fid, 8, buf, 64, &n));
    assert_int_equal(n, 2);
    assert_true(c->r.read.eof);
    OK(rig_read(c, fid, 10, buf, 64, &n));
    assert_int_equal(n, 0);
    assert_true(c->r.read.eof);
    OK(rig_read(c, fid, UINT64_C(1) << 62, buf, 64, &n));
    assert_int_equal(n, 0);
    OK(rig_write(c, fid, 20, "z", 1, &n)); /* a hole reads as zeroes */
    OK(rig_read(c, fid, 8, buf, 64, &n));
    assert_int_equal(n, 13);
    assert_memory_equal(buf, "89\0\0\0\0\0\0\0\0\0\0z", 13);
    FAILS(rig_write(c, fid, UINT64_MAX - 1, "zz", 2, &n), CG_EFBIG);
    rig_clunk(c, fid);
    OK(rig_open(c, "f", NINEP_OPEN_READ, &fid));
    assert_int_not_equal(rig_write(c, fid, 0, "x", 1, &n), CG_OK);
    rig_clunk(c, fid);
}

static void append_goes_to_the_end(void **state)
{
    (void)state;
    uint32_t a, b, n;
    OK(rig_create(c, "f", NINEP_OPEN_WRITE | NINEP_OPEN_APPEND, 0600, &a));
    OK(rig_open(c, "f", NINEP_OPEN_WRITE, &b));
    OK(rig_write(c, a, 0, "one", 3, &n));
    OK(rig_write(c, b, 3, "TWO", 3, &n));
    OK(rig_write(c, a, 1, "three", 5, &n));
    rig_clunk(c, a);
    rig_clunk(c, b);
    holds("f", "oneTWOthree");
    OK(rig_open(c, "f", NINEP_OPEN_WRITE | NINEP_OPEN_APPEND, &a));
    OK(rig_write(c, a, 0, "!", 1, &n));
    rig_clunk(c, a);
    holds("f", "oneTWOthree!");
}

static void truncate_both_ways(void **state)
{
    (void)state;
    char buf[16];
    uint32_t fid, n;
    make("f", "0123456789");
    OK(rig_truncate(c, "f", 4));
    OK(rig_truncate(c, "f", 8));
    OK(rig_open(c, "f", NINEP_OPEN_READ, &fid));
    OK(rig_read(c, fid, 0, buf, sizeof buf, &n));
    rig_clunk(c, fid);
    assert_int_equal(n, 8);
    assert_memory_equal(buf, "0123\0\0\0\0", 8);
    OK(rig_mkdir(c, "d", 0755));
    FAILS(rig_truncate(c, "d", 0), CG_EISDIR);
    OK(rig_mknod(c, "p", S_IFIFO | 0600, 0, NULL));
    FAILS(rig_truncate(c, "p", 0), CG_EINVAL);
    FAILS(rig_truncate(c, "f", UINT64_MAX), CG_EFBIG);
    OK(rig_truncate(c, "f", UINT64_C(1) << 40)); /* sparse */
    assert_true(stat_of("f").blocks < 1024);
}

static void open_and_unlink(void **state)
{
    (void)state;
    char buf[16];
    uint32_t fid, n;
    struct ninep_attr a;
    OK(rig_create(c, "f", NINEP_OPEN_RDWR, 0600, &fid));
    OK(rig_write(c, fid, 0, "still", 5, &n));
    OK(rig_remove(c, "f", false));
    FAILS(rig_stat(c, "f", &a), CG_ENOENT);
    make("f", "another");
    OK(rig_write(c, fid, 5, " here", 5, &n));
    OK(rig_read(c, fid, 0, buf, sizeof buf, &n));
    assert_int_equal(n, 10);
    assert_memory_equal(buf, "still here", 10);
    OK(rig_fstat(c, fid, &a));
    assert_int_equal(a.nlink, 0);
    assert_int_equal(a.size, 10);
    assert_true(a.id.file != stat_of("f").id.file || a.id.generation != stat_of("f").id.generation);
    rig_clunk(c, fid);
    holds("f", "another");
}

static void a_new_file_is_not_the_old_one(void **state)
{
    (void)state;
    make("f", "x");
    struct ninep_xqid old = stat_of("f").id;
    for (int i = 0; i < 20; i++) { /* a host is quick to use a file's number again */
        OK(rig_remove(c, "f", false));
        make("f", "x");
        struct ninep_xqid id = stat_of("f").id;
        assert_true(id.volume == old.volume);
        assert_true(id.file != old.file || id.generation != old.generation);
        old = id;
        rig_settle(rig, rig_kind.host ? 12 : 0);
    }
}

static void open_checks_the_kind(void **state)
{
    (void)state;
    uint32_t fid;
    OK(rig_mkdir(c, "d", 0755));
    OK(rig_symlink(c, "d", "l"));
    OK(rig_mknod(c, "p", S_IFIFO | 0600, 0, NULL));
    make("f", "x");
    FAILS(rig_open(c, "d", NINEP_OPEN_WRITE, &fid), CG_EISDIR);
    FAILS(rig_open(c, "f", NINEP_OPEN_DIRECTORY, &fid), CG_ENOTDIR);
    FAILS(rig_open(c, "l", NINEP_OPEN_READ, &fid), CG_ELOOP);
    FAILS(rig_open(c, "p", NINEP_OPEN_READ, &fid), CG_ENXIO);
    FAILS(rig_walk(c, "l/x", &fid), CG_ENOTDIR);
    OK(rig_open(c, "d", NINEP_OPEN_READ | NINEP_OPEN_DIRECTORY, &fid));
    rig_clunk(c, fid);
    FAILS(rig_open(c, "nothing", NINEP_OPEN_READ, &fid), CG_ENOENT);
    assert_true(strlen(c->detail) > 0);
}

/* ---- put, holes, copies -----------------------------------------------------------------------
 */

static void put_replaces_whole_files(void **state)
{
    (void)state;
    uint32_t fid, n;
    char buf[16];
    OK(rig_put(c, "f", 0, 0640, "first", 5));
    assert_int_equal(c->r.put.attr.size, 5);
    assert_int_equal(stat_of("f").mode, S_IFREG | 0640);
    FAILS(rig_put(c, "f", NINEP_OPEN_EXCL, 0640, "x", 1), CG_EEXIST);
    OK(rig_open(c, "f", NINEP_OPEN_READ, &fid));
    OK(rig_put(c, "f", 0, 0600, "second", 6));
    holds("f", "second");
    OK(rig_read(c, fid, 0, buf, sizeof buf, &n)); /* who has it open reads on in the old one */
    assert_memory_equal(buf, "first", 5);
    rig_clunk(c, fid);
    OK(rig_mkdir(c, "d", 0755));
    FAILS(rig_put(c, "d", 0, 0600, "x", 1), CG_EISDIR);
    lists("", "d f"); /* nothing is left behind */
    lists("d", "");
}

static cg_err seek(uint32_t fid, uint32_t whence, uint64_t offset, uint64_t *to)
{
    union ninep_tmsg t = {.seek = {.fid = fid, .whence = whence, .offset = offset}};
    cg_err e = rig_call(c, NINEP_TSEEK, &t);
    *to = e == CG_OK ? c->r.seek.offset : 0;
    return e;
}

static cg_err allocate(uint32_t fid, uint32_t flags, uint64_t offset, uint64_t length)
{
    union ninep_tmsg t = {
        .allocate = {.fid = fid, .flags = flags, .offset = offset, .length = length}};
    return rig_call(c, NINEP_TALLOCATE, &t);
}

static void holes(void **state)
{
    (void)state;
    const uint64_t mega = 1 << 20;
    const uint32_t keep = NINEP_ALLOCFLAG_KEEP_SIZE;
    uint32_t fid, n;
    uint64_t at;
    OK(rig_create(c, "f", NINEP_OPEN_RDWR, 0600, &fid));
    OK(rig_write(c, fid, mega, "data", 4, &n));
    OK(rig_truncate(c, "f", 2 * mega));
    OK(seek(fid, NINEP_WHENCE_HOLE, 0, &at));
    assert_int_equal(at, 0);
    OK(seek(fid, NINEP_WHENCE_DATA, 0, &at));
    assert_int_equal(at, mega);
    OK(seek(fid, NINEP_WHENCE_DATA, mega + 2, &at));
    assert_int_equal(at, mega + 2);
    OK(seek(fid, NINEP_WHENCE_HOLE, mega, &at));
    assert_true(at >= mega + 4 && at <= mega + 4096); /* a block, or the byte itself */
    FAILS(seek(fid, NINEP_WHENCE_DATA, mega + 8192, &at), CG_ENXIO);
    FAILS(seek(fid, NINEP_WHENCE_HOLE, 2 * mega, &at), CG_ENXIO);
    OK(allocate(fid, 0, 0, 65536));
    assert_true(rig_kind.unreserved || c->r.allocate.attr.blocks * 512 >= 65536);
    assert_int_equal(c->r.allocate.attr.size, 2 * mega);
    OK(allocate(fid, keep, 2 * mega, 4096));
    assert_int_equal(c->r.allocate.attr.size, 2 * mega);
    OK(allocate(fid, 0, 2 * mega, 100));
    assert_int_equal(c->r.allocate.attr.size, 2 * mega + 100);
    OK(allocate(fid, keep | NINEP_ALLOCFLAG_PUNCH_HOLE, mega - 4096, 8192));
    char buf[8] = "dirty";
    OK(rig_read(c, fid, mega, buf, 4, &n));
    assert_memory_equal(buf, "\0\0\0\0", 4);
    FAILS(allocate(fid, NINEP_ALLOCFLAG_PUNCH_HOLE, 0, 4096), CG_EOPNOTSUPP);
    FAILS(allocate(fid, 0, 0, 0), CG_EINVAL);
    OK(rig_write(c, fid, 100, "abcdef", 6, &n));
    OK(allocate(fid, keep | NINEP_ALLOCFLAG_PUNCH_HOLE, 102, 2)); /* a part of a page */
    OK(rig_read(c, fid, 100, buf, 6, &n));
    assert_memory_equal(buf, "ab\0\0ef", 6);
    rig_clunk(c, fid);
}

static void copies(void **state)
{
    (void)state;
    uint32_t a, b;
    make("from", "0123456789");
    make("to", "abc");
    OK(rig_open(c, "from", NINEP_OPEN_READ, &a));
    OK(rig_open(c, "to", NINEP_OPEN_RDWR, &b));
    union ninep_tmsg t = {
        .copy = {.fid = a, .offset = 4, .newfid = b, .newoffset = 3, .length = 100}};
    OK(rig_call(c, NINEP_TCOPY, &t));
    assert_int_equal(c->r.copy.count, 6);
    assert_int_equal(c->r.copy.attr.size, 9);
    holds("to", "abc456789");
    t.copy.offset = 10;
    OK(rig_call(c, NINEP_TCOPY, &t));
    assert_int_equal(c->r.copy.count, 0);
    t = (union ninep_tmsg){
        .copy = {.fid = b, .offset = 0, .newfid = b, .newoffset = 2, .length = 5}};
    FAILS(rig_call(c, NINEP_TCOPY, &t), CG_EINVAL);
    rig_clunk(c, a);
    rig_clunk(c, b);
}

static void fsync_and_statfs(void **state)
{
    (void)state;
    uint32_t fid, n;
    OK(rig_create(c, "f", NINEP_OPEN_WRITE, 0600, &fid));
    OK(rig_write(c, fid, 0, "x", 1, &n));
    union ninep_tmsg t = {.fsync = {.fid = fid}};
    OK(rig_call(c, NINEP_TFSYNC, &t));
    assert_true(c->r.fsync.epoch != 0);
    t.fsync.dataonly = 1;
    OK(rig_call(c, NINEP_TFSYNC, &t));
    rig_clunk(c, fid);
    t = (union ninep_tmsg){.fsync = {.fid = ninep_client_root(c->client)}};
    OK(rig_call(c, NINEP_TFSYNC, &t));
    t = (union ninep_tmsg){.statfs = {.fid = ninep_client_root(c->client)}};
    OK(rig_call(c, NINEP_TSTATFS, &t));
    assert_true(c->r.statfs.blocks > 0 && c->r.statfs.bfree <= c->r.statfs.blocks);
    assert_int_equal(c->r.statfs.namelen, 255);
}

/* ---- what runs out ----------------------------------------------------------------------------
 */

static void full(void **state)
{
    (void)state;
    static uint8_t block[65536];
    uint32_t fid, n;
    cg_err e = CG_OK;
    if (rig_kind.bytes_small == 0 || (rig_kind.host && geteuid() != 0)) {
        print_message("cannot make a small file system here\n");
        return;
    }
    rig_free(rig);
    rig = rig_new(rig_kind.bytes_small);
    c = rig_attach(rig, geteuid(), "");
    OK(rig_create(c, "f", NINEP_OPEN_RDWR, 0600, &fid));
    uint64_t at = 0;
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 1000 && e == CG_OK; i++) {
        e = rig_write(c, fid, at, block, sizeof block, &n);
        at += n;
    }
    FAILS(e, CG_ENOSPC);
    assert_true(strlen(c->detail) > 0);
    assert_true(at > rig_kind.bytes_small / 2 && at <= rig_kind.bytes_small);
    assert_int_equal(stat_of("f").size, at);
    FAILS(rig_put(c, "g", 0, 0600, block, sizeof block), CG_ENOSPC);
    lists("", "f"); /* what failed left nothing */
    OK(rig_truncate(c, "f", 0));
    OK(rig_put(c, "g", 0, 0600, block, sizeof block));
    OK(allocate(fid, 0, 0, rig_kind.bytes_small / 2));
    FAILS(allocate(fid, 0, 0, rig_kind.bytes_small * 2), CG_ENOSPC);
    rig_clunk(c, fid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(create_modes_and_flags),
        T(names_at_their_limits),
        T(read_and_write),
        T(append_goes_to_the_end),
        T(truncate_both_ways),
        T(open_and_unlink),
        T(a_new_file_is_not_the_old_one),
        T(open_checks_the_kind),
        T(put_replaces_whole_files),
        T(holes),
        T(copies),
        T(fsync_and_statfs),
        T(full),
    };
    return cmocka_run_group_tests_name(rig_kind.name, tests, NULL, NULL);
}
