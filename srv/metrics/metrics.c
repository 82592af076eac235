/* metrics: what the node knows of itself, made anew at each reading from its start: `metrics`, as
 * Prometheus text, and `trace`, the steps of followed requests. Components are looked at from
 * outside, and what they tell of themselves (stats.h) is read.
 *
 * A component is a program named cognu-NAME; its processes are counted together. Whoever can start
 * a program can name it so: these figures are for people, not for decisions.
 */
#include "pages.h"
#include <cognu/synth.h>
#include <cognu/synth_host.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { COMPONENTS_MAX = 128, NAME_BYTES = 64 }; /* of one node; further ones are not told */
enum { KIND_ROOT, KIND_METRICS, KIND_TRACE, KINDS };

struct component {
    char name[NAME_BYTES];
    uint64_t processes, user_ms, system_ms, rss_bytes, fds;
};

struct node {
    struct component component[COMPONENTS_MAX];
    uint32_t components;
    uint64_t processes;
    struct pages pages;
};

/* Names go into labels: others than these letters would need quoting, and no component has them. */
static bool component_name(const char *command, char out[NAME_BYTES])
{
    static const char prefix[] = "cognu-";
    const char *slash = strrchr(command, '/');
    const char *program = slash ? slash + 1 : command;
    const char *name = program + sizeof prefix - 1;
    return strncmp(program, prefix, sizeof prefix - 1) == 0 && *name &&
           !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] &&
           cg_span_str(cg_span_of(name), out, NAME_BYTES);
}

static struct component *component_of(struct node *n, const char *name)
{
    for (uint32_t i = 0; i < n->components; i++) {
        if (strcmp(n->component[i].name, name) == 0) {
            return &n->component[i];
        }
    }
    if (n->components == COMPONENTS_MAX) {
        return NULL;
    }
    struct component *c = &n->component[n->components++];
    *c = (struct component){0};
    memcpy(c->name, name, NAME_BYTES);
    return c;
}

static uint64_t count_fds(uint64_t pid)
{
    int fd = synth_host_open(pid, "fd", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        return 0;
    }
    uint64_t count = 0;
    for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
        count += d->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

static void add_process(struct node *n, uint64_t pid)
{
    char name[NAME_BYTES] = {0};
    struct synth_host_process p;
    if (synth_host_process(pid, &p, NULL)) {
        return;
    }
    n->processes++;
    struct cg_str command = {0}; /* its first word; init runs all programs under one file name */
    bool named = synth_host_read(pid, "cmdline", &command, NULL) == CG_OK && command.data &&
                 component_name(command.data, name);
    cg_str_fini(&command);
    struct component *c = named ? component_of(n, name) : NULL;
    if (c) {
        c->processes++;
        c->user_ms += p.user_ms;
        c->system_ms += p.system_ms;
        c->rss_bytes += p.rss_bytes;
        c->fds += count_fds(pid);
    }
}

static cg_err look(struct node *n, struct cg_errbuf *eb)
{
    DIR *procs = opendir("/proc");
    uint64_t pid;
    if (!procs) {
        return cg_fail(eb, CG_EIO, "this server does not see /proc");
    }
    n->components = 0;
    n->processes = 0;
    pages_free(&n->pages);
    for (struct dirent *d = readdir(procs); d; d = readdir(procs)) {
        if (synth_host_is_pid(d->d_name, &pid)) {
            add_process(n, pid);
        }
    }
    closedir(procs);
    pages_read(&n->pages);
    return CG_OK;
}

static cg_err head(struct cg_str *out, const char *name, const char *type, const char *help)
{
    return cg_str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static cg_err gauge(struct cg_str *out, const char *name, const char *help, double value)
{
    cg_err e = head(out, name, "gauge", help);
    return e ? e : cg_str_addf(out, "%s %.17g\n", name, value);
}

/* ---- the components: one family of lines each ---- */

static cg_err tell_cpu(const struct node *n, struct cg_str *out)
{
    static const char name[] = "cognu_component_cpu_seconds_total";
    cg_err e = head(out, name, "counter", "processor time of the processes that now run");
    for (uint32_t i = 0; !e && i < n->components; i++) {
        const struct component *c = &n->component[i];
        e = cg_str_addf(out,
                        "%s{component=\"%s\",mode=\"user\"} %.3f\n"
                        "%s{component=\"%s\",mode=\"system\"} %.3f\n",
                        name, c->name, (double)c->user_ms / 1000, name, c->name,
                        (double)c->system_ms / 1000);
    }
    return e;
}

static cg_err tell_components(const struct node *n, struct cg_str *out)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } families[] = {
        {"cognu_component_processes", "processes", offsetof(struct component, processes)},
        {"cognu_component_resident_bytes", "memory in use", offsetof(struct component, rss_bytes)},
        {"cognu_component_open_fds", "open descriptors, as far as they can be seen",
         offsetof(struct component, fds)},
    };
    cg_err e = tell_cpu(n, out);
    for (size_t f = 0; !e && f < CG_COUNT(families); f++) {
        e = head(out, families[f].name, "gauge", families[f].help);
        for (uint32_t i = 0; !e && i < n->components; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&n->component[i] + families[f].at, sizeof value);
            e = cg_str_addf(out, "%s{component=\"%s\"} %" PRIu64 "\n", families[f].name,
                            n->component[i].name, value);
        }
    }
    return e;
}

