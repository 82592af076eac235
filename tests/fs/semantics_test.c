/* What POSIX asks of a file system, over the framework: the same test for every file server that
 * keeps files. A test that needs what the host does not give (root, xattrs) says so and passes.
 */
#include "rig.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HOST_USER (UINT64_C(1) << 63)
enum { OTHER_UID = 12345 };

static struct rig *rig;
static struct rig_client *c;

static int setup(void **state)
{
    (void)state;
    rig = rig_new(0);
    c = rig_attach(rig, geteuid(), "");
    assert_int_equal(c->err, CG_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_free(rig);
    return 0;
}

#define OK(call)       assert_int_equal(call, CG_OK)
#define FAILS(call, e) assert_int_equal(call, e)

static void make(const char *path, const char *text)
{
    uint32_t fid, n;
    OK(rig_create(c, path, NINEP_OPEN_WRITE | NINEP_OPEN_EXCL, 0644, &fid));
    OK(rig_write(c, fid, 0, text, (uint32_t)strlen(text), &n));
    assert_int_equal(n, strlen(text));
    rig_clunk(c, fid);
}

static void holds(const char *path, const char *text)
{
    char buf[4096];
    uint32_t fid, n;
    OK(rig_open(c, path, NINEP_OPEN_READ, &fid));
    OK(rig_read(c, fid, 0, buf, sizeof buf, &n));
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
    assert_true(c->r.read.eof);
    rig_clunk(c, fid);
}

static struct ninep_attr stat_of(const char *path)
{
    struct ninep_attr a = {0};
    OK(rig_stat(c, path, &a));
    return a;
}

static void lists(const char *path, const char *names)
{
    struct cg_str s = {0};
    OK(rig_names(c, path, &s));
    assert_string_equal(s.data, names);
    cg_str_fini(&s);
}

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

/* ---- names ------------------------------------------------------------------------------------
 */

static void directories(void **state)
{
    (void)state;
    uint32_t links = stat_of("").nlink;
    OK(rig_mkdir(c, "d", 0750));
    assert_int_equal(stat_of("d").mode, S_IFDIR | 0750);
    bool counts = stat_of("d").nlink == 2; /* not on every file system of a host */
    FAILS(rig_mkdir(c, "d", 0750), CG_EEXIST);
    OK(rig_mkdir(c, "d/e", 0700));
    assert_int_equal(stat_of("d").nlink, counts ? 3 : 1);
    assert_int_equal(stat_of("").nlink, counts ? links + 1 : links);
    FAILS(rig_remove(c, "d", true), CG_ENOTEMPTY);
    FAILS(rig_remove(c, "d", false), CG_EISDIR);
    make("d/f", "x");
    FAILS(rig_remove(c, "d/f", true), CG_ENOTDIR);
    FAILS(rig_remove(c, "d/none", false), CG_ENOENT);
    lists("d", "e f");
    OK(rig_remove(c, "d/f", false));
    OK(rig_remove(c, "d/e", true));
    uint32_t fid;
    OK(rig_walk(c, "d", &fid));
    OK(rig_remove(c, "d", true));
    union ninep_tmsg t = {
        .create = {
            .fid = fid, .newfid = NINEP_NOFID, .mode = S_IFREG | 0600, .name = cg_span_of("late")}};
    FAILS(rig_call(c, NINEP_TCREATE, &t), CG_ENOENT);
    rig_clunk(c, fid);
    assert_int_equal(stat_of("").nlink, links);
}

static void setgid_directories_hand_on_their_group(void **state)
{
    (void)state;
    OK(rig_mkdir(c, "d", 02770));
    assert_int_equal(stat_of("d").mode & 07777, 02770);
    OK(rig_mkdir(c, "d/e", 0700));
    assert_int_equal(stat_of("d/e").mode & 07777, 02700);
    OK(rig_create(c, "d/f", NINEP_OPEN_WRITE, 0600, NULL));
    assert_int_equal(stat_of("d/f").mode & 07777, 0600);
}

static void symbolic_links(void **state)
{
    (void)state;
    char target[4096];
    OK(rig_symlink(c, "../any/where", "l"));
    struct ninep_attr a = stat_of("l");
    assert_true(S_ISLNK(a.mode));
    assert_int_equal(a.size, strlen("../any/where"));
    OK(rig_readlink(c, "l", target));
    assert_string_equal(target, "../any/where");
    FAILS(rig_symlink(c, "x", "l"), CG_EEXIST);
    make("f", "x");
    FAILS(rig_readlink(c, "f", target), CG_EINVAL);
    memset(target, 't', sizeof target);
    target[4095] = '\0';
    OK(rig_symlink(c, target, "long"));
    char back[4096];
    OK(rig_readlink(c, "long", back));
    assert_string_equal(back, target);
    FAILS(rig_create(c, "l", NINEP_OPEN_WRITE, 0600, NULL), CG_ELOOP);
    OK(rig_link(c, "l", "l2"));
    assert_int_equal(stat_of("l2").nlink, 2);
    OK(rig_remove(c, "l", false));
}

static void special_files(void **state)
{
    (void)state;
    const uint64_t null_device = UINT64_C(1) << 32 | 3;
    OK(rig_mknod(c, "p", S_IFIFO | 0640, 0, NULL));
    assert_int_equal(stat_of("p").mode, S_IFIFO | 0640);
    OK(rig_mknod(c, "s", S_IFSOCK | 0600, 0, NULL));
    assert_true(S_ISSOCK(stat_of("s").mode));
    FAILS(rig_mknod(c, "p", S_IFIFO | 0640, 0, NULL), CG_EEXIST);
    if (geteuid() == 0 && rig_mknod(c, "null", S_IFCHR | 0666, null_device, NULL) == CG_OK) {
        struct ninep_attr a = stat_of("null");
        assert_int_equal(a.mode, S_IFCHR | 0666);
        assert_true(a.rdev == null_device);
    }
    OK(rig_remove(c, "p", false));
}

static void hard_links(void **state)
{
    (void)state;
    make("a", "x");
    OK(rig_mkdir(c, "d", 0755));
    OK(rig_link(c, "a", "d/b"));
    assert_int_equal(stat_of("a").nlink, 2);
    assert_true(stat_of("a").id.file == stat_of("d/b").id.file);
    FAILS(rig_link(c, "a", "d/b"), CG_EEXIST);
    assert_int_not_equal(rig_link(c, "d", "e"), CG_OK);
    OK(rig_remove(c, "a", false));
    assert_int_equal(stat_of("d/b").nlink, 1);
    holds("d/b", "x");
}

static void a_removed_file_gets_no_new_name(void **state)
{
    (void)state;
    uint32_t fid;
    OK(rig_create(c, "f", NINEP_OPEN_WRITE, 0600, &fid));
    OK(rig_remove(c, "f", false));
    union ninep_tmsg t = {
        .link = {.fid = fid, .dirfid = ninep_client_root(c->client), .name = cg_span_of("back")}};
    FAILS(rig_call(c, NINEP_TLINK, &t), CG_ENOENT);
    rig_clunk(c, fid);
}

static void rename_replaces(void **state)
{
    (void)state;
    make("a", "A");
    make("b", "B");
    uint64_t file = stat_of("a").id.file;
    OK(rig_rename(c, "a", "b", 0));
    assert_true(c->r.rename.attr.id.file == file);
    holds("b", "A");
    lists("", "b");
    FAILS(rig_rename(c, "a", "c", 0), CG_ENOENT);
    make("c", "C");
    FAILS(rig_rename(c, "b", "c", NINEP_RENAMEFLAG_NOREPLACE), CG_EEXIST);
    OK(rig_rename(c, "b", "n", NINEP_RENAMEFLAG_NOREPLACE));
    OK(rig_mkdir(c, "d", 0755));
    FAILS(rig_rename(c, "n", "d", 0), CG_EISDIR);
    FAILS(rig_rename(c, "d", "n", 0), CG_ENOTDIR);
    OK(rig_rename(c, "n", "d/m", 0));
    lists("", "c d");
    lists("d", "m");
    OK(rig_link(c, "c", "c2"));
    OK(rig_rename(c, "c", "c2", 0)); /* two names of one file: nothing happens */
    lists("", "c c2 d");
    OK(rig_rename(c, "c", "c", 0));
    holds("c", "C");
}

static void rename_of_directories(void **state)
{
    (void)state;
    OK(rig_mkdir(c, "a", 0755));
    OK(rig_mkdir(c, "a/b", 0755));
    OK(rig_mkdir(c, "a/b/c", 0755));
    OK(rig_mkdir(c, "z", 0755));
    FAILS(rig_rename(c, "a", "a/b/c/a", 0), CG_EINVAL);
    FAILS(rig_rename(c, "a", "a/x", 0), CG_EINVAL);
    FAILS(rig_rename(c, "a/b", "a", 0), CG_ENOTEMPTY);
    make("z/f", "x");
    FAILS(rig_rename(c, "a", "z", 0), CG_ENOTEMPTY);
    OK(rig_remove(c, "z/f", false));
    uint32_t links = stat_of("").nlink;
    OK(rig_rename(c, "a/b", "z", 0));
    lists("", "a z");
    lists("z", "c");
    lists("a", "");
    assert_int_equal(stat_of("").nlink, links);
    OK(rig_rename(c, "z/c", "a/c", 0));
    OK(rig_remove(c, "z", true));
    lists("a", "c");
}

static void rename_exchanges(void **state)
{
    (void)state;
    make("f", "file");
    OK(rig_mkdir(c, "d", 0755));
    OK(rig_mkdir(c, "d/e", 0755));
    OK(rig_rename(c, "f", "d/e", NINEP_RENAMEFLAG_EXCHANGE));
    holds("d/e", "file");
    assert_true(S_ISDIR(stat_of("f").mode));
    FAILS(rig_rename(c, "f", "none", NINEP_RENAMEFLAG_EXCHANGE), CG_ENOENT);
    OK(rig_mkdir(c, "f/g", 0755));
    FAILS(rig_rename(c, "f", "f/g", NINEP_RENAMEFLAG_EXCHANGE), CG_EINVAL);
    FAILS(rig_rename(c, "f/g", "f", NINEP_RENAMEFLAG_EXCHANGE), CG_EINVAL);
    OK(rig_rename(c, "f", "d", NINEP_RENAMEFLAG_EXCHANGE));
    lists("d", "g");
    lists("f", "e");
}

/* ---- listings ---------------------------------------------------------------------------------
 */

static void listing_goes_on_while_names_change(void **state)
{
    (void)state;
    enum { FILES = 300 };
    static struct rig_names page;
    static uint8_t seen[FILES];
    char name[32];
    uint32_t fid;
    uint64_t cookie = 0;
    memset(seen, 0, sizeof seen);
    OK(rig_mkdir(c, "d", 0755));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "d/f%d", i);
        OK(rig_create(c, name, NINEP_OPEN_WRITE, 0600, NULL));
    }
    OK(rig_open(c, "d", NINEP_OPEN_READ, &fid));
    for (int round = 0;; round++) {
        OK(rig_readdir(c, fid, cookie, 2048, 0, 0, &page));
        for (uint32_t i = 0; i < page.count; i++) {
            bool fits = cg_span_str(page.entry[i].name, name, sizeof name);
            assert_true(fits);
            if (name[0] == 'f') {
                seen[atoi(name + 1)]++;
            }
            cookie = page.entry[i].cookie;
        }
        if (page.eof) {
            break;
        }
        snprintf(name, sizeof name, "d/f%d", round); /* odd ones go, strangers come */
        if (round % 2 == 1 && round < FILES) {
            OK(rig_remove(c, name, false));
            snprintf(name, sizeof name, "d/x%d", round);
            OK(rig_create(c, name, NINEP_OPEN_WRITE, 0600, NULL));
        }
    }
    for (int i = 0; i < FILES; i++) {
        assert_true(seen[i] <= 1);
        snprintf(name, sizeof name, "d/f%d", i);
        struct ninep_attr a;
        if (rig_stat(c, name, &a) == CG_OK) {
            assert_int_equal(seen[i], 1); /* those that stayed were seen once each */
        }
    }
    rig_clunk(c, fid);
}

