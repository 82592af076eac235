/* Tests of lib/manifest: what the text form grants, and that nothing else is taken for a grant. */
#include <cognu/manifest.h>

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static cg_err parse(const char *text, struct manifest *m, struct cg_errbuf *eb)
{
    return manifest_parse("sample", "sample.manifest", text, strlen(text), m, eb);
}

static void a_full_manifest_is_read(void **state)
{
    (void)state;
    struct manifest m;
    struct cg_errbuf eb = {0};
    cg_err e = parse("# a comment, it's free\n"
                     "program cognu-sample --node $NODE --listen $LISTEN 'two words'\n"
                     "\n"
                     "offer sample gate   # trailing\n"
                     "offer other\n"
                     "socket seqpacket /run/cognu/fuse --control-fd\n"
                     "use factotum log\n"
                     "path rw /var/lib/cognu/root\n"
                     "path r /usr /host/usr\n"
                     "net node\npids node\nuid 0\n"
                     "privilege chown fowner\n"
                     "syscalls default +mknodat +setfsuid\n"
                     "memory 64M\nfiles 4096\nkeep 8\nrestart never\nwalls none",
                     &m, &eb);
    assert_string_equal(eb.text, "");
    assert_int_equal(e, CG_OK);
    assert_string_equal(m.name, "sample");
    assert_string_equal(m.program, "cognu-sample");
    assert_int_equal(m.args, 5);
    assert_string_equal(m.arg[1], "$NODE");
    assert_string_equal(m.arg[4], "two words");
    assert_int_equal(m.offers, 2);
    assert_true(m.offer[0].gate);
    assert_false(m.offer[1].gate);
    assert_true(m.socket[0].seqpacket);
    assert_string_equal(m.socket[0].option, "--control-fd");
    assert_int_equal(m.uses, 2);
    assert_false(m.use_all);
    assert_true(m.path[0].writable);
    assert_string_equal(m.path[0].place, "/var/lib/cognu/root");
    assert_string_equal(m.path[1].source, "/usr");
    assert_string_equal(m.path[1].place, "/host/usr");
    assert_int_equal(m.net, MANIFEST_NET_NODE);
    assert_true(m.node_pids);
    assert_int_equal(m.uid, 0);
    assert_int_equal(m.privileges, 1u << CAP_CHOWN | 1u << CAP_FOWNER);
    assert_string_equal(m.syscall[1], "setfsuid");
    assert_int_equal(m.memory_bytes, 64 << 20);
    assert_int_equal(m.files, 4096);
    assert_int_equal(m.keep, 8);
    assert_false(m.restart);
    assert_false(m.walled);
    manifest_fini(&m);
}

static void what_is_not_named_is_not_granted(void **state)
{
    (void)state;
    struct manifest m;
    assert_int_equal(parse("program cognu-sample\n", &m, NULL), CG_OK);
    assert_int_equal(m.offers + m.sockets + m.uses + m.paths + m.syscalls + m.args, 0);
    assert_false(m.use_all);
    assert_false(m.node_pids);
    assert_int_equal(m.net, MANIFEST_NET_NONE);
    assert_int_equal(m.privileges, 0);
    assert_int_equal(m.uid, MANIFEST_NOBODY);
    assert_true(m.restart);
    assert_true(m.walled);
    manifest_fini(&m);
}

