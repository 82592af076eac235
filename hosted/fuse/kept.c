/* kept: a space in the book, and how a request of the kernel happens once across a death.
 *
 * Each request that changes something has an origin: its number. What the namespace sends for it
 * carries that number, and when the server has answered, the outcome is a record, committed no
 * later than the call's record goes. So when the kernel gives a request again, its successor knows:
 * nothing was sent (it is new), something is under way (its answer is waited for), or it is done
 * (the outcome is told, and what else the kernel wants to know is asked for without changing
 * anything). The record goes when the answer was written.
 *
 * A kernel without resend (before Linux 6.9) does not give it again: then each request that was
 * read is a record of its own, and a successor answers them all with an error.
 */
#include "kept.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REC_SPACE = 48, REC_HANDLE, REC_LOCK, REC_OUTCOME, REC_READ };

#define RESEND_BIT (UINT64_C(1) << 63) /* FUSE_UNIQUE_RESEND: the kernel gives it again */

struct saved_space { /* a: number */
    uint64_t flags;
    uint32_t kernel_minor, resend;
    uint32_t uid, gid;
    uint32_t pidns; /* a descriptor of it is kept */
    char name[SPACE_NAME_BYTES];
};

struct saved_handle { /* a: space, b: fh */
    uint64_t file;    /* number of the namespace's handle; 0: one of our own */
    uint8_t own, dir, plain, spare[5];
};

struct saved_lock { /* a: space, b: owner */
    uint64_t nodeid;
    uint32_t pid;
};

struct saved_outcome { /* a: space, b: origin */
    uint64_t count;
    uint32_t error, type;
};

struct origin {
    uint64_t unique;
    struct freq *r;   /* the kernel waits; NULL: it has not given it again (yet) */
    uint32_t pending; /* a predecessor's calls that are under way */
    bool adopted;
    struct saved_outcome *saved; /* NULL: nothing was answered yet */
};

static uint64_t unique_of(const struct freq *r)
{
    return r->m.h.unique & ~RESEND_BIT;
}

static void *add(struct space *s, uint16_t kind, uint64_t b, uint32_t len)
{
    return book_add(s->adapter->book, kind, s->number, b, len);
}

static void drop(struct space *s, void *record)
{
    if (record) {
        book_drop(s->adapter->book, record);
    }
}

/* ---- the space ---- */

static void name_of(char out[KEEP_NAME_BYTES_MAX + 1], const char *what, uint64_t number)
{
    snprintf(out, KEEP_NAME_BYTES_MAX + 1, "%s.%llu", what, (unsigned long long)number);
}

static cg_err keep_fd(struct space *s, const char *what, int fd, struct cg_errbuf *eb)
{
    char name[KEEP_NAME_BYTES_MAX + 1];
    name_of(name, what, s->number);
    return keep_put(s->adapter->keep, name, fd, eb);
}

static void unkeep_fd(struct space *s, const char *what)
{
    char name[KEEP_NAME_BYTES_MAX + 1];
    name_of(name, what, s->number);
    (void)keep_drop(s->adapter->keep, name, NULL);
}

static void save_space(struct space *s)
{
    struct saved_space *r = add(s, REC_SPACE, 0, sizeof *r);
    if (!r) {
        return;
    }
    const struct fdev_terms *t = s->dev ? fdev_terms(s->dev) : NULL;
    r->flags = t ? t->flags : 0;
    r->kernel_minor = t ? t->kernel_minor : 0;
    r->resend = t ? t->resend : 0;
    r->uid = s->owner.uid;
    r->gid = s->owner.gid;
    r->pidns = s->owner.pidns >= 0;
    memcpy(r->name, s->name, sizeof r->name);
    drop(s, s->saved);
    s->saved = r;
}

cg_err kept_space(struct space *s, int fd, struct cg_errbuf *eb)
{
    cg_err e = keep_fd(s, "fuse", fd, eb);
    if (e == CG_OK && s->owner.pidns >= 0) {
        e = keep_fd(s, "pidns", s->owner.pidns, eb);
    }
    if (e == CG_OK) {
        save_space(s);
        book_commit(s->adapter->book);
    }
    return e;
}