static void listing_with_contents(void **state)
{
    (void)state;
    static struct rig_names page;
    uint32_t fid;
    OK(rig_mkdir(c, "d", 0755));
    make("d/small", "contents");
    make("d/empty", "");
    make("d/big", "this is more than was asked for");
    OK(rig_symlink(c, "small", "d/link"));
    OK(rig_walk(c, "d", &fid)); /* it need not be open */
    OK(rig_readdir(c, fid, 0, 16384, NINEP_WANT_INLINE, 10, &page));
    assert_true(page.eof);
    assert_int_equal(page.count, 4);
    for (uint32_t i = 0; i < page.count; i++) {
        const struct ninep_entry *en = &page.entry[i];
        if (cg_span_is(en->name, "small")) {
            assert_int_equal(en->whole, 1);
            assert_int_equal(en->inline_.len, 8);
            assert_memory_equal(en->inline_.data, "contents", 8);
        } else {
            assert_int_equal(en->whole, cg_span_is(en->name, "empty"));
        }
        assert_true(en->attr.flags & NINEP_ATTRFLAG_NO_XATTR);
        assert_true(en->attr.flags & NINEP_ATTRFLAG_NO_ACL);
    }
    rig_clunk(c, fid);
    struct ninep_attr a = stat_of("d/small");
    OK(rig_walk(c, "d/small", &fid));
    rig_clunk(c, fid);
    union ninep_tmsg t = {.walk = {.fid = ninep_client_root(c->client),
                                   .newfid = NINEP_NOFID,
                                   .want = NINEP_WANT_INLINE,
                                   .inline_max = 100}};
    t.walk.names.count = 2;
    t.walk.names.name[0] = cg_span_of("d");
    t.walk.names.name[1] = cg_span_of("small");
    OK(rig_call(c, NINEP_TWALK, &t));
    assert_int_equal(c->r.walk.whole, 1);
    assert_int_equal(c->r.walk.inline_.len, a.size);
    assert_memory_equal(c->r.walk.inline_.data, "contents", 8);
}

