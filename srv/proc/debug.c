/* debug: see debug.h. All ptrace calls come from the loop's thread, as the host demands of a
 * tracer; a stop is seen by SIGCHLD, and answers whoever waits for it. */
#include "debug.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { REG_WORDS = 3 };

struct held {
    struct cg_list link;
    pid_t pid;
    void *owner;
    bool stopped, gone;
    int signo;               /* that it was stopped by: SIGTRAP, a signal that it is to get */
    bool deliver;            /* signo is its own: it gets it when it goes on */
    struct ninep_req *waits; /* for the next stop */
};

static struct cg_list all;
static uint32_t count;
static uv_signal_t child_signal;

static struct held *find(uint64_t pid)
{
    CG_LIST_EACH (it, &all) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if ((uint64_t)h->pid == pid) {
            return h;
        }
    }
    return NULL;
}

bool debug_holds(uint64_t pid)
{
    return find(pid) != NULL;
}

/* Who waits for a stop is answered: there is one, or the process is gone. */
static void answer(struct held *h)
{
    struct ninep_req *r = h->waits;
    h->waits = NULL;
    if (!r) {
        return;
    }
    r->aux = NULL;
    if (h->gone) {
        ninep_respond(r, cg_fail(&r->eb, CG_ESTALE, "process %d is gone", h->pid));
    } else {
        synth_wrote(r);
    }
}

static void saw(struct held *h, int status)
{
    if (!WIFSTOPPED(status)) {
        h->gone = true;
        h->stopped = false;
    } else {
        int event = status >> 16;
        h->stopped = true;
        h->signo = WSTOPSIG(status);
        h->deliver = event == 0 && h->signo != SIGTRAP;
    }
    answer(h);
}

static void on_child(uv_signal_t *s, int signo)
{
    (void)s;
    (void)signo;
    CG_LIST_EACH (it, &all) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        int status;
        if (!h->gone && waitpid(h->pid, &status, WNOHANG | __WALL) == h->pid) {
            saw(h, status);
        }
    }
}

void debug_init(uv_loop_t *loop)
{
    cg_list_init(&all);
    uv_signal_init(loop, &child_signal);
    uv_signal_start(&child_signal, on_child, SIGCHLD);
    uv_unref((uv_handle_t *)&child_signal);
}

/* ---- the words ---- */

static cg_err why(pid_t pid, struct cg_errbuf *eb)
{
    return cg_fail(eb, errno == ESRCH ? CG_ESTALE : cg_err_from_errno(errno), "process %d: %s", pid,
                   errno == EPERM ? "another debugger holds it, or it is protected"
                                  : strerror(errno));
}

static cg_err attach(void *owner, uint64_t pid, struct cg_errbuf *eb)
{
    if (find(pid)) {
        return cg_fail(eb, CG_EBUSY, "process %d is held by another debugger", (int)pid);
    }
    struct held *h = count < DEBUGGED_MAX ? cg_zalloc(sizeof *h) : NULL;
    if (!h) {
        return cg_fail(eb, CG_ELIMIT, "at most %d processes are held at once", DEBUGGED_MAX);
    }
    h->pid = (pid_t)pid;
    h->owner = owner;
    if (ptrace(PTRACE_SEIZE, h->pid, NULL, NULL) < 0) {
        cg_free(h);
        return why((pid_t)pid, eb);
    }
    cg_list_push(&all, &h->link);
    count++;
    cg_log(CG_INFO, "process %d is held by a debugger", h->pid);
    return CG_OK;
}

/* A process can be let go only while it is stopped: it is stopped for that. */
static void let_go(struct held *h)
{
    int status;
    if (!h->gone && !h->stopped && ptrace(PTRACE_INTERRUPT, h->pid, NULL, NULL) == 0 &&
        waitpid(h->pid, &status, __WALL) == h->pid) {
        h->gone = !WIFSTOPPED(status);
        h->deliver = !h->gone && status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP;
        h->signo = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
    }
    if (!h->gone) {
        (void)ptrace(PTRACE_DETACH, h->pid, NULL, (void *)(intptr_t)(h->deliver ? h->signo : 0));
        cg_log(CG_INFO, "process %d is let go", h->pid);
    }
    h->gone = true;
    answer(h);
    cg_list_del(&h->link);
    count--;
    cg_free(h);
}

static cg_err go_on(struct held *h, bool step, struct cg_errbuf *eb)
{
    if (!h->stopped) {
        return cg_fail(eb, CG_EBUSY, "process %d runs", h->pid);
    }
    if (ptrace(step ? PTRACE_SINGLESTEP : PTRACE_CONT, h->pid, NULL,
               (void *)(intptr_t)(h->deliver ? h->signo : 0)) < 0) {
        return why(h->pid, eb);
    }
    h->stopped = false;
    return CG_OK;
}

static void wait_stop(struct held *h, struct ninep_req *r)
{
    if (h->stopped) {
        synth_wrote(r);
    } else if (h->gone || h->waits) {
        ninep_respond(r, h->gone ? cg_fail(&r->eb, CG_ESTALE, "process %d is gone", h->pid)
                                 : cg_fail(&r->eb, CG_EBUSY, "somebody waits for it already"));
    } else {
        h->waits = r;
        r->aux = h;
    }
}