static void drop_all(struct book *b, uint64_t number, uint16_t first, uint16_t last)
{
    uint64_t cursor = 0;
    void *record;
    while ((record = book_next(b, &cursor))) {
        const struct book_head *h = book_head(b, record);
        if (h->a == number && h->kind >= first && h->kind <= last) {
            book_drop(b, record);
        }
    }
}

/* Sessions that are still there (NINEP_BOOK_KIND) are the namespace's to end. */
static void forget_records(struct book *b, uint64_t number)
{
    drop_all(b, number, REC_SPACE, REC_READ);
    drop_all(b, number, NS_BOOK_KIND, NS_BOOK_KIND + NS_BOOK_KINDS - 1);
    book_commit(b);
}

void kept_space_end(struct space *s)
{
    uint32_t cursor = 0;
    struct origin *o;
    forget_records(s->adapter->book, s->number);
    unkeep_fd(s, "fuse");
    unkeep_fd(s, "pidns");
    while ((o = cg_map_next(&s->origins, &cursor))) {
        cg_free(o);
    }
    cg_map_fini(&s->origins);
}

/* ---- handles and locks ---- */

void kept_handle(struct space *s, uint64_t fh)
{
    struct handle *h = handle_of(s, fh);
    if (!h || (!h->file && !h->own)) {
        return;
    }
    struct saved_handle *r = add(s, REC_HANDLE, fh, sizeof *r);
    if (r) {
        r->file = h->file ? ns_file_number(h->file) : 0;
        r->own = h->own;
        r->dir = h->dir;
        r->plain = h->plain;
    }
    drop(s, h->saved);
    h->saved = r;
}

struct lock_key {
    uint64_t nodeid, owner;
};

bool kept_lock(struct space *s, uint64_t nodeid, uint64_t owner, uint32_t pid)
{
    struct lock_key k = {nodeid, owner};
    struct saved_lock *r = cg_map_get(&s->locks, &k);
    if (r) {
        return true;
    }
    r = cg_map_count(&s->locks) < LOCKS_MAX ? add(s, REC_LOCK, owner, sizeof *r) : NULL;
    if (!r) {
        return false;
    }
    r->nodeid = nodeid;
    r->pid = pid;
    if (cg_map_put(&s->locks, &k, r) != CG_OK) {
        drop(s, r);
        return false;
    }
    return true;
}

uint32_t kept_lock_pid(const struct space *s, uint64_t nodeid, uint64_t owner)
{
    struct lock_key k = {nodeid, owner};
    const struct saved_lock *r = cg_map_get(&s->locks, &k);
    return r ? r->pid : 0;
}

bool kept_unlock(struct space *s, uint64_t nodeid, uint64_t owner)
{
    struct lock_key k = {nodeid, owner};
    struct saved_lock *r = cg_map_del(&s->locks, &k);
    drop(s, r);
    return r != NULL;
}

/* ---- origins ---- */

/* The request whose answer is the operation's outcome; 0: it changes nothing, or may be made again.
 */
static uint8_t type_of(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_CREATE:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
        return NINEP_TCREATE;
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        return NINEP_TREMOVE;
    case FUSE_RENAME:
    case FUSE_RENAME2:
        return NINEP_TRENAME;
    case FUSE_LINK:
        return NINEP_TLINK;
    case FUSE_WRITE:
        return NINEP_TWRITE;
    case FUSE_OPEN:
        return NINEP_TOPEN;
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
        return NINEP_TXATTRSET;
    case FUSE_FALLOCATE:
        return NINEP_TALLOCATE;
    case FUSE_SETLK:
    case FUSE_SETLKW:
        return NINEP_TLOCK;
    default:
        return 0;
    }
}