/* ---- attributes -------------------------------------------------------------------------------
 */

static void times_have_nanoseconds(void **state)
{
    (void)state;
    make("f", "x");
    struct ninep_attr before = stat_of("f");
    struct ninep_tsetattr t = {.valid = NINEP_SETATTR_ATIME | NINEP_SETATTR_MTIME,
                               .atime = -1500000001,
                               .mtime = 1700000000123456789};
    OK(rig_setattr(c, "f", &t));
    struct ninep_attr a = stat_of("f");
    assert_true(a.atime == t.atime);
    assert_true(a.mtime == t.mtime);
    assert_true(a.ctime >= before.ctime);
    t = (struct ninep_tsetattr){.valid = NINEP_SETATTR_MTIME_NOW};
    OK(rig_setattr(c, "f", &t));
    a = stat_of("f");
    assert_true(a.atime == -1500000001);
    assert_true(a.mtime > 1700000000123456789);
    assert_true(a.btime == 0 || (a.btime <= a.ctime && a.btime > 1700000000123456789));
}

/* Ten changes, each of which must move the change number of the file, and those of names that of
 * the directory. Pauses let a host with a coarse clock tick. */
static void every_change_changes_the_number(void **state)
{
    (void)state;
    uint32_t fid, n;
    uint64_t last = stat_of("").id.change;
#define MOVES(path, call)                                                                          \
    do {                                                                                           \
        rig_settle(rig, rig_kind.host ? 12 : 0);                                                   \
        OK(call);                                                                                  \
        assert_true(stat_of(path).id.change != last);                                              \
        last = stat_of(path).id.change;                                                            \
    } while (0)
    MOVES("", rig_create(c, "f", NINEP_OPEN_WRITE, 0600, &fid));
    MOVES("", rig_mkdir(c, "d", 0700));
    MOVES("", rig_link(c, "f", "g"));
    MOVES("", rig_rename(c, "g", "h", 0));
    MOVES("", rig_remove(c, "h", false));
    last = stat_of("f").id.change;
    MOVES("f", rig_write(c, fid, 0, "one", 3, &n));
    MOVES("f", rig_write(c, fid, 0, "two", 3, &n));
    MOVES("f", rig_chmod(c, "f", 0640));
    MOVES("f", rig_truncate(c, "f", 1));
    MOVES("f", rig_link(c, "f", "i"));
#undef MOVES
    rig_clunk(c, fid);
    assert_true(last == stat_of("f").id.change); /* and looking changes nothing */
}

