/* Syncs of the active tree: fsync waits for the disk, so it is done where the owner of the server
 * lets it be, and requests go on. Those that come while one is under way wait for the next, all of
 * them for the same. */
#include "live.h"

static void answer(struct ninep_req *first, cg_err e, const struct cg_errbuf *eb)
{
    while (first) {
        struct ninep_req *r = first;
        first = r->aux;
        if (e) {
            cg_fail(&r->eb, e, "%s", eb->text);
        }
        ninep_respond(r, e);
    }
}

static void begin(struct storefs *fs)
{
    struct active_flush *f;
    struct cg_errbuf eb = {0};
    fs->synced = fs->unsynced;
    fs->unsynced = NULL;
    cg_err e = active_flush_begin(fs->active, &f, &eb);
    if (e) {
        struct ninep_req *waiting = fs->synced;
        fs->synced = NULL;
        answer(waiting, e, &eb);
        return;
    }
    fs->flushing = true;
    if (fs->live.flush) {
        fs->live.flush(fs->live.aux, f);
    } else {
        active_flush_run(f);
        storefs_flush_done(fs, f);
    }
}

void storefs_flush_done(struct storefs *fs, struct active_flush *f)
{
    struct cg_errbuf eb = {0};
    cg_err e = active_flush_done(fs->active, f, &eb);
    struct ninep_req *waiting = fs->synced;
    fs->synced = NULL;
    fs->flushing = false;
    answer(waiting, e, &eb);
    if (fs->unsynced && !fs->flushing) { /* an answer may have begun one */
        begin(fs);
    }
}

void live_fsync(struct ninep_req *r)
{
    struct storefs *fs = r->server_aux;
    r->aux = fs->unsynced;
    fs->unsynced = r;
    if (!fs->flushing) {
        begin(fs);
    }
}

static bool take_out(struct ninep_req **list, struct ninep_req *r)
{
    struct ninep_req *before = NULL;
    for (struct ninep_req *at = *list; at; before = at, at = at->aux) {
        if (at == r && before) {
            before->aux = r->aux;
        } else if (at == r) {
            *list = r->aux;
        }
        if (at == r) {
            return true;
        }
    }
    return false;
}

/* Who asked waits no more; the sync goes on. */
void live_fsync_cancel(struct ninep_req *r)
{
    struct storefs *fs = r->server_aux;
    if (take_out(&fs->synced, r) || take_out(&fs->unsynced, r)) {
        ninep_respond(r, CG_ECANCELED);
    }
}