static struct origin *origin_get(struct space *s, uint64_t unique)
{
    struct origin *o = cg_map_get(&s->origins, &unique);
    if (!o && (o = cg_zalloc(sizeof *o))) {
        o->unique = unique;
        if (cg_map_put(&s->origins, &unique, o) != CG_OK) {
            cg_free(o);
            return NULL;
        }
    }
    return o;
}

static void origin_end(struct space *s, struct origin *o)
{
    cg_map_del(&s->origins, &o->unique);
    drop(s, o->saved);
    cg_free(o);
}

/* A write of several pieces has as many answers; the first error stays. */
static void note_outcome(struct space *s, struct origin *o, uint8_t type, cg_err e, uint64_t count)
{
    struct saved_outcome *old = o->saved;
    bool more = old && old->type == type;
    struct saved_outcome *r = add(s, REC_OUTCOME, o->unique, sizeof *r);
    if (!r) {
        return;
    }
    r->type = type;
    r->error = more && old->error ? old->error : e;
    r->count = count + (more ? old->count : 0);
    drop(s, old);
    o->saved = r;
}

static void go_on(struct space *s, struct freq *r, struct origin *o);

void kept_outcome(void *ctx, uint64_t origin, uint8_t type, cg_err e, uint64_t count)
{
    struct space *s = ctx;
    struct origin *o = cg_map_get(&s->origins, &origin);
    if (!o) {
        return; /* the kernel has its answer already */
    }
    bool nothing_done = e == CG_ESKIPPED || e == CG_ESESSION;
    if (!nothing_done) {
        note_outcome(s, o, type, e, count);
    }
    if (o->pending == 0) {
        return;
    }
    o->pending--;
    if (o->pending == 0 && o->r) {
        go_on(s, o->r, o);
    } else if (o->pending == 0 && s->settle_ns == 0) {
        origin_end(s, o); /* it was answered before the death */
    }
}

void kept_pending(void *ctx, uint64_t origin, uint8_t type)
{
    struct space *s = ctx;
    struct origin *o = origin_get(s, origin);
    (void)type;
    if (o) {
        o->pending++;
        o->adopted = true;
    }
}

void kept_origin(struct space *s, const struct freq *r)
{
    ns_origin(s->ns, r ? unique_of(r) : 0);
}

void kept_answer(struct space *s, struct freq *r, bool after)
{
    uint64_t unique = unique_of(r);
    if (!after) {
        if (r->m.h.opcode == FUSE_INIT) {
            save_space(s);
        }
        book_commit(s->adapter->book);
        return;
    }
    struct origin *o = cg_map_get(&s->origins, &unique);
    if (o) {
        origin_end(s, o);
    }
    drop(s, r->kept);
    r->kept = NULL;
}

/* ---- a request that is given again ---- */

static void on_existing(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    face_entry(aux, e, st, detail);
}

static void answer_again(struct space *s, struct freq *r, uint64_t count)
{
    struct ns_node *n = ns_node_by_id(s->ns, r->m.h.nodeid);
    struct fuse_write_out wrote = {.size = (uint32_t)count};
    switch (r->m.h.opcode) {
    case FUSE_WRITE:
        freq_reply(r, &wrote, sizeof wrote, NULL, 0);
        break;
    case FUSE_OPEN:
        r->m.in.open.flags &= ~(uint32_t)NINEP_OPEN_TRUNC;
        face_open_go(s, r);
        break;
    case FUSE_CREATE:
        if (!n) {
            freq_error(r, cg_err_errno(CG_ESTALE));
            break;
        }
        face_began(r, ns_create_again(s->ns, n, r->m.name, r->m.in.create.mode & 07777,
                                      r->m.in.create.flags & FACE_OPEN_FLAGS, unique_of(r),
                                      face_opened, r));
        break;
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
        if (!n) {
            freq_error(r, cg_err_errno(CG_ESTALE));
            break;
        }
        face_began(r, ns_lookup(s->ns, n, r->m.name, on_existing, r));
        break;
    default:
        freq_error(r, 0);
        break;
    }
}