static void modes_and_owners(void **state)
{
    (void)state;
    make("f", "x");
    OK(rig_chmod(c, "f", 07654));
    assert_int_equal(stat_of("f").mode, S_IFREG | 07654);
    OK(rig_chmod(c, "f", 06755));
    if (geteuid() != 0) {
        return;
    }
    struct ninep_tsetattr t = {.valid = NINEP_SETATTR_OWNER | NINEP_SETATTR_GROUP,
                               .owner = HOST_USER | OTHER_UID,
                               .group = HOST_USER | 777};
    OK(rig_setattr(c, "f", &t));
    struct ninep_attr a = stat_of("f");
    assert_true(a.owner == (HOST_USER | OTHER_UID));
    assert_true(a.group == (HOST_USER | 777));
    assert_int_equal(a.mode & 07777, 0755); /* the set-id bits went */
    t = (struct ninep_tsetattr){.valid = NINEP_SETATTR_OWNER, .owner = HOST_USER | geteuid()};
    OK(rig_setattr(c, "f", &t));
    assert_true(stat_of("f").owner == (HOST_USER | geteuid()));
    assert_true(stat_of("f").group == (HOST_USER | 777));
}

/* Another local user, whom modes bind. */
static void another_user(void **state)
{
    (void)state;
    struct rig_client *root = c;
    if (geteuid() != 0) {
        print_message("needs root\n");
        return;
    }
    make("private", "x");
    OK(rig_chmod(c, "private", 0600));
    make("public", "x");
    OK(rig_mkdir(c, "closed", 0700));
    make("closed/f", "x");
    struct rig_client *o = rig_attach(rig, OTHER_UID, "");
    OK(o->err);
    struct ninep_attr a;
    uint32_t fid, n;
    OK(rig_stat(o, "private", &a));
    assert_int_equal(a.rights, 0);
    FAILS(rig_open(o, "private", NINEP_OPEN_READ, &fid), CG_EACCES);
    OK(rig_stat(o, "public", &a));
    assert_int_equal(a.rights, NINEP_RIGHTS_READ);
    assert_true(a.owner == HOST_USER);
    OK(rig_open(o, "public", NINEP_OPEN_READ, &fid));
    rig_clunk(o, fid);
    FAILS(rig_open(o, "public", NINEP_OPEN_RDWR, &fid), CG_EACCES);
    FAILS(rig_stat(o, "closed/f", &a), CG_EACCES);
    static struct rig_names page;
    OK(rig_chmod(c, "closed", 0744)); /* names, but not what they name */
    OK(rig_walk(o, "closed", &fid));
    OK(rig_readdir(o, fid, 0, 8192, NINEP_WANT_INLINE, 100, &page));
    assert_int_equal(page.count, 1);
    assert_true(cg_span_is(page.entry[0].name, "f"));
    assert_int_equal(page.entry[0].whole, 0);
    assert_int_equal(page.entry[0].attr.mode, S_IFREG);
    rig_clunk(o, fid);
    FAILS(rig_chmod(o, "public", 0777), CG_EPERM);
    FAILS(rig_remove(o, "public", false), CG_EPERM); /* the root is sticky */
    FAILS(rig_rename(o, "public", "mine", 0), CG_EPERM);
    OK(rig_create(o, "his", NINEP_OPEN_RDWR, 06755, &fid));
    assert_true(o->r.create.attr.owner == (HOST_USER | OTHER_UID));
    OK(rig_write(o, fid, 0, "x", 1, &n));
    assert_int_equal(o->r.write.attr.mode & 06000, 0); /* writing drops the set-id bits */
    rig_clunk(o, fid);
    struct ninep_tsetattr t = {.valid = NINEP_SETATTR_OWNER, .owner = HOST_USER | 1};
    FAILS(rig_setattr(o, "his", &t), CG_EPERM);
    OK(rig_chmod(o, "his", 0700));
    OK(rig_remove(o, "his", false));
    FAILS(rig_mknod(o, "dev", S_IFCHR | 0666, 1, NULL), CG_EPERM);
    OK(rig_remove(root, "private", false));
}