static void end(struct ninep_req *r, cg_err e)
{
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

static void act(struct held *h, const char *word, struct ninep_req *r)
{
    bool step = strcmp(word, "step") == 0;
    if (strcmp(word, "start") == 0) {
        end(r, go_on(h, false, &r->eb));
    } else if (step || strcmp(word, "startstop") == 0) {
        cg_err e = go_on(h, step, &r->eb);
        if (e) {
            ninep_respond(r, e);
        } else {
            wait_stop(h, r);
        }
    } else {
        if (strcmp(word, "stop") == 0 && !h->stopped && !h->gone &&
            ptrace(PTRACE_INTERRUPT, h->pid, NULL, NULL) < 0) {
            ninep_respond(r, why(h->pid, &r->eb));
            return;
        }
        wait_stop(h, r);
    }
}

bool debug_ctl(void *owner, uint64_t pid, const char *word, struct ninep_req *r)
{
    static const char *const words[] = {"attach", "detach",    "stop",    "start",
                                        "step",   "startstop", "waitstop"};
    struct held *h = find(pid);
    size_t i = 0;
    while (i < CG_COUNT(words) && strcmp(words[i], word) != 0) {
        i++;
    }
    bool plain = strcmp(word, "stop") == 0 || strcmp(word, "start") == 0;
    if (i == CG_COUNT(words) || (plain && !h)) {
        return false;
    }
    if (i == 0) {
        end(r, attach(owner, pid, &r->eb));
    } else if (!h || h->owner != owner) {
        end(r, cg_fail(&r->eb, CG_EPERM,
                       "process %d is not held by this open ctl: write attach first", (int)pid));
    } else if (strcmp(word, "detach") == 0) {
        let_go(h);
        synth_wrote(r);
    } else {
        act(h, word, r);
    }
    return true;
}

void debug_cancel(struct ninep_req *r)
{
    struct held *h = r->aux;
    if (h && h->waits == r) {
        h->waits = NULL;
        r->aux = NULL;
        ninep_respond(r, CG_ECANCELED);
    }
}

void debug_close(void *owner)
{
    CG_LIST_EACH (it, &all) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if (h->owner == owner) {
            let_go(h);
        }
    }
}

/* ---- looking ---- */

static cg_err stopped(uint64_t pid, struct held **out, struct cg_errbuf *eb)
{
    *out = find(pid);
    if (!*out || !(*out)->stopped) {
        return cg_fail(eb, CG_EBUSY, "process %d is not %s: write %s to its ctl", (int)pid,
                       *out ? "stopped" : "held by a debugger", *out ? "stop" : "attach");
    }
    return CG_OK;
}

cg_err debug_regs(uint64_t pid, struct cg_str *out, struct cg_errbuf *eb)
{
    struct held *h;
    cg_err e = stopped(pid, &h, eb);
    return e ? e : regs_read(h->pid, out);
}

cg_err debug_set_regs(uint64_t pid, char *text, struct cg_errbuf *eb)
{
    struct held *h;
    cg_err e = stopped(pid, &h, eb);
    for (char *line = text, *next; !e && line; line = next) {
        char *word[REG_WORDS], *rest = NULL;
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        int n = cg_tokenize(line, word, REG_WORDS);
        if (n == 0) {
            continue;
        }
        errno = 0;
        uint64_t value = n == 2 ? strtoull(word[1], &rest, 0) : 0;
        e = n == 2 && *word[1] && !*rest && errno == 0
                ? regs_write(h->pid, word[0], value, eb)
                : cg_fail(eb, CG_EBADFORMAT, "a line is NAME VALUE");
    }
    return e;
}

/* Word by word: the host's procfs is not for this server to write. */
cg_err debug_poke(uint64_t pid, uint64_t at, struct cg_span data, struct cg_errbuf *eb)
{
    struct held *h;
    cg_err e = stopped(pid, &h, eb);
    for (uint32_t i = 0; i < data.len && !e;) {
        long word = 0;
        uint32_t n = data.len - i < sizeof word ? data.len - i : (uint32_t)sizeof word;
        errno = 0;
        if (n < sizeof word) {
            word = ptrace(PTRACE_PEEKDATA, h->pid, (void *)(uintptr_t)(at + i), NULL);
        }
        memcpy(&word, data.data + i, n);
        if (errno || ptrace(PTRACE_POKEDATA, h->pid, (void *)(uintptr_t)(at + i), (void *)word)) {
            e = cg_fail(eb, CG_EIO, "address 0x%llx cannot be written", (unsigned long long)at + i);
        }
        i += n;
    }
    return e;
}

cg_err debug_state(uint64_t pid, struct cg_str *out)
{
    const struct held *h = find(pid);
    return !h           ? cg_str_addf(out, "none\n")
           : h->gone    ? cg_str_addf(out, "gone\n")
           : h->stopped ? cg_str_addf(out, "stopped %d\n", h->signo)
                        : cg_str_addf(out, "running\n");
}
