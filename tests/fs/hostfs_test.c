/* hostfs against its host: nobody gets out of a tree, changes by other programs break leases,
 * scarce descriptors and memory are told. The host's side is this process, working on the directory
 * itself.
 */
#include "../../srv/hostfs/host.h"
#include "rig.h"
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEARD_MS = 10000 }; /* it is waited for no longer than it takes */

static char top[200], path_[600];
static struct hostfs *fs;
static struct rig *rig;
static struct rig_client *c;
static bool own_mounts; /* what we mount only we see */

#define OK(call)       assert_int_equal(call, CG_OK)
#define FAILS(call, e) assert_int_equal(call, e)

/* A path of the host: top, then where; one at a time. */
static const char *at(const char *where)
{
    snprintf(path_, sizeof path_, "%s/%s", top, where);
    return path_;
}

static void outside_writes(const char *where, const char *text)
{
    FILE *f = fopen(at(where), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* top/root and top/other are exported, top/secret is not. */
static int setup(void **state)
{
    (void)state;
    static char root[256], other[256];
    const char *base = getenv("TMPDIR");
    snprintf(top, sizeof top, "%s/cognu-host-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(top));
    assert_int_equal(mkdir(at("root"), 0755), 0);
    assert_int_equal(mkdir(at("other"), 0755), 0);
    assert_int_equal(mkdir(at("root/sub"), 0755), 0);
    outside_writes("secret", "secret");
    snprintf(root, sizeof root, "%s/root", top);
    snprintf(other, sizeof other, "%s/other", top);
    struct hostfs_tree tree[] = {{.name = "root", .path = root},
                                 {.name = "ro", .path = root, .read_only = true},
                                 {.name = "one", .path = root, .one_device = true},
                                 {.name = "other", .path = other},
                                 {.name = "proc", .path = "/proc", .read_only = true}};
    rig = rig_bare();
    struct hostfs_config config = {.loop = &rig->loop, .tree = tree, .trees = CG_COUNT(tree)};
    struct cg_errbuf eb = {0};
    OK(hostfs_new(&config, &fs, &eb));
    rig_around(&hostfs_ops, fs, rig);
    c = rig_attach(rig, geteuid(), "root");
    OK(c->err);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    rig_free_bare(rig);
    hostfs_free(fs);
    rig_close_loop(rig);
    nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return 0;
}

/* ---- escapes ----------------------------------------------------------------------------------
 */

static void links_are_not_followed(void **state)
{
    (void)state;
    uint32_t fid;
    struct ninep_attr a;
    OK(rig_symlink(c, "..", "up"));
    OK(rig_symlink(c, "../secret", "out"));
    OK(rig_symlink(c, top, "absolute"));
    OK(rig_symlink(c, "sub", "inside"));
    FAILS(rig_walk(c, "up/secret", &fid), CG_ENOTDIR);
    FAILS(rig_walk(c, "absolute/secret", &fid), CG_ENOTDIR);
    FAILS(rig_walk(c, "inside/x", &fid), CG_ENOTDIR);
    FAILS(rig_open(c, "out", NINEP_OPEN_READ, &fid), CG_ELOOP);
    FAILS(rig_create(c, "out", NINEP_OPEN_WRITE | NINEP_OPEN_TRUNC, 0600, &fid), CG_ELOOP);
    OK(rig_put(c, "out", 0, 0600, "mine", 4)); /* replaces the link, not what it names */
    OK(rig_symlink(c, "../secret", "out2"));
    assert_int_not_equal(rig_chmod(c, "out2", 0777), CG_OK);
    struct ninep_tsetattr t = {.valid = NINEP_SETATTR_MTIME, .mtime = 1};
    OK(rig_setattr(c, "out2", &t));
    assert_int_not_equal(rig_truncate(c, "out2", 0), CG_OK);
    OK(rig_link(c, "out2", "out3"));
    OK(rig_stat(c, "out3", &a));
    assert_true(S_ISLNK(a.mode));
    struct stat st;
    assert_int_equal(stat(at("secret"), &st), 0);
    assert_int_equal(st.st_size, 6);
    assert_true(st.st_mtime > 1);
}

static void names_lead_nowhere_else(void **state)
{
    (void)state;
    static const char *const bad[] = {"..",          ".",  "", "/", "../secret", "sub/../../secret",
                                      "/etc/passwd", "a/b"};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        uint32_t root = ninep_client_root(c->client);
        struct cg_span name = cg_span_of(bad[i]);
        union ninep_tmsg walk = {.walk = {.fid = root, .newfid = NINEP_NOFID}};
        walk.walk.names.count = 1;
        walk.walk.names.name[0] = name;
        assert_int_not_equal(rig_call(c, NINEP_TWALK, &walk), CG_OK);
        union ninep_tmsg create = {
            .create = {.fid = root, .newfid = NINEP_NOFID, .mode = S_IFREG | 0600, .name = name}};
        assert_int_not_equal(rig_call(c, NINEP_TCREATE, &create), CG_OK);
        union ninep_tmsg put = {.put = {.fid = root, .name = name}};
        assert_int_not_equal(rig_call(c, NINEP_TPUT, &put), CG_OK);
        union ninep_tmsg rm = {.remove = {.fid = root, .name = name}};
        assert_int_not_equal(rig_call(c, NINEP_TREMOVE, &rm), CG_OK);
        union ninep_tmsg mv = {
            .rename = {.fid = root, .newfid = root, .name = cg_span_of("sub"), .newname = name}};
        assert_int_not_equal(rig_call(c, NINEP_TRENAME, &mv), CG_OK);
    }
    assert_int_equal(access(at("secret"), F_OK), 0);
    assert_int_equal(access(at("root/sub"), F_OK), 0);
}

/* The host swaps a directory for a link to the outside, over and over, while a client walks through
 * it. The client must find the inner file or nothing, never the secret. */
static atomic_bool stop_swapping;

static void *swap(void *aux)
{
    (void)aux;
    char dir[300], other[300];
    snprintf(dir, sizeof dir, "%s/root/d", top);
    snprintf(other, sizeof other, "%s/root/link", top);
    while (!atomic_load(&stop_swapping)) {
        syscall(SYS_renameat2, AT_FDCWD, dir, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */);
    }
    return NULL;
}

static void a_racing_rename_does_not_help(void **state)
{
    (void)state;
    enum { ROUNDS = 2000 };
    pthread_t thread;
    uint32_t inner = 0, n;
    char buf[16];
    OK(rig_mkdir(c, "d", 0755));
    OK(rig_put(c, "d/secret", 0, 0644, "inner!!", 7));
    OK(rig_symlink(c, top, "link"));
    atomic_store(&stop_swapping, false);
    assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t fid;
        cg_err e = rig_open(c, "d/secret", NINEP_OPEN_READ, &fid);
        if (e == CG_OK) {
            OK(rig_read(c, fid, 0, buf, sizeof buf, &n));
            assert_int_equal(n, 7); /* the outer one has 6 bytes */
            rig_clunk(c, fid);
            inner++;
        } else {
            assert_true(e == CG_ENOTDIR || e == CG_ENOENT || e == CG_ELOOP);
        }
        e = rig_put(c, "d/new", 0, 0600, "x", 1);
        assert_true(e == CG_OK || e == CG_ENOTDIR || e == CG_ENOENT);
    }
    atomic_store(&stop_swapping, true);
    pthread_join(thread, NULL);
    assert_true(inner > 0);
    assert_int_not_equal(access(at("new"), F_OK), 0); /* nothing was made outside */
}

static void a_fid_is_its_file(void **state)
{
    (void)state;
    uint32_t fid, dir, n;
    char buf[16];
    OK(rig_put(c, "sub/f", 0, 0644, "first", 5));
    OK(rig_walk(c, "sub/f", &fid));
    OK(rig_walk(c, "sub", &dir));
    char a[300], b[300];
    snprintf(a, sizeof a, "%s/root/sub", top);
    snprintf(b, sizeof b, "%s/root/moved", top);
    assert_int_equal(rename(a, b), 0);
    assert_int_equal(mkdir(a, 0755), 0);
    outside_writes("root/sub/f", "second");
    union ninep_tmsg t = {.open = {.fid = fid, .flags = NINEP_OPEN_READ}};
    OK(rig_call(c, NINEP_TOPEN, &t));
    OK(rig_read(c, fid, 0, buf, sizeof buf, &n));
    assert_int_equal(n, 5);
    assert_memory_equal(buf, "first", 5);
    union ninep_tmsg rm = {.remove = {.fid = dir, .name = cg_span_of("f")}};
    OK(rig_call(c, NINEP_TREMOVE, &rm)); /* in the directory that moved */
    assert_int_equal(access(at("root/sub/f"), F_OK), 0);
    assert_int_not_equal(access(at("root/moved/f"), F_OK), 0);
    rig_clunk(c, fid);
    rig_clunk(c, dir);
}

static void trees_are_apart(void **state)
{
    (void)state;
    struct rig_client *none = rig_attach(rig, geteuid(), "nothing");
    FAILS(none->err, CG_ENOENT);
    struct rig_client *ro = rig_attach(rig, geteuid(), "ro");
    OK(ro->err);
    OK(rig_put(c, "f", 0, 0644, "x", 1));
    struct ninep_attr a;
    uint32_t fid, n;
    OK(rig_stat(ro, "f", &a));
    assert_int_equal(a.rights & NINEP_RIGHTS_WRITE, 0);
    FAILS(rig_open(ro, "f", NINEP_OPEN_RDWR, &fid), CG_EROFS);
    FAILS(rig_open(ro, "f", NINEP_OPEN_READ | NINEP_OPEN_TRUNC, &fid), CG_EROFS);
    FAILS(rig_create(ro, "f", NINEP_OPEN_WRITE, 0600, &fid), CG_EROFS);
    FAILS(rig_mkdir(ro, "d", 0700), CG_EROFS);
    FAILS(rig_symlink(ro, "x", "l"), CG_EROFS);
    FAILS(rig_put(ro, "g", 0, 0600, "x", 1), CG_EROFS);
    FAILS(rig_remove(ro, "f", false), CG_EROFS);
    FAILS(rig_rename(ro, "f", "g", 0), CG_EROFS);
    FAILS(rig_link(ro, "f", "g"), CG_EROFS);
    FAILS(rig_chmod(ro, "f", 0600), CG_EROFS);
    FAILS(rig_truncate(ro, "f", 0), CG_EROFS);
    FAILS(rig_setxattr(ro, "f", "user.x", "x", 1, 0), CG_EROFS);
    OK(rig_open(ro, "f", NINEP_OPEN_READ, &fid));
    char buf[4];
    OK(rig_read(ro, fid, 0, buf, sizeof buf, &n));
    assert_int_equal(n, 1);
    rig_clunk(ro, fid);
}

static void mounts_can_be_closed(void **state)
{
    (void)state;
    struct ninep_attr a;
    if (!own_mounts || mount("tmpfs", at("root/sub"), "tmpfs", 0, "size=64k") != 0) {
        print_message("cannot mount here\n");
        return;
    }
    outside_writes("root/sub/f", "x");
    struct rig_client *one = rig_attach(rig, geteuid(), "one");
    OK(one->err);
    OK(rig_stat(c, "sub/f", &a)); /* by default mounts belong to the tree */
    FAILS(rig_stat(one, "sub", &a), CG_EXDEV);
    FAILS(rig_rename(c, "sub/f", "f", 0), CG_EXDEV);
    umount2(at("root/sub"), MNT_DETACH);
}

static void special_files_stay_shut(void **state)
{
    (void)state;
    uint32_t fid;
    OK(rig_mknod(c, "p", S_IFIFO | 0600, 0, NULL));
    FAILS(rig_open(c, "p", NINEP_OPEN_READ, &fid), CG_ENXIO);
    if (geteuid() == 0 && mknod(at("root/null"), S_IFCHR | 0666, 1 << 8 | 3) == 0) {
        FAILS(rig_open(c, "null", NINEP_OPEN_READ, &fid), CG_ENXIO);
        FAILS(rig_create(c, "null", NINEP_OPEN_WRITE, 0600, &fid), CG_ENXIO);
    }
}

static void files_made_when_read(void **state)
{
    (void)state;
    static struct rig_names page;
    static char buf[8192];
    uint32_t fid, n;
    struct ninep_attr a;
    struct rig_client *p = rig_attach(rig, geteuid(), "proc");
    OK(p->err);
    OK(rig_stat(p, "self", &a));
    assert_true(S_ISLNK(a.mode));
    OK(rig_stat(p, "meminfo", &a));
    assert_int_equal(a.id.type, NINEP_QTYPE_SYNTHETIC | NINEP_QTYPE_NOCACHE);
    assert_true(a.flags & NINEP_ATTRFLAG_NO_XATTR);
    OK(rig_open(p, "meminfo", NINEP_OPEN_READ, &fid));
    OK(rig_read(p, fid, 0, buf, sizeof buf, &n));
    assert_true(n > 100 && p->r.read.eof);
    rig_clunk(p, fid);
    OK(rig_walk(p, "sys/kernel", &fid));
    OK(rig_readdir(p, fid, 0, 65536, NINEP_WANT_INLINE | NINEP_WANT_LEASE, 4096, &page));
    assert_true(page.count > 10);
    for (uint32_t i = 0; i < page.count; i++) {
        assert_int_equal(page.entry[i].whole, 0);
        assert_int_equal(page.entry[i].lease, NINEP_LEASE_NONE);
    }
    rig_clunk(p, fid);
    char self[32];
    snprintf(self, sizeof self, "%d/root/etc", getpid());
    assert_int_not_equal(rig_walk(p, self, &fid), CG_OK); /* a magic link */
}

static void looking_is_no_access(void **state)
{
    (void)state;
    static struct rig_names page;
    uint32_t fid;
    struct stat st;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}}; /* relatime would move it */
    assert_int_equal(mkdir(at("root/d"), 0755), 0);
    outside_writes("root/d/f", "contents");
    assert_int_equal(utimensat(AT_FDCWD, at("root/d/f"), old, 0), 0);
    OK(rig_walk(c, "d", &fid));
    OK(rig_readdir(c, fid, 0, 8192, NINEP_WANT_INLINE, 100, &page));
    assert_int_equal(page.count, 1);
    assert_int_equal(page.entry[0].whole, 1);
    rig_clunk(c, fid);
    union ninep_tmsg t = {.walk = {.fid = ninep_client_root(c->client),
                                   .newfid = NINEP_NOFID,
                                   .want = NINEP_WANT_INLINE,
                                   .inline_max = 100}};
    t.walk.names.count = 2;
    t.walk.names.name[0] = cg_span_of("d");
    t.walk.names.name[1] = cg_span_of("f");
    OK(rig_call(c, NINEP_TWALK, &t));
    assert_int_equal(c->r.walk.whole, 1);
    assert_int_equal(stat(at("root/d/f"), &st), 0);
    assert_int_equal(st.st_atim.tv_sec, 1000);
}

