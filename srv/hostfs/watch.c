/* Changes that other programs of the host make to what a client caches, by inotify.
 *
 * A lease is kept by its file's identity, with the change number that its holders know. A watch is
 * on one file; it serves the lease on that file and, on a directory, the leases that a listing gave
 * on its entries. An event means: look whether the change number is still the known one. After a
 * change of our own the new number is known, so our own events break nothing; before it we look
 * once, so that a change of the host before ours is not taken for ours.
 *
 * When a watch cannot be had (fs.inotify.max_user_watches, a file system that tells nothing) the
 * lease is broken as soon as it was granted: the client does without, nothing goes stale.
 *
 * A directory's watch tells nothing of what happens below its subdirectories, nor of a file's other
 * names: those entries have watches of their own, and an entry that moves or gets a second name is
 * given one.
 *
 * A watch holds its file's descriptor; watches take at most one in WATCH_SHARE of them.
 *
 * A watch counts its uses: leases, the listing being made, an event being looked at. It goes with
 * the last. Telling the framework may end leases and run requests, so nothing is used after that
 * but what is counted.
 */
#include "host.h"
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    EVENT_BYTES = 65536,
    READS_MAX = 16,      /* of one wake-up: other work has its turn */
    COMPLAIN_MS = 60000, /* at most so often in the log */
    IDENTITY_BYTES = 20, /* volume, file, generation */
    WATCH_SHARE = 4,     /* the others are for fids and open files */
};

static const uint32_t mask = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_DELETE_SELF |
                             IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF;

struct host_watch {
    struct cg_list held; /* in hostfs.held while a listing is made */
    struct cg_list lost; /* in hostfs.lost until its leases are broken */
    struct cg_list leases;
    struct host_node *node;
    struct ninep_xqid id;
    int32_t number;
    uint32_t uses;
    bool ignored; /* the host took it away */
};

struct host_lease {
    struct cg_list link;      /* in its watch's leases, or in hostfs.unwatched until broken */
    struct ninep_xqid id;     /* change is what the holders know */
    struct host_watch *watch; /* NULL: unwatched */
    bool gone;                /* we removed its last name we know: events say nothing new */
};

static struct cg_counter breaks = {.name = "cognu_hostfs_breaks_total",
                                   .help = "leases broken because the host changed the file"};
static struct cg_counter refusals = {.name = "cognu_hostfs_unwatched_total",
                                     .help = "leases given up because no watch could be had"};

static void identity(const struct ninep_xqid *id, uint8_t out[IDENTITY_BYTES])
{
    memcpy(out, &id->volume, 8);
    memcpy(out + 8, &id->file, 8);
    memcpy(out + 16, &id->generation, 4);
}

static void *find(const struct cg_map *m, const struct ninep_xqid *id)
{
    uint8_t key[IDENTITY_BYTES];
    identity(id, key);
    return cg_map_get(m, key);
}

/* ---- watches ----------------------------------------------------------------------------------
 */

static bool id_now(const struct host_node *n, struct ninep_xqid *id)
{
    struct statx sx;
    bool ok = host_statx(n->fd, "", &sx) == 0;
    if (ok) {
        host_id(n->volume, &sx, id);
    }
    return ok;
}

static void watch_put(struct hostfs *fs, struct host_watch *w)
{
    uint8_t key[IDENTITY_BYTES];
    if (--w->uses > 0) {
        return;
    }
    identity(&w->id, key);
    cg_map_del(&fs->watches, &w->number);
    cg_map_del(&fs->watched, key);
    if (!w->ignored) {
        inotify_rm_watch(fs->notify, w->number);
    }
    host_node_put(w->node);
    cg_free(w);
}

static void complain(int err)
{
    static uint64_t last_ms;
    uint64_t now = cg_now_ms(&cg_env_real);
    cg_count(&refusals, 1);
    if (last_ms == 0 || now - last_ms > COMPLAIN_MS) {
        last_ms = now;
        cg_log(CG_WARN, "no watch, so no lease: %s; %s", strerror(err),
               err == ENOSPC   ? "raise fs.inotify.max_user_watches"
               : err == EMFILE ? "raise the hard limit of open files"
                               : "the host's file system does not tell of changes");
    }
}

