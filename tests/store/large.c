/* A store of very many chunks in little memory: puts N small objects under lists in two snapshots
 * that share half, reads all of one, drops the other and collects, checks, and makes the index
 * anew. Prints a line a phase with seconds, index bytes and its largest resident size. It
 * uses the library's inside, for real chunks of that number would fill a terabyte.
 *
 * usage: store_large FOLDER N */
#include "../../lib/store/store__.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAYLOAD = 96, RESIDENT_KIB_MAX = 64 << 10 };

static const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "large"};
static uint64_t began, reads; /* of the phase: its beginning; pages read before it */
static bool too_large;

static void die(const char *what, cg_err e, const struct cg_errbuf *eb)
{
    fprintf(stderr, "store_large: %s: %s %s\n", what, cg_err_name(e), eb->text);
    exit(1);
}

static uint64_t resident_kib(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "VmHWM: %llu", &kib);
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

static void phase(struct store *s, const char *name)
{
    struct store_stats st;
    struct cg_errbuf eb = {0};
    uint64_t now = cg_env_real.now_ns(NULL);
    cg_err e = store_stats(s, &st, &eb);
    if (e) {
        die("stats", e, &eb);
    }
    printf("%-10s %7.1f s  %llu entries  %.1f MB index  %llu pages of it read  %.1f MB packs  %llu "
           "runs  "
           "largest %.1f MiB\n",
           name, (double)(now - began) / 1e9, (unsigned long long)st.entries,
           (double)st.index_bytes / 1e6, (unsigned long long)(st.index_reads - reads),
           (double)st.pack_bytes / 1e6, (unsigned long long)st.runs, (double)resident_kib() / 1024);
    fflush(stdout);
    began = cg_env_real.now_ns(NULL);
    reads = st.index_reads;
}

/* One file of objects from..to. */
static void put(struct store_writer *w, uint64_t from, uint64_t to, const char *name)
{
    struct tree t;
    struct store_builder *b = NULL;
    struct store_entry e = {.kind = STORE_FILE,
                            .mode = 0644,
                            .nlink = 1,
                            .content = STORE_LIST,
                            .name = cg_span_of("many"),
                            .size = (to - from) * PAYLOAD};
    struct store_snapshot snap = {.mode = 0755, .files = 1, .bytes = e.size};
    struct store_score score;
    struct cg_errbuf eb = {0};
    uint8_t payload[PAYLOAD] = {0}, item[STORE_SCORE_BYTES + 4];
    cg_err err = CG_OK;
    tree_init(&t, w, NODE_LIST);
    for (uint64_t i = from; i < to && !err; i++) {
        struct cg_buf p = cg_buf_writer(payload, sizeof payload),
                      b4 = cg_buf_writer(item, sizeof item);
        cg_put_u64(&p, i);
        err = writer_put(w, STORE_DATA, payload, sizeof payload, &score, &eb);
        cg_put_bytes(&b4, score.b, sizeof score.b);
        cg_put_u32(&b4, PAYLOAD);
        err = err ? err
                  : tree_add(&t, item, sizeof item, PAYLOAD, (struct cg_span){0},
                             (score.b[STORE_SCORE_BYTES - 1] & 127) == 0, &eb);
    }
    err = err ? err : tree_end(&t, &e.score, &eb);
    tree_fini(&t);
    err = err ? err : store_builder_new(w, &b);
    err = err ? err : store_builder_add(b, &e, &eb);
    err = err ? err : store_builder_end(b, &snap.root, &eb);
    snprintf(snap.name, sizeof snap.name, "%s", name);
    err = err ? err : store_snapshot_put(w, &snap, &score, &eb);
    struct store_ref_change change = {.name = name, .score = &score};
    err = err ? err : store_commit(w, &change, 1, STORE_SETTLED, &eb);
    if (err) {
        die(name, err, &eb);
    }
    store_builder_free(b);
}

static cg_err take(void *aux, uint64_t at, const uint8_t *data, uint64_t len)
{
    uint64_t *next = aux;
    struct cg_buf b = cg_buf_reader(data, (size_t)len);
    cg_assert(len == PAYLOAD && cg_get_u64(&b) == *next && at % PAYLOAD == 0);
    *next += 1;
    return CG_OK;
}

static void read_all(struct store *s, const char *name, uint64_t from, uint64_t to)
{
    struct store_refinfo ref;
    struct store_snapshot snap;
    struct store_entry e;
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0};
    uint64_t next = from;
    cg_err err = store_ref_get(s, name, &ref);
    err = err ? err : store_snapshot_get(s, &ref.score, &snap, &eb);
    err = err ? err : store_lookup(s, &snap.root, "many", &e, &keep, &eb);
    err = err ? err : store_read_each(s, &e, take, &next, &eb);
    if (err || next != to) {
        die("read", err, &eb);
    }
    cg_str_fini(&keep);
}

