/* The mount table, unions and text, and files through them, over one simulated machine or two. */
#include "nstest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct t_world world;
static struct t_user user;

static int setup(void **state)
{
    (void)state;
    t_world_init(&world, 1, 1000000);
    t_serve(&world, "alpha!hostfs");
    t_serve(&world, "alpha!ramfs");
    assert_int_equal(t_user_mount(&user, &world), CG_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_world_fini(&world);
    return 0;
}

static void expect(const char *path, const char *text)
{
    char got[256];
    assert_int_equal(t_cat(&user, path, got, sizeof got), CG_OK);
    assert_string_equal(got, text);
}

static void expect_ls(const char *path, const char *names)
{
    char got[1024];
    assert_int_equal(t_ls(&user, path, true, got, sizeof got), CG_OK);
    assert_string_equal(got, names);
}

static void files(void **state)
{
    (void)state;
    struct ns_stat st;
    assert_int_equal(t_mkdir(&user, "/d"), CG_OK);
    assert_int_equal(t_put(&user, "/d/a", "hello"), CG_OK);
    expect("/d/a", "hello");
    assert_int_equal(t_put(&user, "/d/a", "bye"), CG_OK);
    expect("/d/a", "bye");
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    assert_int_equal(st.attr.size, 3);
    assert_int_equal(t_stat(&user, "/d/none", &st), CG_ENOENT);
    assert_int_equal(t_put(&user, "/d/b", ""), CG_OK);
    expect_ls("/d", "a b ");
    assert_int_equal(t_rename(&user, "/d/a", "/d/c"), CG_OK);
    expect_ls("/d", "b c ");
    expect("/d/c", "bye");
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_ENOENT);
    assert_int_equal(t_remove(&user, "/d/b", false), CG_OK);
    assert_int_equal(t_remove(&user, "/d", true), CG_ENOTEMPTY);
    assert_int_equal(t_remove(&user, "/d/c", false), CG_OK);
    assert_int_equal(t_remove(&user, "/d", true), CG_OK);
    assert_int_equal(t_stat(&user, "/d", &st), CG_ENOENT);
}

static void ctl(const char *line)
{
    cg_err e = t_ctl(&user, line);
    if (e) {
        print_message("%s: %s\n", line, cg_err_text(e));
    }
    assert_int_equal(e, CG_OK);
}

/* Three directories with one file of their own each, and one in common. */
static void three(void)
{
    const char *dirs[] = {"/a", "/b", "/c"};
    for (int i = 0; i < 3; i++) {
        char path[32];
        assert_int_equal(t_mkdir(&user, dirs[i]), CG_OK);
        snprintf(path, sizeof path, "%s/own%s", dirs[i], dirs[i] + 1);
        assert_int_equal(t_put(&user, path, dirs[i] + 1), CG_OK);
        snprintf(path, sizeof path, "%s/same", dirs[i]);
        assert_int_equal(t_put(&user, path, dirs[i] + 1), CG_OK);
    }
}

static void bind_replaces(void **state)
{
    (void)state;
    three();
    expect("/b/same", "b");
    ctl("bind /a /b");
    expect("/b/same", "a");
    expect_ls("/b", "owna same ");
    /* NEW was walked when it was bound: a rename does not matter */
    assert_int_equal(t_rename(&user, "/a", "/elsewhere"), CG_OK);
    expect("/b/owna", "a");
    assert_int_equal(t_put(&user, "/elsewhere/late", "late"), CG_OK);
    expect("/b/late", "late");
    /* and a mount point is its directory, wherever that goes */
    ctl("bind /c /elsewhere");
    ctl("unmount /b");
    expect("/b/same", "b");
    ctl("unmount /c /elsewhere");
    expect("/elsewhere/same", "a");
    assert_int_equal(t_ctl(&user, "unmount /b"), CG_ENOTMOUNT);
    assert_int_equal(t_ctl(&user, "unmount /nowhere"), CG_ENOENT);
}

static void unions(void **state)
{
    (void)state;
    three();
    ctl("bind -a /b /a");
    expect("/a/same", "a");
    expect("/a/ownb", "b");
    expect_ls("/a", "owna same ownb ");
    ctl("bind -b /c /a");
    expect("/a/same", "c");
    expect_ls("/a", "ownc same owna ownb ");
    ctl("unmount /b /a");
    expect_ls("/a", "ownc same owna ");
    ctl("unmount /a");
    expect_ls("/a", "owna same ");
    /* a union that is bound elsewhere is copied */
    ctl("bind -a /b /a");
    ctl("bind /a /c");
    ctl("unmount /a");
    expect_ls("/a", "owna same ");
    expect_ls("/c", "owna same ownb ");
}

