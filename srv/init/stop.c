/* The orderly end of a node, in two phases that have a deadline each: first the users' programs,
 * whose files the components serve, then the components. Whoever stays is killed; when init itself
 * ends, the kernel ends what is left of its pid namespace.
 */
#include "init.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>

enum { TICK_MS = 10 };

/* Signals every process of the node but init and the components; how many there are. */
static uint32_t signal_users(struct init *in, const int *signals, size_t count)
{
    uint32_t found = 0;
    DIR *d = opendir("/proc");
    struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL) {
        pid_t pid =
            isdigit((unsigned char)entry->d_name[0]) ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
        if (pid <= 1 || component_by_pid(in, pid) != NULL) {
            continue;
        }
        found++;
        for (size_t i = 0; i < count; i++) {
            kill(pid, signals[i]);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

static uint32_t signal_components(struct init *in, int sig)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < in->components; i++) {
        struct component *c = &in->component[i];
        if (c->state == COMPONENT_RUNNING) {
            running++;
            kill(c->pid, sig);
        }
    }
    return running;
}

static void on_tick(uv_timer_t *t)
{
    struct init *in = t->data;
    uint64_t waited = init_now_ms() - in->stop_ms;
    if (!in->users_gone) {
        static const int last[] = {SIGKILL};
        bool late = waited >= INIT_USERS_MS;
        if (signal_users(in, last, late ? CG_COUNT(last) : 0) > 0 && !late) {
            return;
        }
        in->users_gone = true;
        in->stop_ms = init_now_ms();
        signal_components(in, SIGTERM);
        return;
    }
    if (signal_components(in, 0) == 0) {
        uv_stop(&in->loop);
    } else if (waited >= INIT_STOP_MS) {
        cg_log(CG_WARN, "components did not end in time and are killed");
        signal_components(in, SIGKILL);
        uv_stop(&in->loop);
    }
}

void init_stop(struct init *in)
{
    static const int polite[] = {SIGTERM, SIGHUP, SIGCONT};
    if (in->stopping) {
        return;
    }
    in->stopping = true;
    in->stop_ms = init_now_ms();
    cg_log(CG_INFO, "%s stops", in->node);
    signal_users(in, polite, CG_COUNT(polite));
    uv_timer_start(&in->stop_tick, on_tick, 0, TICK_MS);
}