/* Gives a use. */
static struct host_watch *watch_make(struct hostfs *fs, struct host_node *n,
                                     const struct ninep_xqid *id)
{
    char path[HOST_PATH_BYTES];
    uint8_t key[IDENTITY_BYTES];
    if (cg_map_count(&fs->watches) >= fs->watches_max) {
        complain(EMFILE);
        return NULL;
    }
    struct host_watch *w = cg_zalloc(sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    host_path(n->fd, path);
    identity(id, key);
    w->number = inotify_add_watch(fs->notify, path, mask);
    if (w->number < 0) {
        complain(errno);
    } else if (cg_map_put(&fs->watches, &w->number, w) == CG_OK) {
        if (cg_map_put(&fs->watched, key, w) == CG_OK) {
            w->id = *id;
            w->node = host_node_share(n);
            w->uses = 1;
            cg_list_init(&w->held);
            cg_list_init(&w->lost);
            cg_list_init(&w->leases);
            return w;
        }
        cg_map_del(&fs->watches, &w->number);
    }
    if (w->number >= 0) {
        inotify_rm_watch(fs->notify, w->number);
    }
    cg_free(w);
    return NULL;
}

bool host_watch_hold(struct hostfs *fs, struct host_node *n)
{
    struct ninep_xqid id;
    if (fs->notify < 0 || n->volume->synthetic || !id_now(n, &id)) {
        return false;
    }
    struct host_watch *w = find(&fs->watched, &id);
    if (w == NULL) {
        w = watch_make(fs, n, &id);
    } else if (cg_list_empty(&w->held)) {
        w->uses++;
    }
    if (w != NULL && cg_list_empty(&w->held)) {
        cg_list_push(&fs->held, &w->held);
    }
    return w != NULL;
}

void host_watch_release(struct hostfs *fs)
{
    while (!cg_list_empty(&fs->held)) {
        struct host_watch *w = CG_CONTAINER(fs->held.next, struct host_watch, held);
        cg_list_del(&w->held);
        watch_put(fs, w);
    }
}

/* ---- leases -----------------------------------------------------------------------------------
 */

static void lease_drop(struct hostfs *fs, struct host_lease *l)
{
    uint8_t key[IDENTITY_BYTES];
    identity(&l->id, key);
    cg_map_del(&fs->leases, key);
    cg_list_del(&l->link);
    if (l->watch != NULL) {
        watch_put(fs, l->watch);
    }
    cg_free(l);
}

/* Tells the framework, which may drop the lease before this returns. */
static void lease_break(struct hostfs *fs, const struct ninep_xqid *id)
{
    struct ninep_xqid copy = *id;
    cg_count(&breaks, 1);
    ninep_server_changed(fs->server, &copy);
}

static struct host_watch *use(struct host_watch *w)
{
    if (w != NULL) {
        w->uses++;
    }
    return w;
}

/* Its watch: of the file itself, or of the directory through which a listing gave it. Gives a use.
 */
static struct host_watch *watch_for(struct hostfs *fs, struct ninep_fid *fid,
                                    const struct ninep_xqid *id, bool *stale)
{
    struct host_watch *w = find(&fs->watched, id);
    *stale = false;
    if (w != NULL || fid == NULL) {
        return use(w);
    }
    struct host_node *n = host_fid(fid)->node;
    struct ninep_xqid own;
    if (!id_now(n, &own)) {
        return NULL;
    }
    if (own.volume == id->volume && own.file == id->file && own.generation == id->generation) {
        if (!cg_list_empty(&fs->held)) { /* just made in this directory */
            return use(CG_CONTAINER(fs->held.next, struct host_watch, held));
        }
        w = watch_make(fs, n, id);
        *stale = id->change != 0 &&
                 (own.change != id->change || !id_now(n, &own) || own.change != id->change);
        return w;
    }
    return use(find(&fs->watched, &own)); /* held by the listing */
}

static void lease_make(struct hostfs *fs, struct ninep_fid *fid, const struct ninep_xqid *id)
{
    uint8_t key[IDENTITY_BYTES];
    bool stale = false;
    struct ninep_xqid now;
    struct host_lease *l = cg_zalloc(sizeof *l);
    identity(id, key);
    if (l == NULL || cg_map_put(&fs->leases, key, l) != CG_OK) {
        cg_free(l);
        cg_log(CG_WARN, "no memory to watch a leased file: changes by the host may go unseen");
        return;
    }
    l->id = *id;
    cg_list_init(&l->link);
    l->watch = fs->notify >= 0 ? watch_for(fs, fid, id, &stale) : NULL;
    if (id->change == 0 && id_now(host_fid(fid)->node, &now)) {
        l->id.change = now.change; /* the attributes are asked for after this */
    }
    if (l->watch == NULL || stale) {
        if (l->watch != NULL) {
            watch_put(fs, l->watch);
            l->watch = NULL;
        }
        cg_list_push(&fs->unwatched, &l->link);
        uv_async_send(&fs->wake); /* breaking now would be within the grant */
    } else {
        cg_list_push(&l->watch->leases, &l->link);
    }
}

void host_leased(struct ninep_server *s, struct ninep_fid *fid, const struct ninep_xqid *id,
                 bool on)
{
    struct hostfs *fs = ninep_server_aux(s);
    fs->server = s;
    struct host_lease *l = find(&fs->leases, id);
    if (!on && l != NULL) {
        lease_drop(fs, l);
    } else if (on && l == NULL) {
        lease_make(fs, fid, id);
    }
}

/* ---- changes of our own -----------------------------------------------------------------------
 */

void host_watch_before(struct hostfs *fs, const struct ninep_xqid *id)
{
    struct host_lease *l = find(&fs->leases, id);
    if (l != NULL && l->id.change != id->change) {
        l->id.change = id->change;
        lease_break(fs, id);
    }
}

void host_watch_after(struct hostfs *fs, const struct ninep_xqid *id)
{
    struct host_lease *l = find(&fs->leases, id);
    if (l != NULL) {
        l->id.change = id->change;
    }
}

static bool watches(const struct host_watch *w, const struct ninep_xqid *id)
{
    return w->id.volume == id->volume && w->id.file == id->file &&
           w->id.generation == id->generation;
}

static void unwatch(struct hostfs *fs, struct host_lease *l)
{
    struct host_watch *w = l->watch;
    l->watch = NULL;
    cg_list_del(&l->link);
    watch_put(fs, w);
}

void host_watch_unnamed(struct hostfs *fs, const struct ninep_xqid *id)
{
    struct host_lease *l = find(&fs->leases, id);
    struct statx sx;
    if (l == NULL || l->watch == NULL) {
        return;
    }
    bool itself = watches(l->watch, id) && host_statx(l->watch->node->fd, "", &sx) == 0;
    if (itself && sx.stx_nlink > 0 && !S_ISDIR(sx.stx_mode)) {
        host_id(l->watch->node->volume, &sx, &l->id);
    } else {
        l->gone = true;
        unwatch(fs, l); /* or its descriptor would keep the file's space */
    }
}

void host_watch_itself(struct hostfs *fs, struct host_node *n, const struct ninep_xqid *id)
{
    struct host_lease *l = find(&fs->leases, id);
    if (l == NULL || l->watch == NULL || watches(l->watch, id)) {
        return;
    }
    struct host_watch *w = find(&fs->watched, id);
    w = w != NULL ? use(w) : watch_make(fs, n, id);
    unwatch(fs, l);
    l->watch = w;
    cg_list_push(w != NULL ? &w->leases : &fs->unwatched, &l->link);
    if (w == NULL) {
        uv_async_send(&fs->wake);
    }
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* The host says that something happened to the file that has this identity and change number now.
 */
static void happened(struct hostfs *fs, const struct ninep_xqid *id)
{
    struct host_lease *l = find(&fs->leases, id);
    if (l != NULL && !l->gone && l->id.change != id->change) {
        l->id.change = id->change;
        lease_break(fs, id);
    }
}

/* Breaks every lease of the list; each stays on it until the framework lets it go. */
static void break_all(struct hostfs *fs, struct cg_list *leases)
{
    struct cg_list todo;
    cg_list_init(&todo);
    while (!cg_list_empty(leases)) {
        struct cg_list *n = leases->next;
        cg_list_del(n);
        cg_list_push(&todo, n);
    }
    while (!cg_list_empty(&todo)) {
        struct host_lease *l = CG_CONTAINER(todo.next, struct host_lease, link);
        cg_list_del(&l->link);
        cg_list_push(leases, &l->link);
        lease_break(fs, &l->id);
    }
}

/* All leases that w serves are to be broken, once for many events. */
static void entries_lost(struct hostfs *fs, struct host_watch *w)
{
    if (cg_list_empty(&w->lost)) {
        cg_list_push(&fs->lost, &w->lost);
        w->uses++;
    }
}

static void break_lost(struct hostfs *fs)
{
    while (!cg_list_empty(&fs->lost)) {
        struct host_watch *w = CG_CONTAINER(fs->lost.next, struct host_watch, lost);
        cg_list_del(&w->lost);
        break_all(fs, &w->leases);
        watch_put(fs, w);
    }
}

/* Something happened to an entry of the watched directory. */
static void entry_happened(struct hostfs *fs, struct host_watch *w, const struct inotify_event *ev)
{
    struct statx sx;
    struct ninep_xqid id;
    const struct host_lease *dir = find(&fs->leases, &w->id);
    if (host_statx(w->node->fd, ev->name, &sx) == 0) {
        host_id(w->node->volume, &sx, &id);
        happened(fs, &id);
    }
    if ((ev->mask & (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0 && id_now(w->node, &id) &&
        (dir == NULL || dir->id.change != id.change)) {
        entries_lost(fs, w); /* which entry lost its name cannot be told from the name */
    }
}

static void event(struct hostfs *fs, const struct inotify_event *ev)
{
    struct host_watch *w = cg_map_get(&fs->watches, &ev->wd);
    struct ninep_xqid id;
    if (use(w) == NULL) {
        return; /* of a watch that we took away */
    }
    if ((ev->mask & (IN_IGNORED | IN_UNMOUNT)) != 0) {
        w->ignored = w->ignored || (ev->mask & IN_IGNORED) != 0;
        break_all(fs, &w->leases);
    } else {
        if (ev->len > 0) {
            entry_happened(fs, w, ev);
        }
        if (id_now(w->node, &id)) {
            happened(fs, &id);
        }
    }
    watch_put(fs, w);
}

static void break_everything(struct hostfs *fs)
{
    uint32_t cursor = 0, count = 0;
    struct ninep_xqid *id = cg_alloc(cg_map_count(&fs->leases) * sizeof *id + 1);
    if (id == NULL) {
        cg_log(CG_ERROR_LEVEL, "the host's events overflowed and no memory is left to say so");
        return;
    }
    for (struct host_lease *l; (l = cg_map_next(&fs->leases, &cursor)) != NULL;) {
        id[count++] = l->id;
    }
    for (uint32_t i = 0; i < count; i++) {
        lease_break(fs, &id[i]);
    }
    cg_free(id);
}

static void on_events(uv_poll_t *poll, int status, int what)
{
    struct hostfs *fs = poll->data;
    _Alignas(struct inotify_event) static char buf[EVENT_BYTES]; /* one loop thread */
    (void)status;
    (void)what;
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t n = read(fs->notify, buf, sizeof buf);
        if (n <= 0) {
            return;
        }
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *ev = (const void *)(buf + at);
            if ((ev->mask & IN_Q_OVERFLOW) != 0) {
                break_everything(fs);
            } else {
                event(fs, ev);
            }
            at += (ssize_t)(sizeof *ev + ev->len);
        }
        break_lost(fs);
    }
}

static void on_wake(uv_async_t *wake)
{
    struct hostfs *fs = wake->data;
    while (!cg_list_empty(&fs->unwatched)) { /* once each: until it is let go, none is granted */
        struct host_lease *l = CG_CONTAINER(fs->unwatched.next, struct host_lease, link);
        cg_list_del(&l->link);
        lease_break(fs, &l->id);
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

cg_err host_watch_start(struct hostfs *fs)
{
    cg_map_init(&fs->watches, sizeof(int32_t));
    cg_map_init(&fs->watched, IDENTITY_BYTES);
    cg_map_init(&fs->leases, IDENTITY_BYTES);
    cg_list_init(&fs->unwatched);
    cg_list_init(&fs->held);
    cg_list_init(&fs->lost);
    fs->wake.data = fs->poll.data = fs;
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    fs->watches_max = files.rlim_cur / WATCH_SHARE < UINT32_MAX
                          ? (uint32_t)(files.rlim_cur / WATCH_SHARE)
                          : UINT32_MAX;
    fs->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (uv_async_init(fs->loop, &fs->wake, on_wake) != 0) {
        return CG_ENOMEM;
    }
    fs->handles = 1;
    if (fs->notify < 0) {
        complain(errno); /* no leases, but a working server */
        return CG_OK;
    }
    if (uv_poll_init(fs->loop, &fs->poll, fs->notify) != 0) {
        return CG_ENOMEM;
    }
    fs->handles = 2;
    uv_poll_start(&fs->poll, UV_READABLE, on_events);
    return CG_OK;
}

static void on_closed(uv_handle_t *h)
{
    struct hostfs *fs = h->data;
    if (--fs->handles == 0) {
        if (fs->notify >= 0) {
            close(fs->notify);
        }
        cg_free(fs);
    }
}

void host_watch_stop(struct hostfs *fs)
{
    cg_assert(cg_map_count(&fs->leases) == 0 && cg_map_count(&fs->watches) == 0);
    cg_map_fini(&fs->leases);
    cg_map_fini(&fs->watches);
    cg_map_fini(&fs->watched);
    if (fs->handles == 0) {
        if (fs->notify >= 0) {
            close(fs->notify);
        }
        cg_free(fs);
        return;
    }
    bool polls = fs->handles == 2;
    uv_close((uv_handle_t *)&fs->wake, on_closed);
    if (polls) {
        uv_close((uv_handle_t *)&fs->poll, on_closed);
    }
}
