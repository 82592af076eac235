/* store copy: to another store, only what it lacks. store serve: the other end of a pipe. */
#include "verbs.h"
#include <cognu/active.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void copy_one(struct store *src, struct store_writer *w, const struct store_refinfo *ref,
                     struct store_copied *sum)
{
    struct store_copied c;
    struct cg_errbuf eb = {0};
    char bytes[16];
    cg_err e = store_copy(src, w, ref, &verb_progress, &c, &eb);
    if (e) {
        verb_fail(e, &eb, ref->name);
    }
    verb_progress_end();
    size_text(c.bytes, bytes);
    if (!opt.quiet && !opt.json) {
        printf("%s: %llu objects copied, %s; %llu were there\n", ref->name,
               (unsigned long long)c.objects, bytes, (unsigned long long)c.objects_there);
    }
    sum->objects += c.objects;
    sum->bytes += c.bytes;
    sum->objects_there += c.objects_there;
}

/* The other store's active tree gives way to ours: nobody may have it, nor may anything of it be in
 * its journal alone. */
static void copy_active(struct store *src, struct store *dst, struct store_writer *w,
                        const struct store_refinfo *ref, struct store_copied *sum)
{
    struct store_hold *hold;
    struct cg_errbuf eb = {0};
    uint64_t *segment;
    size_t segments;
    cg_err e = store_hold_take(dst, ACTIVE_REF, "store copy", NULL, NULL, &hold, &eb);
    if (e) {
        verb_fail(e, &eb, ref->name);
    }
    e = store_journal_list(dst, &segment, &segments, &eb);
    cg_free(segment);
    if (!e && segments > 0) {
        e = cg_fail(&eb, CG_EBUSY,
                    "the other store's tree has changes that are not in packs: mount it once");
    }
    if (e) {
        store_hold_drop(hold);
        verb_fail(e, &eb, ref->name);
    }
    copy_one(src, w, ref, sum);
    store_hold_drop(hold);
}

/* The passphrase of the other store comes from --from FILE, or is the same. */
int verb_copy(int argc, char **argv)
{
    struct store *src = verb_store(true);
    struct store_copied sum = {0};
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    opt.passphrase_file = opt.copy ? opt.copy : opt.passphrase_file;
    struct store *dst = verb_other(argv[0], false);
    cg_err e = store_writer_open(dst, "copy", opt.level, &w, &eb);
    if (e) {
        verb_fail(e, &eb, argv[0]);
    }
    for (int i = 1; i < argc; i++) {
        struct selected sel;
        struct store_refinfo active;
        if (strcmp(argv[i], ACTIVE_REF) == 0 && store_ref_get(src, argv[i], &active) == CG_OK) {
            copy_active(src, dst, w, &active, &sum);
            continue;
        }
        select_snapshot(src, argv[i], &sel);
        if (!sel.ref.name[0]) {
            cmd_fail("%s: a snapshot is copied under its name; this is a score", argv[i]);
        }
        copy_one(src, w, &sel.ref, &sum);
    }
    for (uint32_t i = 0; argc == 1 && i < store_ref_count(src); i++) {
        struct store_refinfo ref;
        store_ref_at(src, i, &ref);
        if (strcmp(ref.name, ACTIVE_REF) != 0) {
            copy_one(src, w, &ref, &sum);
        }
    }
    e = store_commit(w, NULL, 0, STORE_FINAL, &eb);
    if (e) {
        verb_fail(e, &eb, argv[0]);
    }
    store_writer_close(w);
    if (opt.json) {
        printf("{\"objects\":%llu,\"bytes\":%llu,\"objects_there\":%llu}\n",
               (unsigned long long)sum.objects, (unsigned long long)sum.bytes,
               (unsigned long long)sum.objects_there);
    }
    return 0;
}

int verb_serve(int argc, char **argv)
{
    bool was = opt.store && access(opt.store, F_OK) == 0;
    const struct store_io *io = verb_io(opt.store, true);
    (void)argc;
    (void)argv;
    cg_err e = store_io_serve(io, STDIN_FILENO, STDOUT_FILENO, opt.append_only);
    if (!was) {
        rmdir(opt.store); /* a folder in which no store was made does not stay */
    }
    if (e) {
        verb_fail(e, NULL, "serve");
    }
    return 0;
}