/* Each text is refused at the line given, with words of the reason. */
static const struct {
    const char *text, *detail;
} refused[] = {
    {"", "sample.manifest: no program"},
    {"program a\nprogram b\n", "sample.manifest:2: program is said twice"},
    {"program a\nwhatever 1\n", "sample.manifest:2: unknown word 'whatever'"},
    {"program /bin/sh\n", "sample.manifest:1: '/bin/sh' is not the file name"},
    {"program a $HOME\n", "sample.manifest:1: '$HOME' is no variable"},
    {"program a x$NODE\n", "sample.manifest:1: 'x$NODE' is no variable"},
    {"\nprogram a 'open\n", "sample.manifest:2: a quote is not closed"},
    {"program a\noffer Upper\n", "sample.manifest:2: 'Upper' is not a name"},
    {"program a\noffer x door\n", "sample.manifest:2: 'door' is not 'gate'"},
    {"program a\noffer x\noffer x gate\n", "sample.manifest:3: 'x' is named twice"},
    {"program a\nsocket dgram /run/x --x-fd\n", "sample.manifest:2: 'dgram' is not one of"},
    {"program a\nsocket stream /run/x x\n", "sample.manifest:2: 'x' is not an option"},
    {"program a\nuse x x\n", "sample.manifest:2: 'x' is named twice"},
    {"program a\nuse x *\n", "sample.manifest:2: '*' is not a name"},
    {"program a\nuse x\nuse *\n", "sample.manifest:3: 'use *' already"},
    {"program a\nuse ../x\n", "sample.manifest:2: '../x' is not a name"},
    {"program a\npath w /x\n", "sample.manifest:2: 'w' is not one of: r, rw"},
    {"program a\npath r x\n", "sample.manifest:2: 'x' is not a path"},
    {"program a\npath r /\n", "sample.manifest:2: '/' is not a path"},
    {"program a\npath r /a/../b\n", "sample.manifest:2: '/a/../b' is not a path"},
    {"program a\npath r /a/./b\n", "sample.manifest:2: '/a/./b' is not a path"},
    {"program a\npath r /a//b\n", "sample.manifest:2: '/a//b' is not a path"},
    {"program a\npath r /a/\n", "sample.manifest:2: '/a/' is not a path"},
    {"program a\npath r /a b\n", "sample.manifest:2: 'b' is not a path"},
    {"program a\npath r /a\npath rw /b /a\n", "sample.manifest:3: '/a' is named twice"},
    {"program a\npath r\n", "sample.manifest:2: the form is: path r|rw"},
    {"program a\nnet all\n", "sample.manifest:2: 'all' is not one of: none, loopback, node"},
    {"program a\nnet node\nnet none\n", "sample.manifest:3: net is said twice"},
    {"program a\nuid -1\n", "sample.manifest:2: '-1' is not a number"},
    {"program a\nuid 65535\n", "sample.manifest:2: '65535' is not a number from 0 to 65534"},
    {"program a\nuid 007\n", "sample.manifest:2: '007' is not a number"},
    {"program a\nprivilege sys_admin\n", "sample.manifest:2: 'sys_admin' is no privilege"},
    {"program a\nprivilege chown chown\n", "sample.manifest:2: 'chown' is named twice"},
    {"program a\nsyscalls all\n", "sample.manifest:2: 'all' is not 'default'"},
    {"program a\nsyscalls default ptrace\n", "sample.manifest:2: 'ptrace' is not a plus"},
    {"program a\nmemory 12\n", "sample.manifest:2: '12' has no suffix"},
    {"program a\nmemory 99999999999999999999G\n", "is not a number from 1 to 1024"},
    {"program a\nmemory 0M\n", "sample.manifest:2: '0' is not a number"},
    {"program a\nkeep 0\n", "sample.manifest:2: '0' is not a number from 1"},
    {"program a\nfiles 3\n", "sample.manifest:2: '3' is not a number from 16"},
    {"program a\nrestart sometimes\n", "sample.manifest:2: 'sometimes' is not one of"},
    {"program a\nuid 1\r\n", "not a text"},
    {"program a\n# \x80\n", "not a text"},
};

static void what_is_not_of_the_form_is_refused_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < CG_COUNT(refused); i++) {
        struct manifest m;
        struct cg_errbuf eb = {0};
        assert_int_equal(parse(refused[i].text, &m, &eb), CG_EBADFORMAT);
        if (strstr(eb.text, refused[i].detail) == NULL) {
            fail_msg("'%s' gave '%s'", refused[i].text, eb.text);
        }
        assert_null(m.text);
    }
}

static void tables_have_ends(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int max;
    } rows[] = {
        {"offer x%d\n", MANIFEST_OFFERS_MAX},
        {"socket stream /s%d --fd\n", MANIFEST_SOCKETS_MAX},
        {"use x%d\n", MANIFEST_USES_MAX},
        {"path r /x%d\n", MANIFEST_PATHS_MAX},
    };
    for (size_t row = 0; row < CG_COUNT(rows); row++) {
        struct cg_str text = {0};
        struct manifest m;
        assert_int_equal(cg_str_addf(&text, "program a\n"), CG_OK);
        for (int i = 0; i < rows[row].max; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            assert_int_equal(cg_str_addf(&text, rows[row].line, i), CG_OK);
        }
        assert_int_equal(parse(text.data, &m, NULL), CG_OK);
        manifest_fini(&m);
        assert_int_equal(cg_str_addf(&text, rows[row].line, rows[row].max), CG_OK);
#pragma GCC diagnostic pop
        assert_int_equal(parse(text.data, &m, NULL), CG_EBADFORMAT);
        cg_str_fini(&text);
    }
}

