/* chan: files that programs serve (README.md).
 *
 * A request on such a file waits in its channel until the program has taken it as a message and
 * answered it by its number. A long write is given to the program piece by piece and answered with
 * the last. The program's open clone owns the channel.
 */
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    CHANS_MAX = 256,     /* files that programs of one node serve at once */
    CHANS_MAX_EACH = 64, /* of one user, so that none fills the table */
    WAITING_MAX = 256,   /* requests on one file that are not answered */
    NOTICES_MAX = 1024,  /* of opens and closes that the program has not read; then they are lost */
    PIECE_BYTES_MAX = 65536, /* of a write in one message */
    HEAD_BYTES = 128,        /* of a message before its bytes */
    NAME_BYTES = 64,
};
enum { KIND_ROOT, KIND_CLONE, KIND_OWN, KIND_PUBLIC, KINDS };

struct chan {
    struct cg_list link;
    uint64_t id, principal;
    char name[NAME_BYTES]; /* "": not served yet */
    bool public;
    struct cg_list waiting; /* struct ask, in the order of their coming */
    uint32_t count;
    struct cg_list notices;
    uint32_t notice_count;
    struct ninep_req *reader; /* the program waits for a message */
};

/* A request on the file. */
struct ask {
    struct cg_list link;
    struct chan *chan;
    struct ninep_req *r;
    uint64_t id, fid;
    bool taken;   /* the program has the message */
    uint32_t at;  /* of a write: how much of it is answered */
    uint32_t len; /* of the piece that the program has */
};

struct notice {
    struct cg_list link;
    char text[48];
};

static struct cg_list chans; /* in the order of their making: ids grow */
static uint64_t last_id, last_ask, last_fid;
static uint32_t chan_count;

static struct chan *after(uint64_t id)
{
    CG_LIST_EACH (it, &chans) {
        struct chan *c = CG_CONTAINER(it, struct chan, link);
        if (c->id > id) {
            return c;
        }
    }
    return NULL;
}

static struct chan *by_id(uint64_t id)
{
    struct chan *c = after(id - 1);
    return c && c->id == id && c->name[0] ? c : NULL;
}

