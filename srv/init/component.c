/* The life of a component: waiting, running, waiting again. A component that ends is restarted at
 * once the first time and after a growing pause when it keeps ending; one that ran INIT_STEADY_MS
 * has earned a restart without a pause.
 */
#include "init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t init_now_ms(void)
{
    return cg_now_ms(&cg_env_real);
}

static void on_pause_over(uv_timer_t *t)
{
    component_start(t->data);
}

static void wait_to_start(struct component *c)
{
    c->state = COMPONENT_WAITING;
    uint64_t pause = c->pause_ms;
    c->pause_ms = pause == 0
                      ? INIT_PAUSE_MS_MIN
                      : (pause * 2 < INIT_PAUSE_MS_MAX ? (uint32_t)pause * 2 : INIT_PAUSE_MS_MAX);
    uv_timer_start(&c->pause, on_pause_over, pause, 0);
}

/* The services that it may connect to. */
static uint32_t service_binds(const struct manifest *m, struct sandbox_bind *bind,
                              char (*path)[128])
{
    if (m->use_all) {
        bind[0] = (struct sandbox_bind){.source = "/run/cognu/srv", .place = "/run/cognu/srv"};
        return 1;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->uses; i++) {
        snprintf(path[n], sizeof path[0], "/run/cognu/srv/%s", m->use[i]);
        if (access(path[n], F_OK) != 0) {
            cg_log(CG_WARN, "%s uses %s, which nobody offers here", m->name, m->use[i]);
            continue;
        }
        bind[n] = (struct sandbox_bind){.source = path[n], .place = path[n]};
        n++;
    }
    return n;
}

void component_start(struct component *c)
{
    struct sandbox_bind bind[MANIFEST_USES_MAX + 1];
    char path[MANIFEST_USES_MAX][128];
    struct cg_errbuf eb = {0};
    if (c->init->stopping || c->state != COMPONENT_WAITING) {
        return;
    }
    struct sandbox_start s = {.manifest = &c->manifest,
                              .program = c->program,
                              .argv = c->argv,
                              .bind = bind,
                              .binds = service_binds(&c->manifest, bind, path),
                              .fd = c->fd,
                              .fds = c->fds,
                              .log_fd = c->log.write_fd};
    c->starts++;
    c->started_ms = init_now_ms();
    cg_err e = component_line_open(c, &eb);
    e = e != CG_OK ? e : sandbox_start(&s, &c->pid, &eb);
    component_line_passed(c);
    if (e == CG_OK) {
        c->state = COMPONENT_RUNNING;
        cg_log(CG_INFO, "%s runs (pid %d)", c->manifest.name, (int)c->pid);
        return;
    }
    component_line_close(c);
    snprintf(c->why, sizeof c->why, "%s", eb.text);
    cg_log(CG_ERROR_LEVEL, "cannot start: %s", eb.text);
    wait_to_start(c);
}

static void on_patience_over(uv_timer_t *t)
{
    struct component *c = t->data;
    if (c->state == COMPONENT_RUNNING) {
        cg_log(CG_WARN, "%s did not end in time and is killed", c->manifest.name);
        kill(c->pid, SIGKILL);
    }
}

void component_want(struct component *c)
{
    c->wanted = true;
    c->pause_ms = 0;
    if (c->state == COMPONENT_STOPPED) {
        wait_to_start(c);
    }
}

void component_stop(struct component *c)
{
    c->wanted = false;
    if (c->state == COMPONENT_RUNNING) {
        kill(c->pid, SIGTERM);
        uv_timer_start(&c->pause, on_patience_over, INIT_STOP_MS, 0);
    } else if (c->state == COMPONENT_WAITING) {
        uv_timer_stop(&c->pause);
        c->state = COMPONENT_STOPPED;
    }
}

/* Its end is known, and why. */
static void over(struct component *c)
{
    const char *name = c->manifest.name;
    c->pid = 0;
    uv_timer_stop(&c->pause);
    component_line_close(c);
    init_log_drain(c->init, &c->log);
    if (c->init->stopping || !c->wanted || !c->manifest.restart) {
        cg_log(CG_INFO, "%s %s", name, c->why);
        c->state = COMPONENT_STOPPED;
        return;
    }
    if (init_now_ms() - c->started_ms >= INIT_STEADY_MS) {
        c->pause_ms = 0;
    }
    cg_log(CG_WARN, "%s %s; starts again in %u ms", name, c->why, c->pause_ms);
    wait_to_start(c);
}

void component_ended(struct component *c, int status)
{
    if (WIFSIGNALED(status)) {
        snprintf(c->why, sizeof c->why, "killed by signal %d", WTERMSIG(status));
    } else {
        snprintf(c->why, sizeof c->why, "ended with status %d", WEXITSTATUS(status));
    }
    over(c);
}

/* A process that only closed its line would go on beside its successor. */
void component_left(struct component *c)
{
    if (c->state == COMPONENT_RUNNING) {
        kill(c->pid, SIGKILL);
        snprintf(c->why, sizeof c->why, "left; its process %d waits in the kernel", (int)c->pid);
        over(c);
    }
}

struct component *component_by_pid(struct init *in, pid_t pid)
{
    for (uint32_t i = 0; i < in->components; i++) {
        struct component *c = &in->component[i];
        if (c->state == COMPONENT_RUNNING && c->pid == pid) {
            return c;
        }
    }
    return NULL;
}

struct component *component_by_name(struct init *in, const char *name)
{
    for (uint32_t i = 0; i < in->components; i++) {
        if (strcmp(in->component[i].manifest.name, name) == 0) {
            return &in->component[i];
        }
    }
    return NULL;
}