/* ---- changes by the host ----------------------------------------------------------------------
 */

static struct ninep_xqid lease(const char *path, uint32_t *fid)
{
    OK(rig_walk(c, path, fid));
    union ninep_tmsg t = {.getattr = {.fid = *fid, .want = NINEP_WANT_LEASE}};
    OK(rig_call(c, NINEP_TGETATTR, &t));
    assert_int_equal(c->r.getattr.lease, NINEP_LEASE_READ);
    struct ninep_xqid id = c->r.getattr.attr.id;
    rig_settle(rig, 20);
    assert_int_equal(rig_events_of(c, &id), 0);
    return id;
}

static uint32_t heard(const struct ninep_xqid *id)
{
    uint64_t end = cg_now_ms(&cg_env_real) + HEARD_MS;
    while (rig_events_of(c, id) == 0 && cg_now_ms(&cg_env_real) < end) {
        rig_settle(rig, 1);
    }
    return rig_events_of(c, id);
}

static void the_host_breaks_leases(void **state)
{
    (void)state;
    uint32_t f, d;
    OK(rig_put(c, "f", 0, 0644, "x", 1));
    struct ninep_xqid file = lease("f", &f), root = lease("", &d);
    outside_writes("root/f", "longer");
    assert_int_equal(heard(&file), 1);
    rig_settle(rig, 20);
    assert_int_equal(rig_events_of(c, &root), 0); /* its names are the same */
    rig_clunk(c, f);
    c->events = 0;
    file = lease("f", &f);
    assert_int_equal(chmod(at("root/f"), 0600), 0);
    assert_int_equal(heard(&file), 1);
    rig_clunk(c, f);
    c->events = 0;
    file = lease("f", &f);
    outside_writes("root/new", "x");
    assert_int_equal(heard(&root), 1);
    assert_int_equal(rig_events_of(c, &file), 0);
    assert_int_equal(unlink(at("root/f")), 0);
    assert_int_equal(heard(&file), 1);
    rig_clunk(c, f);
    rig_clunk(c, d);
}