static struct chan *by_name(const char *name)
{
    CG_LIST_EACH (it, &chans) {
        struct chan *c = CG_CONTAINER(it, struct chan, link);
        if (c->name[0] && strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

/* ---- names in the root: each kind gives its own ---- */

static bool each(uint64_t *cursor, char name[SYNTH_NAME_BYTES], uint64_t *id, bool public)
{
    for (struct chan *c = after(*cursor); c; c = after(c->id)) {
        if (c->name[0] && c->public == public) {
            *cursor = *id = c->id;
            return cg_span_str(cg_span_of(c->name), name, SYNTH_NAME_BYTES);
        }
    }
    return false;
}

static cg_err find(const char *name, uint64_t *id, bool public)
{
    struct chan *c = by_name(name);
    *id = c ? c->id : 0;
    return c && c->public == public ? CG_OK : CG_ENOENT;
}

static bool each_own(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                     uint64_t *id)
{
    (void)s;
    (void)dir;
    return each(cursor, name, id, false);
}

static bool each_public(struct synth *s, uint64_t dir, uint64_t *cursor,
                        char name[SYNTH_NAME_BYTES], uint64_t *id)
{
    (void)s;
    (void)dir;
    return each(cursor, name, id, true);
}

static cg_err find_own(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    return find(name, id, false);
}

static cg_err find_public(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    return find(name, id, true);
}

static uint64_t owner(struct synth_handle *h)
{
    struct chan *c = by_id(h->id);
    return c ? c->principal : h->fid->principal;
}

/* ---- messages to the program ---- */

static cg_err put(struct ninep_req *r, const char *head, const void *data, uint32_t len)
{
    size_t n = strlen(head);
    if (n + len > r->data_cap || n + len > r->t.read.count) {
        return cg_fail(&r->eb, CG_EMSGSIZE, "the message has %zu bytes: read with more room",
                       n + len);
    }
    memcpy(r->data, head, n);
    if (len > 0) {
        memcpy(r->data + n, data, len);
    }
    r->r.read.data.len = (uint32_t)(n + len);
    return CG_OK;
}

static cg_err put_ask(struct ninep_req *r, struct ask *a)
{
    char head[HEAD_BYTES];
    const struct ninep_req *q = a->r;
    if (q->type == NINEP_TREAD) {
        snprintf(head, sizeof head, "read %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", a->id, a->fid,
                 q->t.read.offset, q->t.read.count);
        return put(r, head, NULL, 0);
    }
    uint32_t left = q->t.write.data.len - a->at;
    a->len = left < PIECE_BYTES_MAX ? left : PIECE_BYTES_MAX;
    snprintf(head, sizeof head, "write %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", a->id, a->fid,
             q->t.write.offset + a->at, a->len);
    return put(r, head, q->t.write.data.data + a->at, a->len);
}

static struct ask *next_ask(struct chan *c)
{
    CG_LIST_EACH (it, &c->waiting) {
        struct ask *a = CG_CONTAINER(it, struct ask, link);
        if (!a->taken) {
            return a;
        }
    }
    return NULL;
}

/* Gives the program that waits its next message, if there is one. Notices go first: an open comes
 * before what is asked by it. */
static void tell(struct chan *c)
{
    struct ninep_req *r = c->reader;
    struct ask *a = next_ask(c);
    cg_err e;
    if (!r || (cg_list_empty(&c->notices) && !a)) {
        return;
    }
    if (!cg_list_empty(&c->notices)) {
        struct notice *n = CG_CONTAINER(c->notices.next, struct notice, link);
        e = put(r, n->text, NULL, 0);
        if (!e) {
            cg_list_del(&n->link);
            c->notice_count--;
            cg_free(n);
        }
    } else {
        e = put_ask(r, a);
        a->taken = !e;
    }
    c->reader = NULL;
    ninep_respond(r, e);
}

static void note(struct chan *c, const char *verb, uint64_t fid)
{
    struct notice *n = c->notice_count < NOTICES_MAX ? cg_zalloc(sizeof *n) : NULL;
    if (n) {
        snprintf(n->text, sizeof n->text, "%s %" PRIu64 "\n", verb, fid);
        cg_list_push(&c->notices, &n->link);
        c->notice_count++;
        tell(c);
    }
}

/* ---- the file ---- */

static cg_err open_file(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    struct chan *c = by_id(h->id);
    (void)flags;
    if (!c) {
        return cg_fail(eb, CG_ESTALE, "the program that served this file has ended");
    }
    h->aux = (void *)(uintptr_t)++last_fid;
    note(c, "open", last_fid);
    return CG_OK;
}

static void close_file(struct synth_handle *h)
{
    struct chan *c = by_id(h->id);
    if (c && h->aux) {
        note(c, "close", (uint64_t)(uintptr_t)h->aux);
    }
}

static void ask_end(struct ask *a, cg_err e)
{
    struct ninep_req *r = a->r;
    cg_list_del(&a->link);
    a->chan->count--;
    cg_free(a);
    r->aux = NULL;
    if (!e && r->type == NINEP_TWRITE) {
        synth_wrote(r);
    } else {
        ninep_respond(r, e);
    }
}

static void request(struct synth_handle *h, struct ninep_req *r)
{
    struct chan *c = by_id(h->id);
    if (!c) {
        ninep_respond(r, cg_fail(&r->eb, CG_ESTALE, "the program that served this file has ended"));
        return;
    }
    struct ask *a = c->count < WAITING_MAX ? cg_zalloc(sizeof *a) : NULL;
    if (!a) {
        ninep_respond(
            r, cg_fail(&r->eb, CG_ELIMIT, "%d requests wait for the program already", WAITING_MAX));
        return;
    }
    *a = (struct ask){.chan = c, .r = r, .id = ++last_ask, .fid = (uint64_t)(uintptr_t)h->aux};
    cg_list_push(&c->waiting, &a->link);
    c->count++;
    r->aux = a;
    tell(c);
}

/* The program's answer, when it comes, is to nothing then. */
static void cancel_file(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    if (r->aux) {
        ask_end(r->aux, CG_ECANCELED);
    }
}

/* ---- the program's side ---- */

static cg_err open_clone(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    uint32_t own = 0;
    (void)flags;
    CG_LIST_EACH (it, &chans) {
        own += CG_CONTAINER(it, struct chan, link)->principal == h->fid->principal;
    }
    struct chan *c = chan_count < CHANS_MAX && own < CHANS_MAX_EACH ? cg_zalloc(sizeof *c) : NULL;
    if (!c) {
        return cg_fail(eb, CG_ELIMIT, "at most %d files are served here, %d of one user", CHANS_MAX,
                       CHANS_MAX_EACH);
    }
    c->id = ++last_id;
    c->principal = h->fid->principal;
    cg_list_init(&c->waiting);
    cg_list_init(&c->notices);
    cg_list_push(&chans, &c->link);
    chan_count++;
    h->aux = c;
    return CG_OK;
}

static void close_clone(struct synth_handle *h)
{
    struct chan *c = h->aux;
    if (!c) {
        return;
    }
    h->aux = NULL;
    cg_list_del(&c->link); /* first: nobody finds it while its requests are answered */
    chan_count--;
    while (!cg_list_empty(&c->waiting)) {
        struct ask *a = CG_CONTAINER(c->waiting.next, struct ask, link);
        cg_fail(&a->r->eb, CG_EIO, "the program that served this file has ended");
        ask_end(a, CG_EIO);
    }
    CG_LIST_EACH (it, &c->notices) {
        cg_free(CG_CONTAINER(it, struct notice, link));
    }
    if (c->reader) {
        ninep_respond(c->reader, CG_ECANCELED);
    }
    cg_free(c);
}

static cg_err serve(struct chan *c, char **word, int words, struct cg_errbuf *eb)
{
    bool public = words == 3 && strcmp(word[2], "public") == 0;
    if (words < 2 || words > 3 || (words == 3 && !public)) {
        return cg_fail(eb, CG_EINVAL, "serve NAME, or serve NAME public");
    }
    if (c->name[0]) {
        return cg_fail(eb, CG_EBUSY, "this one serves '%s' already; open another", c->name);
    }
    if (!cg_name_ok(cg_span_of(word[1])) || strlen(word[1]) >= NAME_BYTES ||
        strcmp(word[1], "clone") == 0) {
        return cg_fail(eb, CG_EINVAL, "'%.64s' is no name: one element, at most %d bytes", word[1],
                       NAME_BYTES - 1);
    }
    if (by_name(word[1])) {
        return cg_fail(eb, CG_EEXIST, "another program serves '%s'", word[1]);
    }
    c->public = public;
    memcpy(c->name, word[1], strlen(word[1]) + 1);
    return CG_OK;
}

static struct ask *ask_of(struct chan *c, const char *id, struct cg_errbuf *eb)
{
    char *end;
    uint64_t n = strtoull(id, &end, 10);
    CG_LIST_EACH (it, &c->waiting) {
        struct ask *a = CG_CONTAINER(it, struct ask, link);
        if (a->id == n && a->taken && *end == '\0') {
            return a;
        }
    }
    cg_fail(eb, CG_ENOENT, "request %.20s waits for no answer; it may have been cancelled", id);
    return NULL;
}

static cg_err answer_data(struct ask *a, struct cg_span data, struct cg_errbuf *eb)
{
    struct ninep_req *r = a->r;
    if (r->type != NINEP_TREAD || data.len > r->data_cap || data.len > r->t.read.count) {
        return cg_fail(eb, CG_EINVAL, "data answers a read, with no more bytes than it asked for");
    }
    if (data.len > 0) {
        memcpy(r->data, data.data, data.len);
    }
    r->r.read.data.len = data.len;
    r->r.read.eof = data.len == 0;
    ask_end(a, CG_OK);
    return CG_OK;
}

static cg_err answer_ok(struct ask *a, struct cg_errbuf *eb)
{
    if (a->r->type != NINEP_TWRITE) {
        return cg_fail(eb, CG_EINVAL, "ok answers a write; a read is answered by data");
    }
    a->at += a->len;
    if (a->at < a->r->t.write.data.len) { /* the next piece */
        a->taken = false;
        tell(a->chan);
    } else {
        ask_end(a, CG_OK);
    }
    return CG_OK;
}

/* One message: a line, and what follows it. */
static cg_err line_of_clone(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    enum { WORDS = 4 };
    struct chan *c = h->aux;
    char line[512], *word[WORDS], *text;
    const uint8_t *nl = memchr(data.data, '\n', data.len);
    struct cg_span head = {data.data, nl ? (uint32_t)(nl - data.data) : data.len};
    struct cg_span rest = {nl ? nl + 1 : NULL, nl ? data.len - head.len - 1 : 0};
    if (!cg_span_str(head, line, sizeof line)) {
        return cg_fail(eb, CG_EBADFORMAT, "the first line of a message has at most 511 bytes");
    }
    if (strncmp(line, "error ", 6) == 0) { /* its text is as it is */
        struct ask *a;
        text = line + 6 + strcspn(line + 6, " ");
        text += *text == ' ' ? (*text = '\0', 1) : 0;
        a = ask_of(c, line + 6, eb);
        if (!a) {
            return CG_ENOENT;
        }
        cg_fail(&a->r->eb, CG_EIO, "%s",
                *text ? text : "the program that serves this file refuses");
        ask_end(a, CG_EIO);
        return CG_OK;
    }
    int words = cg_tokenize(line, word, WORDS);
    if (words >= 1 && strcmp(word[0], "serve") == 0) {
        return serve(c, word, words, eb);
    }
    bool is_data = words == 2 && strcmp(word[0], "data") == 0;
    if (!is_data && !(words == 2 && strcmp(word[0], "ok") == 0)) {
        return cg_fail(eb, CG_EBADFORMAT,
                       "a message is: serve NAME, data ID, ok ID, error ID TEXT");
    }
    struct ask *a = ask_of(c, word[1], eb);
    return !a ? CG_ENOENT : is_data ? answer_data(a, rest, eb) : answer_ok(a, eb);
}

static void read_clone(struct synth_handle *h, struct ninep_req *r)
{
    struct chan *c = h->aux;
    if (c->reader) {
        ninep_respond(r, cg_fail(&r->eb, CG_EBUSY, "another read waits for the next message"));
        return;
    }
    c->reader = r;
    tell(c);
}

static void cancel_clone(struct synth_handle *h, struct ninep_req *r)
{
    struct chan *c = h->aux;
    if (c && c->reader == r) {
        c->reader = NULL;
        ninep_respond(r, CG_ECANCELED);
    }
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_CLONE] = {.name = "clone",
                    .mode = S_IFREG | 0600,
                    .qtype = NINEP_QTYPE_STREAM,
                    .open = open_clone,
                    .close = close_clone,
                    .read = read_clone,
                    .line = line_of_clone,
                    .cancel = cancel_clone},
    [KIND_OWN] = {.mode = S_IFREG | 0600,
                  .owner = owner,
                  .each = each_own,
                  .find = find_own,
                  .open = open_file,
                  .close = close_file,
                  .read = request,
                  .write = request,
                  .cancel = cancel_file},
    [KIND_PUBLIC] = {.mode = S_IFREG | 0666,
                     .owner = owner,
                     .each = each_public,
                     .find = find_public,
                     .open = open_file,
                     .close = close_file,
                     .read = request,
                     .write = request,
                     .cancel = cancel_file},
};

int main(int argc, char **argv)
{
    cg_log_init("chan");
    cg_list_init(&chans);
    return synth_serve_main(argc, argv, "chan", kinds, KINDS);
}
