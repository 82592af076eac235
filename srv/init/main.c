/* cognu-init: the first process of a node. It gives the node its root, makes every service socket,
 * starts each component behind the walls of its manifest, starts again what ends, keeps the logs
 * and reaps. See init(1).
 */
#include "init.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct init the_init;

static void on_child(uv_signal_t *s, int signo)
{
    struct init *in = s->data;
    int status = 0;
    pid_t pid;
    (void)signo;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct component *c = component_by_pid(in, pid);
        if (c != NULL) {
            component_ended(c, status);
        }
    }
}

static void on_stop(uv_signal_t *s, int signo)
{
    (void)signo;
    init_stop(s->data);
}

static void watch(struct init *in, uv_signal_t *s, uv_signal_cb fn, int signo)
{
    uv_signal_init(&in->loop, s);
    s->data = in;
    uv_signal_start(s, fn, signo);
}

/* From here on our own lines go to init.log as every component's go to theirs. */
static cg_err redirect_errors(struct init *in, struct cg_errbuf *eb)
{
    in->console_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    cg_err e = init_log_open(in, &in->own_log, "init", eb);
    if (e == CG_OK) {
        fcntl(in->own_log.write_fd, F_SETFL, O_NONBLOCK);
        dup2(in->own_log.write_fd, STDERR_FILENO);
    }
    return e;
}

static cg_err prepare_components(struct init *in, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    for (uint32_t i = 0; e == CG_OK && i < in->components; i++) {
        struct component *c = &in->component[i];
        if (c->state == COMPONENT_ABSENT) {
            continue;
        }
        uv_timer_init(&in->loop, &c->pause);
        c->pause.data = c;
        e = init_log_open(in, &c->log, c->manifest.name, eb);
        if (e == CG_OK) {
            e = component_sockets(c, eb);
        }
    }
    return e;
}

static cg_err prepare_folders(struct init *in, struct cg_errbuf *eb)
{
    const struct manifest *m[INIT_COMPONENTS_MAX];
    for (uint32_t i = 0; i < in->components; i++) {
        m[i] = &in->component[i].manifest;
    }
    return sandbox_prepare(m, in->components, eb);
}

static cg_err start(struct init *in, struct cg_errbuf *eb)
{
    /* For servers that know users by their proofs. */
    setenv("COGNU_NODE", in->node, 1);
    setenv("COGNU_ROSTER", "/var/lib/cognu/roster/roster", 1);
    cg_err e = init_load(in, eb);
    if (e == CG_OK) {
        e = init_enter_node(in, eb);
    }
    if (e == CG_OK) {
        e = redirect_errors(in, eb);
    }
    if (e == CG_OK) {
        e = prepare_folders(in, eb);
    }
    if (e == CG_OK) {
        e = prepare_components(in, eb);
    }
    if (e != CG_OK) {
        return e;
    }
    e = init_serve(in, eb);
    if (e != CG_OK) {
        return e;
    }
    cg_log(CG_INFO, "%s starts, %u components", in->node, in->components);
    for (uint32_t i = 0; i < in->components; i++) {
        component_start(&in->component[i]);
    }
    return CG_OK;
}

/* It holds the descriptors of all shelves; components get limits of their own. */
static void raise_files(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < INIT_FILES) {
        r.rlim_cur = r.rlim_max < INIT_FILES ? r.rlim_max : INIT_FILES;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv)
{
    struct init *in = &the_init;
    struct cg_errbuf eb = {0};
    raise_files();
    cg_log_init("init");
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&in->loop);
    uv_timer_init(&in->loop, &in->stop_tick);
    in->stop_tick.data = in;
    watch(in, &in->on_child, on_child, SIGCHLD);
    watch(in, &in->on_term, on_stop, SIGTERM);
    watch(in, &in->on_int, on_stop, SIGINT);
    cg_err e = init_options(in, argc, argv, &eb);
    if (e == CG_OK && getpid() != 1) {
        e = cg_fail(&eb, CG_EINVAL,
                    "not the first process of a node; start it with scripts/cell up, or with\n"
                    "unshare --mount --pid --net --ipc --uts --fork cognu-init ...");
    }
    if (e == CG_OK) {
        e = start(in, &eb);
    }
    if (e != CG_OK) {
        int fd = in->console_fd > 0 ? in->console_fd : STDERR_FILENO;
        dprintf(fd, "cognu-init: %s\n", eb.text);
        return 1;
    }
    uv_run(&in->loop, UV_RUN_DEFAULT);
    cg_log(CG_INFO, "%s has stopped", in->node);
    init_log_drain(in, &in->own_log);
    return 0;
}