static void our_own_changes_break_nothing(void **state)
{
    (void)state;
    uint32_t f, d, s, w, n;
    OK(rig_put(c, "f", 0, 0644, "x", 1));
    lease("f", &f);
    lease("", &d);
    lease("sub", &s);
    for (int i = 0; i < 20; i++) {
        OK(rig_open(c, "f", NINEP_OPEN_WRITE, &w));
        OK(rig_write(c, w, (uint64_t)i, "yy", 2, &n));
        rig_clunk(c, w);
        OK(rig_chmod(c, "f", i % 2 ? 0600 : 0644));
        OK(rig_put(c, "g", 0, 0644, "x", 1));
        OK(rig_rename(c, "g", "sub/h", 0));
        OK(rig_link(c, "f", "i"));
        OK(rig_remove(c, "i", false));
        OK(rig_mkdir(c, "e", 0755));
        OK(rig_remove(c, "e", true));
        if (i % 5 == 0) {
            rig_settle(rig, 10);
        }
    }
    rig_settle(rig, 100);
    assert_int_equal(c->events, 0);
    rig_clunk(c, f);
    rig_clunk(c, d);
    rig_clunk(c, s);
}

/* The fid was walked before the other's change: the new lease knows of it all the same. */
static void a_lease_after_anothers_change_lasts(void **state)
{
    (void)state;
    uint32_t fid, n, w;
    struct rig_client *o = rig_attach(rig, geteuid(), "");
    OK(o->err);
    outside_writes("root/f", "x");
    struct ninep_xqid id = lease("f", &fid);
    OK(rig_open(o, "f", NINEP_OPEN_WRITE, &w));
    OK(rig_write(o, w, 0, "y", 1, &n));
    rig_settle(rig, 50);
    uint32_t events = rig_events_of(c, &id);
    union ninep_tmsg t = {.getattr = {.fid = fid, .want = NINEP_WANT_LEASE}};
    OK(rig_call(c, NINEP_TGETATTR, &t));
    assert_int_equal(c->r.getattr.lease, NINEP_LEASE_READ);
    rig_settle(rig, 50);
    assert_int_equal(rig_events_of(c, &id), events);
    rig_clunk(c, fid);
    rig_clunk(o, w);
}