/* ---- the host ---- */

/* What programs could still get without swapping; the kernel's own estimate. 0: it makes none. */
static double available_bytes(void)
{
    struct cg_str text = {0};
    unsigned long long kib = 0;
    if (synth_host_read(0, "meminfo", &text, NULL) == CG_OK && text.data) {
        const char *line = strstr(text.data, "\nMemAvailable:");
        kib = line ? strtoull(strchr(line, ':') + 1, NULL, 10) : 0;
    }
    cg_str_fini(&text);
    return (double)kib * 1024;
}

static cg_err tell_host(struct cg_str *out, struct cg_errbuf *eb)
{
    struct sysinfo si;
    if (sysinfo(&si) < 0) {
        return cg_fail(eb, CG_EIO, "the host does not tell its state");
    }
    double load = 1 << SI_LOAD_SHIFT;
    cg_err e = gauge(out, "cognu_host_uptime_seconds", "since the host's start", (double)si.uptime);
    e = e ? e : gauge(out, "cognu_host_load1", "load, 1 min", (double)si.loads[0] / load);
    e = e ? e : gauge(out, "cognu_host_load5", "load, 5 min", (double)si.loads[1] / load);
    e = e ? e : gauge(out, "cognu_host_load15", "load, 15 min", (double)si.loads[2] / load);
    e = e ? e
          : gauge(out, "cognu_host_memory_total_bytes", "memory",
                  (double)si.totalram * (double)si.mem_unit);
    e = e ? e
          : gauge(out, "cognu_host_memory_available_bytes", "memory to be had without swapping",
                  available_bytes());
    return e ? e
             : gauge(out, "cognu_host_processors", "processors in use",
                     (double)sysconf(_SC_NPROCESSORS_ONLN));
}

static struct node node;

static cg_err text_of_metrics(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    cg_err e = look(&node, eb);
    e = e ? e
          : gauge(out, "cognu_node_processes", "processes that the node sees",
                  (double)node.processes);
    e = e ? e : tell_components(&node, out);
    e = e ? e : pages_metrics(&node.pages, out);
    e = e ? e : tell_host(out, eb);
    pages_free(&node.pages);
    return e;
}

static cg_err text_of_trace(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    cg_err e = look(&node, eb);
    e = e ? e : pages_steps(&node.pages, out);
    pages_free(&node.pages);
    return e;
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_METRICS] = {.name = "metrics", .mode = S_IFREG | 0444, .text = text_of_metrics},
    [KIND_TRACE] = {.name = "trace", .mode = S_IFREG | 0444, .text = text_of_trace},
};

int main(int argc, char **argv)
{
    cg_log_init("metrics");
    return synth_serve_main(argc, argv, "metrics", kinds, KINDS);
}
