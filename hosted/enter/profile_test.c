/* The namespace files of users and services. */
#include "profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/cognu-profile-XXXXXX";
static struct cg_errbuf eb;

static void path_of(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", root, name);
}

static void put(const char *name, const char *text)
{
    char path[256];
    path_of(path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void gone(const char *name)
{
    char path[256];
    path_of(path, name);
    assert_int_equal(unlink(path), 0);
}

static void expect(const char *service, const char *user, cg_err want, const char *wanted)
{
    const struct profile p = {root, "/h", service, user, "alpha"};
    struct cg_str text = {0};
    assert_int_equal(cg_str_addf(&text, "template\n"), CG_OK);
    eb.text[0] = '\0';
    assert_int_equal(profile_add(&p, &text, &eb), want);
    if (want == CG_OK) {
        assert_string_equal(text.data, wanted);
    } else {
        assert_string_equal(text.data, "template\n");
        assert_non_null(strstr(eb.text, wanted));
    }
    cg_str_fini(&text);
}

static int setup(void **state)
{
    char path[256];
    (void)state;
    assert_non_null(mkdtemp(root));
    path_of(path, "h");
    assert_int_equal(mkdir(path, 0755), 0);
    path_of(path, "h/lib");
    assert_int_equal(mkdir(path, 0755), 0);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"h/lib", "h", ""};
    char path[256];
    (void)state;
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        path_of(path, names[i]);
        assert_int_equal(rmdir(path), 0);
    }
    return 0;
}

static void the_nearest_file_counts(void **state)
{
    (void)state;
    expect("exec", "ann", CG_OK, "template\n");
    put("h/lib/namespace", "bind /a /b\n\n# words\n  bind '/it''s' /c");
    expect("exec", "ann", CG_OK, "template\nbind /a /b\nbind '/it''s' /c\n");
    put("h/lib/namespace.exec", "bind /e /e\n");
    expect("exec", "ann", CG_OK, "template\nbind /e /e\n");
    expect("shell", "ann", CG_OK, "template\nbind /a /b\nbind '/it''s' /c\n");
    put("h/lib/namespace.exec.ann", "jail");
    expect("exec", "ann", CG_OK, "template\njail\n");
    expect("exec", "bob", CG_OK, "template\nbind /e /e\n");
    gone("h/lib/namespace");
    gone("h/lib/namespace.exec");
    gone("h/lib/namespace.exec.ann");
}

static void lines_of_its_own(void **state)
{
    (void)state;
    put("h/lib/common", "bind $home/$user.$service /n/$node\n");
    put("h/lib/namespace", "mount x!y /z\nclear\n. /h/lib/common\n");
    expect("exec", "ann", CG_OK, "bind /h/ann.exec /n/alpha\n");
    put("h/lib/namespace", "bind a b\n. /h/lib/none\n");
    expect("exec", "ann", CG_EBADFORMAT, "namespace:2: there is no file");
    put("h/lib/namespace", "bind $what b\n");
    expect("exec", "ann", CG_EBADFORMAT, "namespace:1: $what is not known");
    put("h/lib/namespace", "bind 'a b\n");
    expect("exec", "ann", CG_EBADFORMAT, "a quote is open");
    put("h/lib/namespace", ". /h/lib/namespace\n");
    expect("exec", "ann", CG_ELIMIT, "name one another");
    gone("h/lib/common");
    gone("h/lib/namespace");
}

/* A link leads where it would in the node's tree. */
static void links_stay_inside(void **state)
{
    char path[256];
    (void)state;
    path_of(path, "h/lib/namespace");
    assert_int_equal(symlink("/../../etc/passwd", path), 0);
    expect("shell", "ann", CG_OK, "template\n");
    gone("h/lib/namespace");
    put("h/lib/real", "jail\n");
    assert_int_equal(symlink("/h/lib/real", path), 0);
    expect("shell", "ann", CG_OK, "template\njail\n");
    gone("h/lib/namespace");
    gone("h/lib/real");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_file_counts),
        cmocka_unit_test(lines_of_its_own),
        cmocka_unit_test(links_stay_inside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