static void a_change_before_ours_is_not_ours(void **state)
{
    (void)state;
    uint32_t f, n;
    OK(rig_create(c, "f", NINEP_OPEN_RDWR, 0644, &f));
    union ninep_tmsg t = {.getattr = {.fid = f, .want = NINEP_WANT_LEASE}};
    OK(rig_call(c, NINEP_TGETATTR, &t));
    struct ninep_xqid id = c->r.getattr.attr.id;
    rig_settle(rig, 20);
    outside_writes("root/f", "from the host"); /* its event is still in the queue when we write */
    OK(rig_write(c, f, 0, "F", 1, &n));
    assert_int_equal(heard(&id), 1);
    rig_clunk(c, f);
}

static void leases_of_a_listing_break_too(void **state)
{
    (void)state;
    static struct rig_names page;
    struct ninep_xqid id[4];
    uint32_t fid, granted = 0;
    OK(rig_put(c, "sub/a", 0, 0644, "a", 1));
    OK(rig_put(c, "sub/b", 0, 0644, "b", 1));
    OK(rig_put(c, "sub/linked", 0, 0644, "c", 1));
    OK(rig_link(c, "sub/linked", "elsewhere"));
    OK(rig_walk(c, "sub", &fid));
    OK(rig_readdir(c, fid, 0, 16384, NINEP_WANT_LEASE, 0, &page));
    assert_int_equal(c->r.readdir.lease, NINEP_LEASE_READ);
    for (uint32_t i = 0; i < page.count; i++) {
        char name = (char)page.entry[i].name.data[0];
        id[name == 'a' ? 0 : name == 'b' ? 1 : 2] = page.entry[i].attr.id;
        granted += page.entry[i].lease;
    }
    assert_int_equal(granted, 3);
    rig_settle(rig, 20);
    assert_int_equal(c->events, 0);
    outside_writes("root/sub/a", "changed");
    assert_int_equal(heard(&id[0]), 1);
    assert_int_equal(rig_events_of(c, &id[1]), 0);
    outside_writes("root/elsewhere", "through the other name");
    assert_int_equal(heard(&id[2]), 1);
    assert_int_equal(unlink(at("root/sub/b")), 0);
    assert_int_equal(heard(&id[1]), 1);
    rig_clunk(c, fid);
}