static void creates(void **state)
{
    (void)state;
    three();
    ctl("bind -a /b /a");
    assert_int_equal(t_put(&user, "/a/new", "x"), CG_ENOCREATE);
    assert_int_equal(t_mkdir(&user, "/a/new"), CG_ENOCREATE);
    ctl("unmount /a");
    ctl("bind -ac /b /a");
    ctl("bind -a -c /c /a");
    assert_int_equal(t_put(&user, "/a/new", "x"), CG_OK);
    expect("/b/new", "x");
    /* what exists is written where it is */
    assert_int_equal(t_put(&user, "/a/owna", "y"), CG_OK);
    struct ns_file *f;
    assert_int_equal(t_create(&user, "/a/owna", NINEP_OPEN_WRITE, &f), CG_OK);
    ns_close(user.ns, f);
    assert_int_equal(t_create(&user, "/a/owna", NINEP_OPEN_WRITE | NINEP_OPEN_EXCL, &f), CG_EEXIST);
    assert_int_equal(t_mkdir(&user, "/a/owna"), CG_EEXIST);
    assert_int_equal(t_remove(&user, "/a/new", false), CG_OK);
    expect_ls("/b", "ownb same ");
    /* the first with -c refuses: no falling through to the next */
    assert_int_equal(t_chmod(&user, "/b", 0), CG_OK);
    struct ns_stat st;
    if (t_stat(&user, "/b", &st) == CG_OK && !(st.attr.rights & NINEP_RIGHTS_WRITE)) {
        assert_int_equal(t_put(&user, "/a/new", "x"), CG_EACCES);
    }
}

static void two_trees(void **state)
{
    (void)state;
    three();
    ctl("mount -c .!ramfs /tmp");
    expect_ls("/", "tmp a b c ");
    assert_int_equal(t_put(&user, "/tmp/t", "tmp"), CG_OK);
    expect("/tmp/t", "tmp");
    assert_int_equal(t_rename(&user, "/tmp/t", "/a/t"), CG_EXDEV);
    assert_int_equal(t_remove(&user, "/tmp", true), CG_EBUSY);
    assert_int_equal(t_rename(&user, "/tmp", "/x"), CG_EBUSY);
    ctl("bind /tmp /b");
    assert_int_equal(t_remove(&user, "/b", true), CG_EBUSY);
    assert_int_equal(t_rename(&user, "/a", "/b"), CG_EBUSY);
    expect("/b/t", "tmp");
    ctl("unmount /tmp");
    expect_ls("/", "a b c ");
    expect("/b/t", "tmp");
    /* one file on another */
    ctl("bind /a/owna /c/ownc");
    expect("/c/ownc", "a");
    assert_int_equal(t_ctl(&user, "bind /a /c/same"), CG_ENOTDIR);
    ctl("unmount /c/ownc");
    expect("/c/ownc", "c");
}

/* A tree that nothing needs any more gives its session up. */
static void detach(void **state)
{
    (void)state;
    struct cg_str s = {0};
    struct ns_stat st;
    ctl("mount .!ramfs /tmp");
    assert_int_equal(t_stat(&user, "/tmp", &st), CG_OK);
    assert_int_equal(ns_status(user.ns, &s), CG_OK);
    assert_non_null(strstr(s.data, "tree alpha!ramfs! up"));
    s.len = 0;
    ctl("unmount /tmp");
    t_run(&world, 1000000);
    assert_int_equal(ns_status(user.ns, &s), CG_OK);
    assert_null(strstr(s.data, "ramfs"));
    cg_str_fini(&s);
}

static void attach_late(void **state)
{
    (void)state;
    struct ns_stat st;
    assert_int_equal(t_stat(&user, "/", &st), CG_OK);
    uint32_t dials = user.dials;
    ctl("node beta");
    ctl("mount beta!extra /n/beta/extra");
    expect_ls("/n", "beta ");
    assert_int_equal(user.dials, dials);
    ctl("mount beta!extra /n/beta/other/deep"); /* dials, to see what is there: in vain */
    assert_int_equal(user.dials, dials + 1);
    t_run(&world, UINT64_C(1100000000));
    dials = user.dials;
    /* touched, and refused with the cause; again at once: not dialled again */
    assert_int_equal(t_stat(&user, "/n/beta/proc", &st), CG_ENOSERVICE);
    assert_int_equal(t_stat(&user, "/n/beta/proc", &st), CG_ENOSERVICE);
    assert_int_equal(user.dials, dials + 2); /* its file tree, too */
    assert_int_equal(t_stat(&user, "/n/beta", &st), CG_OK);
    assert_int_equal(t_stat(&user, "/n/beta/etc", &st), CG_ENOSERVICE);
    assert_int_equal(t_put(&user, "/n/beta/x", ""), CG_ENOSERVICE);
    t_serve(&world, "beta!proc");
    t_run(&world, UINT64_C(1100000000));
    assert_int_equal(t_stat(&user, "/n/beta/proc", &st), CG_OK);
    assert_int_equal(t_put(&user, "/n/beta/proc/x", "1"), CG_OK);
    expect("/n/beta/proc/x", "1");
    expect_ls("/n/beta/proc", "x ");
    expect_ls("/n/beta/other", "deep ");
}

