/* conn_bench: many clients at once on one server, over Unix sockets.
 *
 * usage: conn_bench RAMFS_PROGRAM [CLIENTS]
 *
 * Starts the server, connects CLIENTS sessions from one loop, lets each make one request when it is
 * up, then leaves them idle and looks at what the server's memory has grown by. Rows are as of
 * every benchmark: name, ours, peer (there is none), ratio, unit, with tabs between.
 */
#include <cognu/ninep_uv.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CLIENTS = 1000,
    CLIENTS_MAX = 10000,
    READY_MS = 10000, /* for the server to come up, and for all clients to be answered */
    SETTLE_MS = 300,  /* idle: what was only borrowed has been given back */
};

struct run {
    uv_loop_t *loop;
    uint32_t wanted, up, answered;
    bool failed;
};

struct user {
    struct ninep_client *client;
    struct run *run;
    bool asked;
};

static double seconds_since(uint64_t begin_ns)
{
    return (double)(cg_env_real.now_ns(cg_env_real.ctx) - begin_ns) / 1e9;
}

static void fail(struct run *run, const char *what, const char *detail)
{
    fprintf(stderr, "conn_bench: %s: %s\n", what, detail);
    run->failed = true;
}

static void on_answer(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct user *u = aux;
    (void)r;
    if (e != CG_OK) {
        fail(u->run, "a request", detail);
    }
    u->run->answered++;
}

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct user *u = ctx;
    (void)resumed;
    if (st == NINEP_UP && !u->asked) {
        u->asked = true;
        u->run->up++;
    } else if (st == NINEP_DEAD) {
        fail(u->run, cg_err_name(why), detail);
    }
}

/* Runs the loop until count has reached what is wanted. */
static bool reach(struct run *run, const uint32_t *count)
{
    uint64_t begin = cg_env_real.now_ns(cg_env_real.ctx);
    while (*count < run->wanted && !run->failed) {
        uv_run(run->loop, UV_RUN_ONCE);
        if (seconds_since(begin) * 1000 > READY_MS) {
            fail(run, "time is up", "not all clients were answered");
        }
    }
    return !run->failed;
}

static bool connect_all(struct run *run, struct user *users, const char *socket)
{
    const struct ninep_uv_target target = {.socket = socket};
    for (uint32_t i = 0; i < run->wanted; i++) {
        const struct ninep_client_config config = {.env = &cg_env_real,
                                                   .auth = &ninep_auth_local,
                                                   .user = "bench",
                                                   .state = on_state,
                                                   .ctx = &users[i]};
        users[i].run = run;
        if (ninep_uv_client_new(run->loop, &target, &config, &users[i].client) != CG_OK) {
            fail(run, "a client", "no memory");
            return false;
        }
        ninep_client_start(users[i].client);
    }
    return reach(run, &run->up);
}

static bool ask_all(struct run *run, struct user *users)
{
    for (uint32_t i = 0; i < run->wanted; i++) {
        struct ninep_call k = {.type = NINEP_TGETATTR, .done = on_answer, .aux = &users[i]};
        k.t.getattr.fid = ninep_client_root(users[i].client);
        if (ninep_client_call(users[i].client, &k) == 0) {
            fail(run, "a request", "the client does not take it");
            return false;
        }
    }
    return reach(run, &run->answered);
}

/* Bytes that only this process has; 0 when the system does not say. */
static double memory_of(pid_t pid)
{
    char name[64], line[128];
    double kib = 0;
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(name, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "Private_Dirty:", 14) == 0) {
            kib = strtod(line + 14, NULL);
        }
    }
    if (f) {
        fclose(f);
    }
    return kib * 1024;
}

static void on_settled(uv_timer_t *t)
{
    uv_stop(t->loop);
}

static void settle(uv_loop_t *loop)
{
    uv_timer_t t;
    uv_timer_init(loop, &t);
    uv_timer_start(&t, on_settled, SETTLE_MS, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&t, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

static pid_t start_server(const char *program, const char *socket)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv("COGNU_LOG", "warn", 1);
        execl(program, program, "--socket", socket, (char *)NULL);
        perror(program);
        _exit(127);
    }
    for (int ms = 0; pid > 0 && access(socket, F_OK) != 0; ms++) {
        if (ms == READY_MS || waitpid(pid, NULL, WNOHANG) != 0) {
            fprintf(stderr, "conn_bench: %s did not come up\n", program);
            return -1;
        }
        usleep(1000);
    }
    return pid;
}

static void row(const char *name, double ours, const char *unit)
{
    printf("%s\t%.4g\t-\t-\t%s\n", name, ours, unit);
}

static bool measure(struct run *run, struct user *users, const char *socket, pid_t server)
{
    settle(run->loop);
    double before = memory_of(server);
    uint64_t begin = cg_env_real.now_ns(cg_env_real.ctx);
    if (!connect_all(run, users, socket)) {
        return false;
    }
    double connected = seconds_since(begin);
    begin = cg_env_real.now_ns(cg_env_real.ctx);
    if (!ask_all(run, users)) {
        return false;
    }
    double asked = seconds_since(begin);
    settle(run->loop);
    row("conn_connect_all", connected, "s");
    row("conn_request_all", asked, "s");
    row("conn_idle_memory", (memory_of(server) - before) / run->wanted / 1024, "KiB/connection");
    return true;
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/cognu-conn-XXXXXX", socket[PATH_MAX];
    struct rlimit files;
    struct run run = {.loop = uv_default_loop()};
    unsigned long clients = argc > 2 ? strtoul(argv[2], NULL, 10) : CLIENTS;
    if (argc < 2 || clients == 0 || clients > CLIENTS_MAX) {
        fprintf(stderr, "usage: conn_bench RAMFS_PROGRAM [CLIENTS, at most %d]\n", CLIENTS_MAX);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* else the first client too many says so */
    }
    run.wanted = (uint32_t)clients;
    struct user *users = cg_zalloc(clients * sizeof *users);
    if (!users || !mkdtemp(folder)) {
        perror("conn_bench");
        return 1;
    }
    snprintf(socket, sizeof socket, "%s/ramfs", folder);
    pid_t server = start_server(argv[1], socket);
    bool ok = server > 0 && measure(&run, users, socket, server);
    for (uint32_t i = 0; i < run.wanted && users[i].client; i++) {
        ninep_uv_client_free(users[i].client);
    }
    uv_run(run.loop, UV_RUN_DEFAULT);
    if (server > 0) {
        kill(server, SIGTERM);
        waitpid(server, NULL, 0);
    }
    unlink(socket);
    rmdir(folder);
    cg_free(users);
    return ok ? 0 : 1;
}