/* A lease of a listing must not stay behind when its file moves or is named twice by ourselves. */
static void leases_follow_their_files(void **state)
{
    (void)state;
    static struct rig_names page;
    struct ninep_xqid moved, linked, dir;
    struct ninep_attr a;
    uint32_t fid;
    OK(rig_put(c, "sub/moved", 0, 0644, "a", 1));
    OK(rig_put(c, "sub/linked", 0, 0644, "b", 1));
    OK(rig_mkdir(c, "sub/dir", 0755));
    OK(rig_walk(c, "sub", &fid));
    OK(rig_readdir(c, fid, 0, 16384, NINEP_WANT_LEASE, 0, &page));
    for (uint32_t i = 0; i < page.count; i++) {
        assert_int_equal(page.entry[i].lease, NINEP_LEASE_READ);
    }
    OK(rig_rename(c, "sub/moved", "moved", 0));
    OK(rig_link(c, "sub/linked", "linked"));
    OK(rig_stat(c, "moved", &a));
    moved = a.id;
    OK(rig_stat(c, "linked", &a));
    linked = a.id;
    OK(rig_stat(c, "sub/dir", &a));
    dir = a.id;
    rig_settle(rig, 30);
    assert_int_equal(c->events, 0);
    outside_writes("root/moved", "changed");
    assert_int_equal(heard(&moved), 1);
    outside_writes("root/linked", "changed");
    assert_int_equal(heard(&linked), 1);
    outside_writes("root/sub/dir/new", "x");
    assert_int_equal(heard(&dir), 1);
    rig_clunk(c, fid);
}