static void extended_attributes(void **state)
{
    (void)state;
    char value[256];
    uint32_t len = 0;
    make("f", "x");
    assert_true(stat_of("f").flags & NINEP_ATTRFLAG_NO_XATTR);
    cg_err e = rig_setxattr(c, "f", "user.one", "first", 5, 0);
    if (e == CG_EOPNOTSUPP) {
        print_message("the host's file system has no extended attributes\n");
        return;
    }
    OK(e);
    assert_false(stat_of("f").flags & NINEP_ATTRFLAG_NO_XATTR);
    assert_true(stat_of("f").flags & NINEP_ATTRFLAG_NO_ACL);
    OK(rig_getxattr(c, "f", "user.one", value, 0, &len));
    assert_int_equal(len, 5);
    OK(rig_getxattr(c, "f", "user.one", value, sizeof value, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(value, "first", 5);
    FAILS(rig_getxattr(c, "f", "user.one", value, 4, &len), CG_ERANGE);
    FAILS(rig_setxattr(c, "f", "user.one", "x", 1, NINEP_XATTRFLAG_CREATE), CG_EEXIST);
    FAILS(rig_setxattr(c, "f", "user.two", "x", 1, NINEP_XATTRFLAG_REPLACE), CG_ENODATA);
    OK(rig_setxattr(c, "f", "user.two", "", 0, 0));
    OK(rig_getxattr(c, "f", "", value, sizeof value, &len));
    assert_int_equal(len, 18);
    OK(rig_setxattr(c, "f", "user.one", NULL, 0, NINEP_XATTRFLAG_REMOVE));
    FAILS(rig_getxattr(c, "f", "user.one", value, sizeof value, &len), CG_ENODATA);
    FAILS(rig_setxattr(c, "f", "user.one", NULL, 0, NINEP_XATTRFLAG_REMOVE), CG_ENODATA);
    FAILS(rig_setxattr(c, "f", "nonsense", "x", 1, 0), CG_EOPNOTSUPP);
    OK(rig_setxattr(c, "f", "user.two", NULL, 0, NINEP_XATTRFLAG_REMOVE));
    assert_true(stat_of("f").flags & NINEP_ATTRFLAG_NO_XATTR);
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
    assert_int_equal(at, mega + 4096);
    FAILS(seek(fid, NINEP_WHENCE_DATA, mega + 8192, &at), CG_ENXIO);
    FAILS(seek(fid, NINEP_WHENCE_HOLE, 2 * mega, &at), CG_ENXIO);
    OK(allocate(fid, 0, 0, 65536));
    assert_true(c->r.allocate.attr.blocks * 512 >= 65536);
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

/* ---- leases -----------------------------------------------------------------------------------
 */

static uint8_t lease(struct rig_client *who, const char *path, uint32_t *fid)
{
    OK(rig_walk(who, path, fid));
    union ninep_tmsg t = {.getattr = {.fid = *fid, .want = NINEP_WANT_LEASE}};
    OK(rig_call(who, NINEP_TGETATTR, &t));
    return who->r.getattr.lease;
}

static void another_client_breaks_leases(void **state)
{
    (void)state;
    uint32_t dir, file, fid, n;
    struct rig_client *o = rig_attach(rig, geteuid(), "");
    make("f", "x");
    struct ninep_xqid root = stat_of("").id, f = stat_of("f").id;
    assert_int_equal(lease(c, "", &dir), NINEP_LEASE_READ);
    assert_int_equal(lease(c, "f", &file), NINEP_LEASE_READ);
    make("own", "x"); /* what one does oneself breaks nothing */
    OK(rig_open(c, "f", NINEP_OPEN_WRITE, &fid));
    OK(rig_write(c, fid, 0, "y", 1, &n));
    rig_settle(rig, rig_kind.host ? 50 : 0);
    assert_int_equal(c->events, 0);
    OK(rig_put(o, "other", 0, 0600, "x", 1));
    rig_settle(rig, 1);
    assert_int_equal(rig_events_of(c, &root), 1);
    assert_int_equal(rig_events_of(c, &f), 0);
    OK(rig_truncate(o, "f", 0));
    rig_settle(rig, 1);
    assert_int_equal(rig_events_of(c, &f), 1);
    rig_clunk(c, fid);
    rig_clunk(c, dir);
    rig_clunk(c, file);
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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        T(directories),
        T(setgid_directories_hand_on_their_group),
        T(symbolic_links),
        T(special_files),
        T(hard_links),
        T(a_removed_file_gets_no_new_name),
        T(rename_replaces),
        T(rename_of_directories),
        T(rename_exchanges),
        T(listing_goes_on_while_names_change),
        T(listing_with_contents),
        T(times_have_nanoseconds),
        T(every_change_changes_the_number),
        T(modes_and_owners),
        T(another_user),
        T(extended_attributes),
        T(put_replaces_whole_files),
        T(holes),
        T(copies),
        T(fsync_and_statfs),
        T(another_client_breaks_leases),
        T(full),
    };
    return cmocka_run_group_tests_name(rig_kind.name, tests, NULL, NULL);
}
