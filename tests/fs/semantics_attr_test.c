/* What POSIX asks of a file system, over the framework: attributes, who may change them, and
 * leases. The same test for every file server that keeps files; one that needs what the host does
 * not give (root, xattrs) says so and passes.
 */
#include "semantics.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(times_have_nanoseconds), T(every_change_changes_the_number),
        T(modes_and_owners),       T(another_user),
        T(extended_attributes),    T(another_client_breaks_leases),
    };
    return cmocka_run_group_tests_name(rig_kind.name, tests, NULL, NULL);
}