/* Without a watch the client may not go on believing. */
static void no_watch_no_lease(void **state)
{
    (void)state;
    uint32_t fid;
    struct ninep_attr a;
    uint32_t keep = fs->watches_max;
    fs->watches_max = 0;
    OK(rig_put(c, "f", 0, 0644, "x", 1));
    OK(rig_walk(c, "f", &fid));
    union ninep_tmsg t = {.getattr = {.fid = fid, .want = NINEP_WANT_LEASE}};
    OK(rig_call(c, NINEP_TGETATTR, &t));
    a = c->r.getattr.attr;
    assert_int_equal(heard(&a.id), 1);
    fs->watches_max = keep;
    c->events = 0;
    OK(rig_call(c, NINEP_TGETATTR, &t));
    assert_int_equal(c->r.getattr.lease, NINEP_LEASE_READ);
    rig_settle(rig, 20);
    assert_int_equal(c->events, 0);
    rig_clunk(c, fid);
}

static void overflowing_events_break_everything(void **state)
{
    (void)state;
    uint32_t f, d;
    unsigned long most = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    assert_non_null(file);
    bool read = fscanf(file, "%lu", &most) == 1;
    fclose(file);
    if (!read || most > 100000) {
        print_message("the host's queue is too long to fill\n");
        return;
    }
    OK(rig_put(c, "f", 0, 0644, "x", 1));
    struct ninep_xqid id = lease("f", &f);
    lease("sub", &d);
    outside_writes("root/sub/a", "x");
    for (unsigned long i = 0; i < most + 10; i++) { /* two kinds, for equal ones are merged */
        assert_int_equal(chmod(at("root/sub/a"), i % 2 ? 0600 : 0644), 0);
        assert_int_equal(truncate(path_, 0), 0);
    }
    assert_int_equal(heard(&id), 1); /* nothing happened to it, but nobody can know */
    rig_clunk(c, f);
    rig_clunk(c, d);
}