static void drop(struct store *s, const char *name)
{
    struct store_refinfo ref;
    struct store_writer *w = NULL;
    struct store_collected c;
    struct cg_errbuf eb = {0};
    cg_err e = store_ref_get(s, name, &ref);
    struct store_ref_change change = {.name = name, .epoch = ref.epoch};
    e = e ? e : store_writer_open(s, "large", STORE_FAST, &w, &eb);
    e = e ? e : store_commit(w, &change, 1, STORE_FINAL, &eb);
    store_writer_close(w);
    e = e ? e : store_collect(s, false, NULL, &c, &eb);
    if (e) {
        die("collect", e, &eb);
    }
    printf("freed %llu objects, rewrote %llu packs\n", (unsigned long long)c.objects,
           (unsigned long long)c.packs_rewritten);
}

static struct store *open_store(const struct store_io *io, bool repair)
{
    struct store_options o = {.threads = 1, .repair = repair};
    struct cg_errbuf eb = {0};
    struct store *s;
    reads = 0;
    cg_err e = store_open(io, &o, &secret, &s, &eb);
    if (e) {
        die("open", e, &eb);
    }
    return s;
}

static void phase_put(const struct store_io *io, const char *name, uint64_t from, uint64_t to)
{
    struct store *s = open_store(io, false);
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    cg_err e = store_writer_open(s, "large", STORE_FAST, &w, &eb);
    if (e) {
        die("writer", e, &eb);
    }
    put(w, from, to, name);
    store_writer_close(w);
    phase(s, name);
    store_close(s);
}

static void phase_read(const struct store_io *io, const char *name, uint64_t from, uint64_t to)
{
    struct store *s = open_store(io, false);
    read_all(s, name, from, to);
    phase(s, "read");
    store_close(s);
}

static void phase_drop(const struct store_io *io, const char *name, uint64_t from, uint64_t to)
{
    struct store *s = open_store(io, false);
    (void)from;
    (void)to;
    drop(s, name);
    phase(s, "collect");
    store_close(s);
}

static void phase_check(const struct store_io *io, const char *name, uint64_t from, uint64_t to)
{
    struct store *s = open_store(io, false);
    struct store_checked c;
    struct cg_errbuf eb = {0};
    (void)name;
    (void)from;
    (void)to;
    cg_err e = store_check(s, false, NULL, NULL, NULL, &c, &eb);
    if (e) {
        die("check", e, &eb);
    }
    phase(s, "check");
    store_close(s);
}

static void phase_repair(const struct store_io *io, const char *name, uint64_t from, uint64_t to)
{
    struct store *s = open_store(io, true);
    struct store_repaired r;
    struct cg_errbuf eb = {0};
    (void)name;
    (void)from;
    (void)to;
    cg_err e = store_repair(s, NULL, NULL, NULL, NULL, &r, &eb);
    if (e || r.objects_missing || r.refs_lost) {
        fprintf(stderr, "%llu missing, %llu lost\n", (unsigned long long)r.objects_missing,
                (unsigned long long)r.refs_lost);
        die("repair", e, &eb);
    }
    phase(s, "index anew");
    store_close(s);
}

/* Each phase is a process of its own, as the verbs of `store` are. */
static void run(void (*fn)(const struct store_io *, const char *, uint64_t, uint64_t),
                const struct store_io *io, const char *name, uint64_t from, uint64_t to)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        began = cg_env_real.now_ns(NULL);
        fn(io, name, from, to);
        _exit(resident_kib() > RESIDENT_KIB_MAX ? 3 : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || (status && status != 3 << 8)) {
        fprintf(stderr, "store_large: a phase ended with %d\n", status);
        exit(1);
    }
    too_large = too_large || status;
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct store_io io;
    struct store_options o = {0};
    char recovery[STORE_RECOVERY_CHARS];
    struct cg_errbuf eb = {0};
    if (n < 4) {
        fprintf(stderr, "usage: store_large FOLDER N\n");
        return 2;
    }
    cg_alloc_keep_freed();
    cg_err e = store_io_folder(argv[1], true, &io, &eb);
    e = e ? e : store_init(&io, &o, &secret, NULL, recovery, &eb);
    if (e) {
        die("init", e, &eb);
    }
    run(phase_put, &io, "first", 0, n * 3 / 4);
    run(phase_put, &io, "second", n / 4, n);
    run(phase_read, &io, "first", 0, n * 3 / 4);
    run(phase_drop, &io, "first", 0, 0);
    run(phase_read, &io, "second", n / 4, n);
    run(phase_check, &io, NULL, 0, 0);
    run(phase_repair, &io, NULL, 0, 0);
    run(phase_read, &io, "second", n / 4, n);
    io.fini(io.ctx);
    printf("more than %d MiB resident: %s\n", RESIDENT_KIB_MAX >> 10, too_large ? "yes" : "no");
    return too_large;
}
