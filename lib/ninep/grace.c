/* grace: what a restarted server owes to those who held leases before.
 *
 * A session that holds leases has a record in a book that outlives the server (config.holders): who
 * it is, and when it was last heard. A server that finds records of its predecessor lets no
 * change begin until each of these holders has come back and said that it has forgotten, which its
 * first Twatch on the new session does, or its term is over. Nothing else waits: while nothing
 * changes, what they remember is true, and so are new leases.
 *
 * A server that stops on purpose leaves its records too: its clients are no wiser.
 */
#include "server__.h"
#include <cognu/book.h>
#include <string.h>

enum { KIND_HOLDER = 1 };

struct ninep__holder {
    uint64_t heard_ns; /* a word of its own: written at any time */
    uint8_t id[16];    /* of the session */
    uint8_t node_key[32];
    uint32_t uid;
    uint8_t local;
};

static struct book *book_of(struct ninep_server *s)
{
    return s->cfg.holders;
}

/* The next record that no session of this server has. */
static struct ninep__holder *next_absent(struct ninep_server *s, uint64_t *cursor)
{
    struct ninep__holder *h;
    while ((h = book_next(book_of(s), cursor)) && cg_map_get(&s->sessions, h->id)) {
    }
    return h;
}

static void let_go(struct ninep_server *s)
{
    CG_LIST_EACH (it, &s->grace_waiting) {
        ninep__ready(CG_CONTAINER(it, struct ninep__target, link)->req);
    }
}

/* Forgets holders whose term is over, and when to look again. */
static void look(struct ninep_server *s)
{
    uint64_t now = ninep__now(s), next = UINT64_MAX, cursor = 0;
    struct ninep__holder *h;
    s->absent = 0;
    while ((h = next_absent(s, &cursor))) {
        uint64_t due = h->heard_ns + s->cfg.lease_ms * NINEP__MS;
        if (due <= now || h->heard_ns > now) { /* or of another boot of the machine */
            book_drop(book_of(s), h);
        } else {
            s->absent++;
            next = due < next ? due : next;
        }
    }
    book_commit(book_of(s));
    if (s->absent) {
        ninep__timer_start(s, &s->grace_timer, next);
    } else {
        let_go(s);
    }
}

static void fire(struct ninep_server *s, struct ninep__timer *t)
{
    (void)t;
    look(s);
    ninep__pump(s);
}

void ninep__grace_begin(struct ninep_server *s)
{
    cg_list_init(&s->grace_waiting);
    s->grace_timer.fire = fire;
    if (book_of(s)) {
        look(s);
    }
    if (s->absent) {
        cg_log(CG_INFO, "%s: changes wait for %u who held leases before", s->name, s->absent);
    }
}

bool ninep__grace_waits(struct ninep__req *req)
{
    struct ninep_server *s = req->session->server;
    if (s->absent == 0 || req->targets == 0) {
        return false;
    }
    cg_list_push(&s->grace_waiting, &req->target[0].link);
    return true;
}

void ninep__grace_returned(struct ninep_session *ss)
{
    struct ninep_server *s = ss->server;
    uint64_t cursor = 0;
    struct ninep__holder *h;
    while (s->absent && (h = next_absent(s, &cursor))) {
        bool same = h->local == ss->peer.local &&
                    (h->local ? h->uid == ss->peer.uid
                              : memcmp(h->node_key, ss->peer.node_key, sizeof h->node_key) == 0);
        if (same && memcmp(h->id, ss->old_id, sizeof h->id) == 0) {
            book_drop(book_of(s), h);
            look(s);
            return;
        }
    }
}

bool ninep__holder_on(struct ninep_session *ss)
{
    struct book *b = book_of(ss->server);
    if (!b || ss->holder) {
        return true;
    }
    struct ninep__holder *h = book_add(b, KIND_HOLDER, 0, 0, sizeof *h);
    if (!h) {
        return false;
    }
    h->heard_ns = ss->heard_ns;
    memcpy(h->id, ss->id, sizeof h->id);
    memcpy(h->node_key, ss->peer.node_key, sizeof h->node_key);
    h->uid = ss->peer.uid;
    h->local = ss->peer.local;
    book_commit(b);
    ss->holder = h;
    return true;
}

void ninep__holder_off(struct ninep_session *ss)
{
    if (ss->holder && !ss->server->stopping) {
        book_drop(book_of(ss->server), ss->holder);
        book_commit(book_of(ss->server));
    }
    ss->holder = NULL;
}

void ninep__heard(struct ninep_session *ss)
{
    ss->heard_ns = ninep__now(ss->server);
    if (ss->holder) {
        ss->holder->heard_ns = ss->heard_ns;
    }
}