/* ---- what runs out ----------------------------------------------------------------------------
 */

static void descriptors_run_out(void **state)
{
    (void)state;
    enum { FILES = 64 };
    char name[32];
    uint32_t fid[FILES];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        OK(rig_put(c, name, 0, 0644, "x", 1));
    }
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    close(next);
    few = (struct rlimit){.rlim_cur = (rlim_t)next + 16, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int got = 0;
    cg_err e = CG_OK;
    while (got < FILES && e == CG_OK) {
        snprintf(name, sizeof name, "f%d", got);
        e = rig_walk(c, name, &fid[got]);
        got += e == CG_OK;
    }
    char detail[256];
    snprintf(detail, sizeof detail, "%s", c->detail);
    struct cg_str names = {0};
    cg_err list = rig_names(c, "", &names);
    cg_err put = rig_put(c, "late", 0, 0644, "x", 1);
    cg_str_fini(&names);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    FAILS(e, CG_EMFILE);
    FAILS(list, CG_EMFILE);
    FAILS(put, CG_EMFILE);
    assert_non_null(strstr(detail, "hard limit of open files"));
    assert_true(got > 4 && got <= 16);
    for (int i = 0; i < got; i++) {
        rig_clunk(c, fid[i]);
    }
    OK(rig_put(c, "late", 0, 0644, "x", 1));
}

static void one_descriptor_for_many_fids(void **state)
{
    (void)state;
    enum { FIDS = 300 };
    static uint32_t fid[FIDS];
    OK(rig_put(c, "f", 0, 0644, "x", 1));
    int before = dup(0), after;
    close(before);
    for (int i = 0; i < FIDS; i++) {
        OK(rig_walk(c, "f", &fid[i]));
    }
    after = dup(0);
    close(after);
    assert_true(after <= before + 1);
    for (int i = 0; i < FIDS; i++) {
        rig_clunk(c, fid[i]);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(links_are_not_followed),
        T(names_lead_nowhere_else),
        T(a_racing_rename_does_not_help),
        T(a_fid_is_its_file),
        T(trees_are_apart),
        T(mounts_can_be_closed),
        T(special_files_stay_shut),
        T(files_made_when_read),
        T(looking_is_no_access),
        T(the_host_breaks_leases),
        T(our_own_changes_break_nothing),
        T(a_lease_after_anothers_change_lasts),
        T(a_change_before_ours_is_not_ours),
        T(leases_of_a_listing_break_too),
        T(leases_follow_their_files),
        T(no_watch_no_lease),
        T(overflowing_events_break_everything),
        T(descriptors_run_out),
        T(one_descriptor_for_many_fids),
    };
    own_mounts = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                 mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests_name("hostfs and its host", tests, NULL, NULL);
}
