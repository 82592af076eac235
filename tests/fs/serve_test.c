/* The two programs themselves: started as processes, used through a socket, ended by SIGTERM. Their
 * paths are RAMFS_PROGRAM and HOSTFS_PROGRAM, from the build.
 */
#include <cognu/ninep_uv.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

extern char **environ;
static char dir[256], path[300], tree_arg[320];

static pid_t start(char *const argv[])
{
    pid_t pid = 0;
    assert_int_equal(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ), 0);
    return pid;
}

static cg_err call(uv_loop_t *loop, struct ninep_client *c, uint8_t type, union ninep_tmsg t,
                   union ninep_rmsg *r, struct ninep_frame **frame)
{
    struct ninep_call call = {.type = type, .t = t};
    struct cg_errbuf eb = {0};
    cg_err e = ninep_uv_call(loop, c, &call, r, frame, &eb);
    if (e != CG_OK) {
        print_message("%s: %s\n", cg_err_name(e), eb.text);
    }
    return e;
}

/* Puts a file, walks to it with its contents, opens and syncs it. */
static void use(struct ninep_client *c, uv_loop_t *loop)
{
    union ninep_rmsg r;
    struct ninep_frame *frame = NULL;
    uint32_t root = ninep_client_root(c), fid = ninep_client_fid(c);
    union ninep_tmsg t = {
        .put = {.fid = root, .mode = 0640, .name = cg_span_of("f"), .data = cg_span_of("hello")}};
    assert_int_equal(call(loop, c, NINEP_TPUT, t, &r, NULL), CG_OK);
    t = (union ninep_tmsg){
        .walk = {.fid = root, .newfid = fid, .want = NINEP_WANT_INLINE, .inline_max = 100}};
    t.walk.names.count = 1;
    t.walk.names.name[0] = cg_span_of("f");
    assert_int_equal(call(loop, c, NINEP_TWALK, t, &r, &frame), CG_OK);
    assert_int_equal(r.walk.whole, 1);
    assert_int_equal(r.walk.inline_.len, 5);
    assert_memory_equal(r.walk.inline_.data, "hello", 5);
    ninep_frame_free(frame);
    t = (union ninep_tmsg){.open = {.fid = fid, .flags = NINEP_OPEN_RDWR}};
    assert_int_equal(call(loop, c, NINEP_TOPEN, t, &r, NULL), CG_OK);
    t = (union ninep_tmsg){.fsync = {.fid = fid}};
    assert_int_equal(call(loop, c, NINEP_TFSYNC, t, &r, NULL), CG_OK);
    ninep_client_clunk(c, fid);
}

static void serves(char *const argv[], const char *tree)
{
    uv_loop_t loop;
    struct ninep_client *c;
    struct cg_errbuf eb = {0};
    int status = -1;
    pid_t pid = start(argv);
    for (int i = 0; i < 200 && access(path, F_OK) != 0; i++) {
        usleep(10000);
    }
    assert_int_equal(uv_loop_init(&loop), 0);
    struct ninep_uv_target target = {.socket = path};
    struct ninep_client_config config = {
        .env = &cg_env_real, .auth = &ninep_auth_local, .user = "test", .tree = tree};
    assert_int_equal(ninep_uv_client_new(&loop, &target, &config, &c), CG_OK);
    ninep_client_start(c);
    assert_int_equal(ninep_uv_wait_up(&loop, c, &eb), CG_OK);
    use(c, &loop);
    ninep_uv_client_free(c);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void ramfs_serves(void **state)
{
    (void)state;
    char *argv[] = {RAMFS_PROGRAM, "--bytes-max", "4M", "--socket", path, NULL};
    serves(argv, "");
}

static void hostfs_serves(void **state)
{
    (void)state;
    struct stat st;
    char *argv[] = {HOSTFS_PROGRAM, "--tree", tree_arg, "--socket", path, NULL};
    snprintf(tree_arg, sizeof tree_arg, "root=%s", dir);
    serves(argv, "root");
    char file[300];
    snprintf(file, sizeof file, "%s/f", dir);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(unlink(file), 0);
}

static void malformed_options_are_refused(void **state)
{
    (void)state;
    char *const bad[][4] = {{RAMFS_PROGRAM, "--bytes-max", "much", NULL},
                            {HOSTFS_PROGRAM, "--tree", "root", NULL},
                            {HOSTFS_PROGRAM, "--tree", "root=/nowhere/at/all", NULL},
                            {HOSTFS_PROGRAM, NULL}};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        int status = 0;
        pid_t pid = start(bad[i]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ramfs_serves),
        cmocka_unit_test(hostfs_serves),
        cmocka_unit_test(malformed_options_are_refused),
    };
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/cognu-serve-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/socket", dir);
    int failed = cmocka_run_group_tests_name("the programs", tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
