/* See worker.h. One commit and one sync at a time. The loop may wait for the commit, then the
 * pool's answer comes late and finds its task taken. */
#include "worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TICK_MS = 1000 };

struct task {
    uv_work_t req;
    struct worker *w;
    struct active_job *job;
    bool ran;      /* worker.lock */
    bool answered; /* by the pool: it is being taken in */
    bool taken;    /* the loop has waited for it */
};
struct worker {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_idle_t idle;
    uv_mutex_t lock;
    uv_cond_t ran;
    struct storefs *fs;
    struct task *task; /* under way */
    uint32_t tasks;    /* whose answer is still to come */
    int closed;        /* of the two handles */
};

static void run_task(uv_work_t *req)
{
    struct task *t = CG_CONTAINER(req, struct task, req);
    active_job_run(t->job);
    uv_mutex_lock(&t->w->lock);
    t->ran = true;
    uv_cond_signal(&t->w->ran);
    uv_mutex_unlock(&t->w->lock);
}

static void task_put(struct task *t)
{
    t->w->tasks--;
    cg_free(t);
}

/* The commit is taken in slice by slice, so that requests have their turn between. */
static void on_idle(uv_idle_t *h)
{
    struct worker *w = CG_CONTAINER(h, struct worker, idle);
    struct task *t = w->task;
    struct active_job *j = t->job;
    w->task = NULL; /* the next may begin from within */
    if (!storefs_job_done(w->fs, j, false)) {
        w->task = t;
        return;
    }
    uv_idle_stop(h);
    task_put(t);
}

static void after_task(uv_work_t *req, int status)
{
    struct task *t = CG_CONTAINER(req, struct task, req);
    (void)status;
    if (t->taken) {
        task_put(t);
    } else {
        t->answered = true;
        uv_idle_start(&t->w->idle, on_idle);
    }
}

static void start(void *aux, struct active_job *j)
{
    struct worker *w = aux;
    struct task *t = cg_zalloc(sizeof *t);
    if (!t) { /* no thread then */
        active_job_run(j);
        storefs_job_done(w->fs, j, true);
        return;
    }
    t->w = w;
    t->job = j;
    w->task = t;
    w->tasks++;
    int rc = uv_queue_work(w->loop, &t->req, run_task, after_task);
    cg_assert(rc == 0);
}

static void wait_for(void *aux)
{
    struct worker *w = aux;
    struct task *t = w->task;
    if (!t) {
        return;
    }
    uv_mutex_lock(&w->lock);
    while (!t->ran) {
        uv_cond_wait(&w->ran, &w->lock);
    }
    uv_mutex_unlock(&w->lock);
    w->task = NULL;
    t->taken = true;
    storefs_job_done(w->fs, t->job, true);
    if (t->answered) {
        uv_idle_stop(&w->idle);
        task_put(t);
    }
}

/* ---- syncs ---- */

struct flush {
    uv_work_t req;
    struct worker *w;
    struct active_flush *f;
};

static void run_flush(uv_work_t *req)
{
    active_flush_run(CG_CONTAINER(req, struct flush, req)->f);
}

static void after_flush(uv_work_t *req, int status)
{
    struct flush *t = CG_CONTAINER(req, struct flush, req);
    struct worker *w = t->w;
    struct active_flush *f = t->f;
    (void)status;
    w->tasks--;
    cg_free(t);
    storefs_flush_done(w->fs, f);
}

static void flush(void *aux, struct active_flush *f)
{
    struct worker *w = aux;
    struct flush *t = cg_zalloc(sizeof *t);
    if (!t) { /* no thread then */
        active_flush_run(f);
        storefs_flush_done(w->fs, f);
        return;
    }
    t->w = w;
    t->f = f;
    w->tasks++;
    int rc = uv_queue_work(w->loop, &t->req, run_flush, after_flush);
    cg_assert(rc == 0);
}

static void on_tick(uv_timer_t *h)
{
    struct worker *w = CG_CONTAINER(h, struct worker, timer);
    storefs_tick(w->fs, cg_env_real.now_ns(NULL) / 1000000000u);
}

