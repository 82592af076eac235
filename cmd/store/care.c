/* store collect, check, scrub, repair, stats, dump: what keeps a store healthy, and what tells
 * about it. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

static void print_finding(void *aux, const char *line)
{
    (void)aux;
    verb_progress_end();
    fprintf(stderr, "store: %s\n", line);
}

int verb_collect(int argc, char **argv)
{
    struct store *s = verb_store(opt.dry_run);
    struct store_collected c;
    struct cg_errbuf eb = {0};
    char bytes[16], before[16], after[16];
    (void)argc;
    (void)argv;
    cg_err e = store_collect(s, opt.dry_run, &verb_progress, &c, &eb);
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    verb_progress_end();
    if (opt.json) {
        printf("{\"objects\":%llu,\"bytes\":%llu,\"disk_before\":%llu,\"disk_after\":%llu,"
               "\"waiting\":%llu,"
               "\"dry_run\":%s}\n",
               (unsigned long long)c.objects, (unsigned long long)c.bytes,
               (unsigned long long)c.disk_before, (unsigned long long)c.disk_after,
               (unsigned long long)c.waiting, opt.dry_run ? "true" : "false");
        return 0;
    }
    size_text(c.bytes, bytes);
    size_text(c.disk_before, before);
    size_text(c.disk_after, after);
    if (!opt.quiet) {
        printf("%s %llu objects, %s before compression; the store is %s, was %s\n",
               opt.dry_run ? "would free" : "freed", (unsigned long long)c.objects, bytes, after,
               before);
    }
    if (c.waiting) {
        printf("%llu more objects go when the writers of now have ended; collect again then\n",
               (unsigned long long)c.waiting);
    }
    return 0;
}

/* cursor: where a scrub stopped; NULL: nothing of it is said. */
static void print_checked(const struct store_checked *c, const uint64_t *cursor)
{
    char bytes[16], from[40] = "";
    if (opt.json) {
        if (cursor) {
            snprintf(from, sizeof from, ",\"cursor\":%llu", (unsigned long long)*cursor);
        }
        printf("{\"packs\":%llu,\"frames\":%llu,\"objects\":%llu,\"nodes\":%llu,\"bytes\":%llu,"
               "\"damaged\":%llu,"
               "\"missing\":%llu,\"miscounted\":%llu,\"garbage\":%llu%s}\n",
               (unsigned long long)c->packs, (unsigned long long)c->frames,
               (unsigned long long)c->objects, (unsigned long long)c->nodes,
               (unsigned long long)c->bytes, (unsigned long long)c->damaged,
               (unsigned long long)c->missing, (unsigned long long)c->miscounted,
               (unsigned long long)c->garbage, from);
        return;
    }
    size_text(c->bytes, bytes);
    printf(
        "%llu packs, %llu frames, %llu objects, %s; %llu damaged, %llu missing, %llu miscounted\n",
        (unsigned long long)c->packs, (unsigned long long)c->frames, (unsigned long long)c->objects,
        bytes, (unsigned long long)c->damaged, (unsigned long long)c->missing,
        (unsigned long long)c->miscounted);
    if (cursor) {
        printf("cursor %llu\n", (unsigned long long)*cursor);
    }
}

int verb_check(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct store_checked c;
    struct cg_errbuf eb = {0};
    (void)argc;
    (void)argv;
    cg_err e = store_check(s, opt.data, &verb_progress, print_finding, NULL, &c, &eb);
    verb_progress_end();
    if (!e || e == CG_EIO) {
        print_checked(&c, NULL);
    }
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    return 0;
}

/* Needs no passphrase. With --budget it stops after so many bytes and prints the cursor to go on
 * from. */
int verb_scrub(int argc, char **argv)
{
    const struct store_io *io = verb_io(opt.store, false);
    struct store_checked c;
    struct cg_errbuf eb = {0};
    uint64_t cursor = opt.at_cursor;
    (void)argc;
    (void)argv;
    cg_err e = store_scrub(io, &cursor, opt.budget ? opt.budget : UINT64_MAX, &verb_progress,
                           print_finding, NULL, &c, &eb);
    verb_progress_end();
    if (!e || e == CG_EIO) {
        print_checked(&c, opt.budget ? &cursor : NULL);
    }
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    return 0;
}

/* --from STORE: a copy, from which objects that are gone are fetched; it has the same passphrase.
 */
int verb_repair(int argc, char **argv)
{
    struct store *s = verb_store_for_repair();
    struct store *copy = opt.copy ? verb_other(opt.copy, true) : NULL;
    struct store_repaired r;
    struct cg_errbuf eb = {0};
    (void)argc;
    (void)argv;
    cg_err e = store_repair(s, copy, &verb_progress, print_finding, NULL, &r, &eb);
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    verb_progress_end();
    printf(opt.json ? "{\"packs_mended\":%llu,\"packs_lost\":%llu,\"packs_rewritten\":%llu,"
                      "\"objects_fetched\":%llu,"
                      "\"objects_missing\":%llu,\"refs_lost\":%llu,\"refs_found\":%llu}\n"
                    : "%llu packs mended by parity, %llu lost, %llu written anew, %llu objects "
                      "fetched from the copy, "
                      "%llu missing still; "
                      "%llu snapshots lost, %llu found again\n",
           (unsigned long long)r.packs_mended, (unsigned long long)r.packs_lost,
           (unsigned long long)r.packs_rewritten, (unsigned long long)r.objects_fetched,
           (unsigned long long)r.objects_missing, (unsigned long long)r.refs_lost,
           (unsigned long long)r.refs_found);
    return r.objects_missing || r.refs_lost ? 1 : 0;
}