static void limits(void **state)
{
    (void)state;
    struct ns_stat st;
    struct cg_str text = {0};
    three();
    t_serve(&world, "beta!proc");
    ctl("mount beta!proc /late");
    ctl("mount .!ramfs /tmp");
    assert_int_equal(t_stat(&user, "/tmp", &st), CG_OK);
    ctl("chdev beta!hostfs extra .!ramfs");
    assert_int_equal(t_ctl(&user, "mount beta!proc /p"), CG_EPERM);
    ctl("mount beta!extra /e"); /* by any node's name */
    assert_int_equal(t_ctl(&user, "mount gamma!hostfs /e"), CG_EPERM);
    assert_int_equal(t_stat(&user, "/late", &st), CG_EPERM); /* not attached by then */
    assert_int_equal(t_stat(&user, "/tmp", &st), CG_OK);
    assert_int_equal(t_stat(&user, "/a", &st), CG_OK); /* what is attached stays */
    ctl("chdev -r extra");
    assert_int_equal(t_ctl(&user, "mount beta!extra /f"), CG_EPERM);
    assert_int_equal(ns_limits(user.ns, &text), CG_OK);
    assert_string_equal(text.data, "chdev beta!hostfs extra alpha!ramfs \nchdev -r extra \n");
    cg_str_fini(&text);
    assert_int_equal(t_ctl(&user, "chdev"), CG_EBADFORMAT);
    assert_int_equal(t_ctl(&user, "chdev -x"), CG_EINVAL);
    assert_int_equal(t_ctl(&user, "chdev 'a b'"), CG_EINVAL);
}

static void same_text_in(const char *text)
{
    struct t_user other;
    t_user_init(&other, &world);
    char *copy = cg_strdup(text), *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        assert_int_equal(t_ctl(&other, line), CG_OK);
    }
    char *again = t_text(&other);
    assert_string_equal(again, text);
    cg_free(again);
    cg_free(copy);
    t_user_fini(&other);
}

static void text(void **state)
{
    (void)state;
    three();
    assert_int_equal(t_mkdir(&user, "/it's a dir"), CG_OK);
    ctl("bind -ac /b /a");
    ctl("bind -b /c //a/./x/..");
    ctl("bind '/it''s a dir' /c");
    ctl("mount .!ramfs /tmp/deep");
    ctl("node beta");
    ctl("unmount /n/beta/net");
    ctl("unmount /c /a");
    char *now = t_text(&user);
    assert_string_equal(now, "mount -c alpha!hostfs!root /\n"
                             "bind -a -c /b /a\n"
                             "bind '/it''s a dir' /c\n"
                             "mount alpha!ramfs /tmp/deep\n"
                             "node beta\n"
                             "unmount /n/beta/net\n");
    same_text_in(now);
    cg_free(now);
    ctl("jail");
    assert_int_equal(t_ctl(&user, "bind /a /b"), CG_ENOMOUNT);
    assert_int_equal(t_ctl(&user, "jail"), CG_ENOMOUNT);
    expect("/a/owna", "a");
    now = t_text(&user);
    assert_non_null(strstr(now, "node beta\nunmount /n/beta/net\njail\n"));
    same_text_in(now);
    cg_free(now);
}

static void bad_lines(void **state)
{
    (void)state;
    assert_int_equal(t_ctl(&user, ""), CG_EBADFORMAT);
    assert_int_equal(t_ctl(&user, "bind"), CG_EBADFORMAT);
    assert_int_equal(t_ctl(&user, "bind /a"), CG_EBADFORMAT);
    assert_int_equal(t_ctl(&user, "bind a b"), CG_EINVAL);
    assert_int_equal(t_ctl(&user, "bind -x /a /b"), CG_EINVAL);
    assert_int_equal(t_ctl(&user, "bind -a -b /a /b"), CG_EINVAL);
    assert_int_equal(t_ctl(&user, "bind /none /"), CG_ENOENT);
    assert_int_equal(t_ctl(&user, "mount alpha /x"), CG_EBADFORMAT);
    assert_int_equal(t_ctl(&user, "node a/b"), CG_EINVAL);
    assert_int_equal(t_ctl(&user, "dance"), CG_EBADFORMAT);
    expect_ls("/", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files, setup, teardown),
        cmocka_unit_test_setup_teardown(bind_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(unions, setup, teardown),
        cmocka_unit_test_setup_teardown(creates, setup, teardown),
        cmocka_unit_test_setup_teardown(two_trees, setup, teardown),
        cmocka_unit_test_setup_teardown(detach, setup, teardown),
        cmocka_unit_test_setup_teardown(attach_late, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(text, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_lines, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