static void go_on(struct space *s, struct freq *r, struct origin *o)
{
    const struct saved_outcome *done = o->saved;
    uint32_t wanted = type_of(r->m.h.opcode);
    o->adopted = false;
    if (!done || done->type != wanted) { /* nothing of it happened, or only what prepares it */
        kept_origin(s, r);
        face_dispatch(s, r);
        kept_origin(s, NULL);
    } else if (done->error) {
        face_fail(r, done->error, "so it ended while this adapter was started again");
    } else {
        answer_again(s, r, done->count);
    }
}

/* Files of our own are written by lines, whose execution no server remembers. */
static bool is_own_write(const struct freq *r)
{
    return own_is(r->m.h.nodeid) && r->m.h.opcode == FUSE_WRITE;
}

bool kept_begun(struct space *s, struct freq *r)
{
    uint64_t unique = unique_of(r);
    struct origin *o = cg_map_get(&s->origins, &unique);
    if (fdev_terms(s->dev)->kernel_minor && !fdev_terms(s->dev)->resend) {
        r->kept = add(s, REC_READ, r->m.h.unique, 0);
        book_commit(s->adapter->book);
    }
    if (is_own_write(r)) {
        if (r->m.h.unique & RESEND_BIT) {
            face_fail(r, CG_EUNKNOWN,
                      "this adapter was started again meanwhile; look, then repeat");
            return true;
        }
        return false;
    }
    if (!o || !o->adopted) {
        o = o ? o : type_of(r->m.h.opcode) ? origin_get(s, unique) : NULL;
        if (o) {
            o->r = r;
        }
        return false;
    }
    o->r = r;
    if (o->pending > 0) {
        /* Names and bytes are needed if it turns out that nothing of it had happened. */
        if (freq_keep(r) != CG_OK) {
            face_fail(r, CG_ENOMEM, "too many requests are under way");
        }
        return true;
    }
    go_on(s, r, o);
    return true;
}

void kept_cancel(struct space *s, struct freq *r)
{
    uint64_t unique = unique_of(r);
    const struct origin *o = cg_map_get(&s->origins, &unique);
    if (o && o->pending > 0) {
        ns_cancel_origin(s->ns, unique);
    }
}

/* ---- adoption ---- */

cg_err kept_open(struct adapter *a, struct cg_errbuf *eb)
{
    const struct book_config c = {
        .kind = "fuse", .version = KEPT_VERSION, .bytes = (uint64_t)KEPT_BYTES_MIB << 20, .fd = -1};
    return a->keep ? keep_book(a->keep, "spaces", &c, false, &a->book, eb)
                   : book_new(&c, &a->book, eb);
}

static int get_fd(struct adapter *a, const char *what, uint64_t number)
{
    char name[KEEP_NAME_BYTES_MAX + 1];
    int fd = -1;
    name_of(name, what, number);
    return keep_get(a->keep, name, &fd, NULL) == CG_OK ? fd : -1;
}

static void adopt_handle(struct space *s, void *record, uint64_t fh)
{
    const struct saved_handle *r = record;
    struct ns_file *f = r->file ? ns_file_by_number(s->ns, r->file) : NULL;
    struct handle *h = f || r->own ? handle_at(s, fh) : NULL;
    if (!h) {
        book_drop(s->adapter->book, record); /* its file is gone */
        return;
    }
    h->file = f;
    h->own = r->own;
    h->dir = r->dir;
    h->plain = r->plain;
    h->saved = record;
}

static void adopt_lock(struct space *s, void *record, uint64_t owner)
{
    const struct saved_lock *r = record;
    struct lock_key k = {r->nodeid, owner};
    if (cg_map_put(&s->locks, &k, record) != CG_OK) {
        book_drop(s->adapter->book, record);
    }
}

static void adopt_outcome(struct space *s, void *record, uint64_t unique)
{
    struct origin *o = origin_get(s, unique);
    if (!o || o->saved) {
        book_drop(s->adapter->book, record);
        return;
    }
    o->saved = record;
    o->adopted = true;
}

