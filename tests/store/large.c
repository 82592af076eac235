/* A store of very many chunks in little memory: puts N small objects under lists in two snapshots
 * that share half, reads all of one, drops the other and collects, checks, and makes the index
 * anew. Prints a line a phase with seconds, index bytes and the largest resident size so far. It
 * uses the library's inside, for real chunks of that number would fill a terabyte.
 *
 * usage: store_large FOLDER N */
#include "../../lib/store/store__.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD = 96 };

static const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "large"};
static uint64_t began;

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
    printf(
        "%-10s %7.1f s  %llu entries  %.1f MB index  %.1f MB packs  %llu runs  largest %.1f MiB\n",
        name, (double)(now - began) / 1e9, (unsigned long long)st.entries,
        (double)st.index_bytes / 1e6, (double)st.pack_bytes / 1e6, (unsigned long long)st.runs,
        (double)resident_kib() / 1024);
    fflush(stdout);
    began = cg_env_real.now_ns(NULL);
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
    cg_err e = store_open(io, &o, &secret, &s, &eb);
    if (e) {
        die("open", e, &eb);
    }
    return s;
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct store_io io;
    struct store_options o = {0};
    struct store_writer *w;
    struct store_checked c;
    struct store_repaired r;
    char recovery[STORE_RECOVERY_CHARS];
    struct cg_errbuf eb = {0};
    if (n < 4) {
        fprintf(stderr, "usage: store_large FOLDER N\n");
        return 2;
    }
    cg_err e = store_io_folder(argv[1], true, &io, &eb);
    e = e ? e : store_init(&io, &o, &secret, NULL, recovery, &eb);
    if (e) {
        die("init", e, &eb);
    }
    cg_alloc_keep_freed();
    struct store *s = open_store(&io, false);
    began = cg_env_real.now_ns(NULL);
    e = store_writer_open(s, "large", STORE_FAST, &w, &eb);
    if (e) {
        die("writer", e, &eb);
    }
    put(w, 0, n * 3 / 4, "first");
    phase(s, "first");
    put(w, n / 4, n, "second");
    store_writer_close(w);
    phase(s, "second");
    read_all(s, "first", 0, n * 3 / 4);
    phase(s, "read");
    drop(s, "first");
    phase(s, "collect");
    read_all(s, "second", n / 4, n);
    phase(s, "read");
    e = store_check(s, false, NULL, NULL, NULL, &c, &eb);
    if (e) {
        die("check", e, &eb);
    }
    phase(s, "check");
    store_close(s);
    s = open_store(&io, true);
    e = store_repair(s, NULL, NULL, NULL, NULL, &r, &eb);
    if (e || r.objects_missing || r.refs_lost) {
        fprintf(stderr, "%llu missing, %llu lost\n", (unsigned long long)r.objects_missing,
                (unsigned long long)r.refs_lost);
        die("repair", e, &eb);
    }
    phase(s, "index anew");
    read_all(s, "second", n / 4, n);
    phase(s, "read");
    store_close(s);
    io.fini(io.ctx);
    printf("largest resident size %.1f MiB\n", (double)resident_kib() / 1024);
    return resident_kib() > 64 * 1024 ? 1 : 0;
}