/* Parity for packs that have none; the operand is how many blocks of every 16 may be lost. */
int verb_parity(int argc, char **argv)
{
    struct store *s = verb_store(false);
    struct cg_errbuf eb = {0};
    uint64_t packs = 0;
    uint32_t lost = argc && argv[0][0] >= '1' && argv[0][0] <= '8' && !argv[0][1]
                        ? (uint32_t)(argv[0][0] - '0')
                    : argc ? 0
                           : 1;
    cg_err e = store_parity(s, lost, &verb_progress, &packs, &eb);
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    verb_progress_end();
    if (opt.json) {
        printf("{\"packs\":%llu}\n", (unsigned long long)packs);
    } else if (!opt.quiet) {
        printf("parity made for %llu packs\n", (unsigned long long)packs);
    }
    return 0;
}

/* ---- stats ---- */

enum { DAY_S = 86400, FORECAST_DAYS = 30 };

/* Bytes a day that the snapshots of the last 30 days added, compressed as the store is on the
 * whole. */
static double growth(struct store *s, const struct store_stats *st)
{
    uint64_t now = cg_env_real.wall_ns(NULL), oldest = now, added = 0;
    for (uint32_t i = 0; i < store_ref_count(s); i++) {
        struct store_refinfo r;
        struct store_snapshot snap;
        struct cg_errbuf eb = {0};
        store_ref_at(s, i, &r);
        bool late = r.time_ns + FORECAST_DAYS * DAY_S * 1000000000ull > now;
        if (late && store_snapshot_get(s, &r.score, &snap, &eb) == CG_OK) {
            added += snap.added;
            oldest = r.time_ns < oldest ? r.time_ns : oldest;
        }
    }
    double days = (double)(now - oldest) / 1e9 / DAY_S;
    double packed = st->raw_bytes ? (double)st->pack_bytes / (double)st->raw_bytes : 1;
    return days >= 1 ? (double)added * packed / days : 0; /* less than a day says nothing */
}

int verb_stats(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct store_stats st;
    struct cg_errbuf eb = {0};
    char packs[16], raw[16], live[16], index[16], free_space[16], daily[16];
    (void)argc;
    (void)argv;
    cg_err e = store_stats(s, &st, &eb);
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    double day = growth(s, &st), left = day > 0 ? (double)st.space_free / day : -1;
    if (opt.json) {
        printf("{\"snapshots\":%llu,\"packs\":%llu,\"pack_bytes\":%llu,\"raw_bytes\":%llu,\"live_"
               "bytes\":%llu,"
               "\"runs\":%llu,\"entries\":%llu,\"index_bytes\":%llu,\"writers\":%llu,\"space_"
               "free\":%llu,"
               "\"bytes_a_day\":%.0f,\"days_left\":%.1f}\n",
               (unsigned long long)st.refs, (unsigned long long)st.packs,
               (unsigned long long)st.pack_bytes, (unsigned long long)st.raw_bytes,
               (unsigned long long)st.live_bytes, (unsigned long long)st.runs,
               (unsigned long long)st.entries, (unsigned long long)st.index_bytes,
               (unsigned long long)st.leases, (unsigned long long)st.space_free, day, left);
        return 0;
    }
    size_text(st.pack_bytes, packs);
    size_text(st.raw_bytes, raw);
    size_text(st.live_bytes, live);
    size_text(st.index_bytes, index);
    size_text(st.space_free, free_space);
    printf("snapshots  %llu\npacks      %llu, %s for %s, of which %s live\n"
           "index      %llu runs, %llu entries, %s\nwriters    %llu\nfree       %s\n",
           (unsigned long long)st.refs, (unsigned long long)st.packs, packs, raw, live,
           (unsigned long long)st.runs, (unsigned long long)st.entries, index,
           (unsigned long long)st.leases, free_space);
    if (day > 0) {
        size_text((uint64_t)day, daily);
        printf("forecast   grows by %s a day: full in %.0f days\n", daily, left);
    }
    return 0;
}

int verb_dump(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct cg_str out = {0};
    struct cg_errbuf eb = {0};
    char what[128];
    snprintf(what, sizeof what, argc > 1 ? "%s %s" : "%s%s", argv[0], argc > 1 ? argv[1] : "");
    cg_err e = store_dump(s, what, &out, &eb);
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    fwrite(out.data, 1, out.len, stdout);
    cg_str_fini(&out);
    return 0;
}