static void adopt_records(struct space *s)
{
    struct book *b = s->adapter->book;
    uint64_t cursor = 0;
    void *record;
    while ((record = book_next(b, &cursor))) {
        const struct book_head *h = book_head(b, record);
        if (h->a != s->number) {
            continue;
        }
        switch (h->kind) {
        case REC_HANDLE:
            adopt_handle(s, record, h->b);
            break;
        case REC_LOCK:
            adopt_lock(s, record, h->b);
            break;
        case REC_READ:
            fdev_lost(s->dev, h->b);
            book_drop(b, record);
            break;
        default:
            break;
        }
    }
}

/* Outcomes come first: the namespace's calls add to them. */
static void adopt_outcomes(struct space *s)
{
    struct book *b = s->adapter->book;
    uint64_t cursor = 0;
    void *record;
    while ((record = book_next(b, &cursor))) {
        const struct book_head *h = book_head(b, record);
        if (h->a == s->number && h->kind == REC_OUTCOME) {
            adopt_outcome(s, record, h->b);
        }
    }
}

static void adopt_space(struct adapter *a, struct saved_space *r, uint64_t number)
{
    struct cg_errbuf eb = {0};
    struct space *s;
    struct owner owner = {r->uid, r->gid, r->pidns ? get_fd(a, "pidns", number) : -1};
    int fd = get_fd(a, "fuse", number);
    char name[SPACE_NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)sizeof name - 1, r->name);
    if (fd < 0) {
        cg_log(CG_ERROR_LEVEL, "namespace %s is lost: its descriptor was not kept", name);
        forget_records(a->book, number);
        return;
    }
    if (space_adopt(a, number, name, fd, owner, adopt_outcomes, &s, &eb) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "namespace %s is lost: %s", name, eb.text);
        return;
    }
    s->saved = r;
    s->settle_ns = cg_env_real.now_ns(cg_env_real.ctx) + KEPT_SETTLE_MS * UINT64_C(1000000);
    struct fdev_terms terms = {r->kernel_minor, r->flags, r->resend};
    adopt_records(s);
    fdev_resume(s->dev, &terms);
    ns_adopted_tell(s->ns);
    book_commit(a->book);
    cg_log(CG_INFO, "namespace %s goes on", s->name);
}

void kept_adopt(struct adapter *a)
{
    uint64_t cursor = 0;
    struct saved_space *found[SPACES_MAX];
    uint32_t count = 0;
    void *record;
    while ((record = book_next(a->book, &cursor)) && count < SPACES_MAX) {
        const struct book_head *h = book_head(a->book, record);
        if (h->kind == REC_SPACE && h->len == sizeof(struct saved_space)) {
            a->space_last = h->a > a->space_last ? h->a : a->space_last;
            found[count++] = record;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        adopt_space(a, found[i], book_head(a->book, found[i])->a);
    }
}

static bool has_owner(void *ctx, uint64_t number)
{
    const struct space *s = ctx;
    for (uint32_t i = 0; i < s->handle_count; i++) {
        const struct handle *h = &s->handles[i];
        if (h->used && h->file && ns_file_number(h->file) == number) {
            return true;
        }
    }
    return false;
}

/* What the kernel has not asked for again by now it has had an answer to. */
static void settle(struct space *s)
{
    uint32_t cursor = 0;
    struct origin *o;
    while ((o = cg_map_next(&s->origins, &cursor))) {
        if (!o->r && o->pending == 0) {
            origin_end(s, o);
        }
    }
    ns_adopted_close(s->ns, has_owner, s);
    book_commit(s->adapter->book);
}

uint64_t kept_tick(struct space *s, uint64_t now_ns)
{
    if (s->settle_ns != 0 && now_ns >= s->settle_ns) {
        s->settle_ns = 0;
        settle(s);
    }
    return s->settle_ns;
}
