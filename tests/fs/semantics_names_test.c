/* What POSIX asks of a file system, over the framework: names, links, directories and their
 * listings. The same test for every file server that keeps files; one that needs what the host does
 * not give (root, xattrs) says so and passes.
 */
#include "semantics.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests_name(rig_kind.name, tests, NULL, NULL);
}