static void a_text_with_a_nul_or_too_long_is_refused(void **state)
{
    (void)state;
    static char text[MANIFEST_BYTES_MAX + 1];
    struct manifest m;
    memset(text, '\n', sizeof text);
    memcpy(text, "program a", 9);
    assert_int_equal(manifest_parse("a", "a", text, sizeof text, &m, NULL), CG_EBADFORMAT);
    assert_int_equal(manifest_parse("a", "a", text, sizeof text - 1, &m, NULL), CG_OK);
    manifest_fini(&m);
    text[100] = '\0';
    assert_int_equal(manifest_parse("a", "a", text, 200, &m, NULL), CG_EBADFORMAT);
    assert_int_equal(manifest_parse("../a", "a", "program a", 9, &m, NULL), CG_EBADFORMAT);
}

static void a_file_names_its_component(void **state)
{
    (void)state;
    char dir[] = "/tmp/manifest_test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    snprintf(path, sizeof path, "%s/ramfs.manifest", dir);
    struct manifest m;
    struct cg_errbuf eb = {0};
    assert_int_equal(manifest_load(path, &m, &eb), CG_ENOENT);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("program cognu-ramfs\noffer ramfs gate\n", f);
    fclose(f);
    assert_int_equal(manifest_load(path, &m, &eb), CG_OK);
    assert_string_equal(m.name, "ramfs");
    manifest_fini(&m);
    assert_int_equal(manifest_load("/tmp/ramfs.txt", &m, &eb), CG_EBADFORMAT);
    unlink(path);
    rmdir(dir);
}

/* Random cuts and changes of a good text: never a crash, never a path or name of another form. */
static void damaged_texts_give_an_error_or_a_sound_manifest(void **state)
{
    (void)state;
    static const char good[] = "program cognu-a --x $NODE 'q q'\noffer a gate\nuse b c\n"
                               "path rw /a/b /c\nsyscalls default +mknodat\nmemory 4M\nfiles 64\n";
    const char *given = getenv("COGNU_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)getpid();
    print_message("replay with COGNU_SEED=%u\n", seed);
    srand(seed);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (int n = rand() % 4; n >= 0; n--) {
            text[(size_t)rand() % (sizeof good - 1)] = (char)(rand() % 128);
        }
        struct manifest m;
        struct cg_errbuf eb = {0};
        cg_err e = manifest_parse("a", "a", text, (size_t)rand() % sizeof good, &m, &eb);
        if (e != CG_OK) {
            assert_int_equal(e, CG_EBADFORMAT);
            assert_string_not_equal(eb.text, "");
            continue;
        }
        for (uint32_t i = 0; i < m.paths; i++) {
            assert_int_equal(m.path[i].source[0], '/');
            assert_null(strstr(m.path[i].place, "/../"));
        }
        for (uint32_t i = 0; i < m.uses; i++) {
            assert_true(manifest_name_ok(m.use[i]));
        }
        manifest_fini(&m);
    }
}

static void short_memory_is_an_error(void **state)
{
    (void)state;
    struct manifest m;
    cg_alloc_fail_at(1);
    assert_int_equal(parse("program a\n", &m, NULL), CG_ENOMEM);
    cg_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_manifest_is_read),
        cmocka_unit_test(what_is_not_named_is_not_granted),
        cmocka_unit_test(what_is_not_of_the_form_is_refused_with_its_line),
        cmocka_unit_test(tables_have_ends),
        cmocka_unit_test(a_text_with_a_nul_or_too_long_is_refused),
        cmocka_unit_test(a_file_names_its_component),
        cmocka_unit_test(damaged_texts_give_an_error_or_a_sound_manifest),
        cmocka_unit_test(short_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