cg_err worker_new(uv_loop_t *loop, struct worker **out, struct storefs_live *live)
{
    struct worker *w = cg_zalloc(sizeof *w);
    if (!w) {
        return CG_ENOMEM;
    }
    w->loop = loop;
    if (uv_mutex_init(&w->lock) != 0 || uv_cond_init(&w->ran) != 0 ||
        uv_timer_init(loop, &w->timer) != 0 || uv_idle_init(loop, &w->idle) != 0) {
        cg_free(w);
        return CG_ENOMEM;
    }
    *live = (struct storefs_live){.start = start, .wait = wait_for, .flush = flush, .aux = w};
    *out = w;
    return CG_OK;
}

void worker_start(struct worker *w, struct storefs *fs)
{
    w->fs = fs;
    on_tick(&w->timer);
    uv_timer_start(&w->timer, on_tick, TICK_MS, TICK_MS);
}

static void on_closed(uv_handle_t *h)
{
    ((struct worker *)h->data)->closed++;
}

void worker_free(struct worker *w)
{
    if (w->task) {
        wait_for(w);
    }
    w->timer.data = w->idle.data = w;
    uv_close((uv_handle_t *)&w->timer, on_closed);
    uv_close((uv_handle_t *)&w->idle, on_closed);
    while (w->tasks || w->closed < 2) {
        uv_run(w->loop, UV_RUN_ONCE);
    }
    uv_mutex_destroy(&w->lock);
    uv_cond_destroy(&w->ran);
    cg_free(w);
}

/* ---- who ---- */

static bool read_line(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, cap - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

struct process {
    char state;
    unsigned flags;
    long threads;
    unsigned long long started; /* in ticks since the boot: with its number that names a process */
};

static bool look_at(int pid, struct process *p)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const char *at = read_line(path, text, sizeof text) ? strrchr(text, ')') : NULL;
    return at && sscanf(at,
                        ") %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld "
                        "%*d %llu",
                        &p->state, &p->flags, &p->threads, &p->started) == 4;
}

/* It will end, but a call of its own may still be under way in the kernel. */
static bool is_dying(int pid, const struct process *p)
{
    enum { EXITING = 4, KILL_PENDING = 1 << (SIGKILL - 1) };
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    const char *pending = read_line(path, text, sizeof text) ? strstr(text, "\nShdPnd:") : NULL;
    return (p->flags & EXITING) || p->state == 'Z' ||
           (pending && (strtoull(pending + sizeof "\nShdPnd:", NULL, 16) & KILL_PENDING));
}

/* This boot of this machine, and the space that process numbers are of. */
static void here(char out[WHO_BYTES])
{
    char boot[64] = "";
    struct stat st = {0};
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    if (stat("/proc/self/ns/pid", &st) != 0) {
        st.st_ino = 0;
    }
    snprintf(out, WHO_BYTES, "%.13s/%llu", boot, (unsigned long long)st.st_ino);
}

void who_am_i(char out[WHO_BYTES])
{
    char place[WHO_BYTES];
    here(place);
    struct process self = {0};
    look_at((int)getpid(), &self);
    snprintf(out, WHO_BYTES, "%.28s %d %llu", place, (int)getpid(), self.started);
}

bool who_is_gone(void *aux, const char *who)
{
    enum { WAIT_MS = 30000, LOOK_MS = 10 };
    char place[WHO_BYTES];
    int pid;
    unsigned long long when;
    struct process p;
    bool dying = false;
    (void)aux;
    here(place);
    size_t len = strlen(place) < 28 ? strlen(place) : 28;
    if (strncmp(who, place, len) != 0 || sscanf(who + len, " %d %llu", &pid, &when) != 2) {
        return false; /* of another machine: nobody here knows */
    }
    for (int ms = 0; look_at(pid, &p) && p.started == when; ms += LOOK_MS) {
        if (p.state == 'Z' && p.threads <= 1) {
            return true; /* only its parent has not asked how it ended */
        }
        dying = dying || is_dying(pid, &p);
        if (!dying || ms >= WAIT_MS) {
            return false;
        }
        usleep(LOOK_MS * 1000);
    }
    return true;
}
