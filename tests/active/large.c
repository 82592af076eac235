/* How long a snapshot holds up who writes: an active tree of so many files (default a million),
 * each with contents, made while commits run on another thread; then snapshots while files are
 * written on. Prints the longest time that a freeze, the taking in of a commit, and any change
 * took. Fails when the first two come to more than 100 ms.
 *
 *   active_large FOLDER [FILES]     FOLDER must not be there */
#include <cognu/active.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PER_DIR = 1000, SNAPSHOTS = 8, BLOCKED_MS_MAX = 100, CHECK_EVERY = 64, SLICE = 512 };

struct longest {
    uint64_t freeze_ns, done_ns, done_cpu_ns, change_ns;
};
struct load {
    struct active *t;
    struct active_job *job;
    pthread_t thread;
    bool ran; /* atomic */
    bool joined;
    struct active_node *dir;
    uint64_t made;
    struct longest most;
};

static uint64_t now(void)
{
    return cg_env_real.now_ns(NULL);
}

static uint64_t cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(cg_err e, const struct cg_errbuf *eb, const char *what)
{
    if (e) {
        fprintf(stderr, "active_large: %s: %s %s\n", what, cg_err_name(e), eb->text);
        exit(1);
    }
}

static void keep_most(uint64_t *most, uint64_t since)
{
    uint64_t took = now() - since;
    *most = took > *most ? took : *most;
}

static void *run(void *aux)
{
    struct load *l = aux;
    active_job_run(l->job);
    __atomic_store_n(&l->ran, true, __ATOMIC_RELEASE);
    return NULL;
}

static void begin(struct load *l, const char *snapshot)
{
    struct cg_errbuf eb = {0};
    check(active_renew(l->t, &eb), &eb, "renew");
    uint64_t since = now();
    check(active_freeze(l->t, snapshot, &l->job, &eb), &eb, "freeze");
    keep_most(&l->most.freeze_ns, since);
    l->ran = l->joined = false;
    if (pthread_create(&l->thread, NULL, run, l) != 0) {
        check(CG_ENOMEM, &eb, "thread");
    }
}

static bool end(struct load *l, bool wait)
{
    struct cg_errbuf eb = {0};
    if (!l->job || (!wait && !__atomic_load_n(&l->ran, __ATOMIC_ACQUIRE))) {
        return false;
    }
    if (!l->joined) {
        pthread_join(l->thread, NULL);
        l->joined = true;
    }
    uint64_t since = now(), since_cpu = cpu();
    cg_err e = active_job_done(l->t, l->job, wait ? 0 : SLICE, &eb);
    uint64_t took = wait ? 0 : cpu() - since_cpu;
    l->most.done_cpu_ns = took > l->most.done_cpu_ns ? took : l->most.done_cpu_ns;
    if (e == CG_EAGAIN) {
        keep_most(&l->most.done_ns, since);
        return false;
    }
    check(e, &eb, "commit");
    if (!wait) {
        keep_most(&l->most.done_ns, since);
    }
    l->job = NULL;
    return true;
}

static void make_dir(struct load *l)
{
    struct cg_errbuf eb = {0};
    struct active_make m = {.kind = STORE_DIR, .mode = 0755};
    char name[32];
    if (l->dir) {
        active_put(l->t, l->dir);
    }
    snprintf(name, sizeof name, "d%llu", (unsigned long long)(l->made / PER_DIR));
    check(active_create(l->t, active_root(l->t), cg_span_of(name), &m, false, &l->dir, &eb), &eb,
          name);
}

static void make_file(struct load *l)
{
    struct cg_errbuf eb = {0};
    struct active_node *n;
    char name[32], text[64];
    if (l->made % PER_DIR == 0) {
        make_dir(l);
    }
    snprintf(name, sizeof name, "file-%llu", (unsigned long long)l->made);
    snprintf(text, sizeof text, "contents of %s\n", name);
    struct active_make m = {.kind = STORE_FILE, .mode = 0644, .data = cg_span_of(text)};
    uint64_t since = now();
    check(active_create(l->t, l->dir, cg_span_of(name), &m, false, &n, &eb), &eb, name);
    active_put(l->t, n);
    keep_most(&l->most.change_ns, since);
    l->made++;
}

/* Commits as the server does: when there is much, one at a time. */
static void make_all(struct load *l, uint64_t files)
{
    struct active_stats st;
    while (l->made < files) {
        make_file(l);
        if (l->made % CHECK_EVERY) {
            continue;
        }
        end(l, false);
        active_stats(l->t, &st);
        if (!l->job && st.changed >= ACTIVE_DIRTY_RECORDS) {
            begin(l, NULL);
        } else if (st.records >= 4 * ACTIVE_DIRTY_RECORDS) {
            end(l, true);
        }
    }
}

static void snapshots(struct load *l)
{
    end(l, true);
    l->most = (struct longest){0};
    for (int i = 0; i < SNAPSHOTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "large@%d", i);
        for (int k = 0; k < 2000; k++) {
            make_file(l);
        }
        begin(l, name);
        do { /* some thousand a second: a commit has to come to its end */
            for (int k = 0; k < 8; k++) {
                make_file(l);
            }
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        } while (!end(l, false));
    }
}

static struct active *open_tree(const char *folder, struct store_io *io, struct store *s[2])
{
    struct store_options o = {.scrypt_log_n = 10, .threads = 1};
    struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "large"};
    char recovery[STORE_RECOVERY_CHARS];
    struct cg_errbuf eb = {0};
    struct active *t;
    check(store_io_folder(folder, true, io, &eb), &eb, folder);
    check(store_init(io, &o, &secret, NULL, recovery, &eb), &eb, "init");
    check(store_open(io, &o, &secret, &s[0], &eb), &eb, "open");
    check(store_open(io, &o, &secret, &s[1], &eb), &eb, "open");
    struct active_config c = {.reads = s[0], .writes = s[1], .who = "large"};
    check(active_open(&c, &t, &eb), &eb, "active");
    return t;
}

int main(int argc, char **argv)
{
    struct load l = {0};
    struct store_io io;
    struct store *s[2];
    struct active_stats st;
    if (argc < 2) {
        fprintf(stderr, "usage: active_large FOLDER [FILES]\n");
        return 2;
    }
    uint64_t files = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000, since = now();
    l.t = open_tree(argv[1], &io, s);
    make_all(&l, files);
    double seconds = (double)(now() - since) / 1e9;
    printf("%llu files in %.1f s; longest: freeze %.2f ms, taking in %.2f ms, change %.2f ms\n",
           (unsigned long long)l.made, seconds, (double)l.most.freeze_ns / 1e6,
           (double)l.most.done_ns / 1e6, (double)l.most.change_ns / 1e6);
    snapshots(&l);
    active_stats(l.t, &st);
    double freeze = (double)l.most.freeze_ns / 1e6, done = (double)l.most.done_ns / 1e6;
    double own = (double)l.most.done_cpu_ns / 1e6;
    printf("%d snapshots of %llu files; longest: freeze %.2f ms, taking in %.2f ms (%.2f of "
           "its own), change %.2f ms; %llu nodes in memory\n",
           SNAPSHOTS, (unsigned long long)st.files, freeze, done, own,
           (double)l.most.change_ns / 1e6, (unsigned long long)st.nodes);
    active_put(l.t, l.dir);
    active_close(l.t);
    store_close(s[1]);
    store_close(s[0]);
    io.fini(io.ctx);
    bool good = freeze + own < BLOCKED_MS_MAX;
    printf("%d passed, %d failed\n", good, !good);
    return !good;
}
