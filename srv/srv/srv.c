/* srv: the registry of posted services (README.md). An entry whose lease is over is dropped when
 * anybody next looks. Each post is a record of a book that init keeps, so what was posted outlives
 * this process; an entry that was made and not yet written does not. */
#include "post.h"

#include <cognu/book.h>
#include <cognu/keep.h>
#include <cognu/synth.h>

#include <string.h>
#include <sys/stat.h>

enum {
    ENTRIES_MAX = 1024,    /* services that a cell posts on one node */
    ENTRIES_MAX_EACH = 256 /* of one user, so that none fills the table */
};
enum { KIND_ROOT, KIND_QUERY, KIND_ENTRY, KINDS };
enum {
    BOOK_VERSION = 1,
    RECORD_POST = 1, /* a: id, b: principal; struct saved_post, the name, the line */
};
#define BOOK_BYTES (UINT64_C(16) << 20) /* all entries with the longest lines, four times over */

struct saved_post {
    uint64_t until_ms;
    uint32_t name_bytes, line_bytes;
};

struct entry {
    struct cg_list link;
    uint64_t id, principal, until_ms; /* until_ms 0: no lease */
    char *name;
    struct post post;
    bool posted; /* post is set; before that its maker alone knows the entry */
    void *saved; /* its record, when posted */
};

static struct book *book;

static struct cg_list entries; /* in the order of their making: ids grow */
static uint64_t last_id;
static uint32_t entry_count;

static void free_entry(struct entry *n)
{
    if (n->saved) {
        book_drop(book, n->saved);
        book_commit(book);
    }
    cg_list_del(&n->link);
    cg_free(n->name);
    cg_free(n);
    entry_count--;
}

/* The record of a post that n is about to have. */
static cg_err save(struct entry *n, const struct post *post, uint64_t until_ms,
                   struct cg_errbuf *eb)
{
    struct cg_str line = {0};
    size_t name = strlen(n->name);
    cg_err e = post_print(post, &line);
    if (e) {
        cg_str_fini(&line);
        return e;
    }
    struct saved_post *s =
        book_add(book, RECORD_POST, n->id, n->principal, (uint32_t)(sizeof *s + name + line.len));
    if (!s) {
        cg_str_fini(&line);
        return cg_fail(eb, CG_ENOMEM, "no memory to keep the post in");
    }
    *s = (struct saved_post){until_ms, (uint32_t)name, (uint32_t)line.len};
    memcpy(s + 1, n->name, name);
    memcpy((uint8_t *)(s + 1) + name, line.data, line.len);
    if (n->saved) {
        book_drop(book, n->saved);
    }
    n->saved = s;
    book_commit(book);
    cg_str_fini(&line);
    return CG_OK;
}

static void drop_expired(void)
{
    uint64_t now = cg_now_ms(&cg_env_real);
    CG_LIST_EACH (it, &entries) {
        struct entry *n = CG_CONTAINER(it, struct entry, link);
        if (n->until_ms && n->until_ms <= now) {
            cg_log(CG_INFO, "%s was not posted again in time", n->name);
            free_entry(n);
        }
    }
}

/* The first entry after number id. */
static struct entry *entry_after(uint64_t id)
{
    CG_LIST_EACH (it, &entries) {
        struct entry *n = CG_CONTAINER(it, struct entry, link);
        if (n->id > id) {
            return n;
        }
    }
    return NULL;
}

static struct entry *by_id(uint64_t id)
{
    drop_expired();
    struct entry *n = entry_after(id - 1);
    return n && n->id == id ? n : NULL;
}

static struct entry *by_name(const char *name)
{
    drop_expired();
    CG_LIST_EACH (it, &entries) {
        struct entry *n = CG_CONTAINER(it, struct entry, link);
        if (strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

static bool each_entry(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                       uint64_t *id)
{
    (void)s;
    (void)dir;
    drop_expired();
    struct entry *n = entry_after(*cursor);
    while (n && !n->posted) {
        n = entry_after(n->id);
    }
    if (!n) {
        return false;
    }
    *cursor = *id = n->id;
    return cg_span_str(cg_span_of(n->name), name, SYNTH_NAME_BYTES);
}

static cg_err find_entry(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    struct entry *n = by_name(name);
    *id = n ? n->id : 0;
    return n ? CG_OK : CG_ENOENT;
}

static uint32_t count_of(uint64_t principal)
{
    uint32_t count = 0;
    CG_LIST_EACH (it, &entries) {
        count += CG_CONTAINER(it, struct entry, link)->principal == principal;
    }
    return count;
}

static struct entry *add_entry(struct cg_span name, uint64_t id, uint64_t principal)
{
    struct entry *n = cg_zalloc(sizeof *n);
    char *copy = n ? cg_strndup((const char *)name.data, name.len) : NULL;
    if (!copy) {
        cg_free(n);
        return NULL;
    }
    n->id = id;
    n->principal = principal;
    n->name = copy;
    cg_list_push(&entries, &n->link);
    entry_count++;
    return n;
}

static cg_err create_entry(struct synth_handle *dir, const char *name, uint32_t mode,
                           uint16_t *kind, uint64_t *id, struct cg_errbuf *eb)
{
    uint64_t who = dir->fid->principal;
    if (!S_ISREG(mode) || !post_name_ok(name)) {
        return cg_fail(eb, CG_EINVAL,
                       "a service is a plain file; its name has letters, digits and "
                       "._-@, at most 63");
    }
    if (entry_count == ENTRIES_MAX || count_of(who) == ENTRIES_MAX_EACH) {
        return cg_fail(eb, CG_ELIMIT, "at most %d services, %d of one user", ENTRIES_MAX,
                       ENTRIES_MAX_EACH);
    }
    struct entry *n = add_entry(cg_span_of(name), ++last_id, who);
    if (!n) {
        return CG_ENOMEM;
    }
    *kind = KIND_ENTRY;
    *id = n->id;
    return CG_OK;
}

static cg_err remove_entry(struct synth_handle *dir, const char *name, struct cg_errbuf *eb)
{
    struct entry *n = by_name(name);
    if (!n) {
        return cg_fail(eb, CG_ENOENT, "no service '%s' is posted", name);
    }
    if (n->principal != dir->fid->principal && !synth_is_host(dir->fid)) {
        return cg_fail(eb, CG_EACCES, "another user posted '%s'", name);
    }
    free_entry(n);
    return CG_OK;
}

static cg_err write_entry(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    static struct post post;
    struct entry *n = by_id(h->id);
    cg_err e = n ? post_parse(data, &post, eb) : cg_fail(eb, CG_ESTALE, "the service is gone");
    if (e) {
        return e;
    }
    uint64_t until_ms = post.lease_s ? cg_now_ms(&cg_env_real) + post.lease_s * 1000ull : 0;
    e = save(n, &post, until_ms, eb);
    if (e) {
        return e;
    }
    e = post_parse(data, &n->post, eb); /* its pointers go into itself */
    cg_assert(!e);
    n->posted = true;
    n->until_ms = until_ms;
    return CG_OK;
}

static cg_err text_of_entry(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    struct entry *n = by_id(h->id);
    if (!n) {
        return cg_fail(eb, CG_ESTALE, "the service is gone");
    }
    return n->posted ? post_print(&n->post, out) : CG_OK;
}

/* A post that was never made goes with the handle of who began it. */
static void close_entry(struct synth_handle *h)
{
    struct entry *n = by_id(h->id);
    if (n && !n->posted) {
        free_entry(n);
    }
}

static uint64_t owner_of_entry(struct synth_handle *h)
{
    struct entry *n = by_id(h->id);
    return n ? n->principal : h->fid->principal;
}

/* ---- query: a handle holds its last one ---- */

static cg_err write_query(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    static struct post query;
    cg_err e = post_parse_query(data, &query, eb);
    struct post *copy = e ? NULL : cg_zalloc(sizeof *copy);
    if (!copy) {
        return e ? e : CG_ENOMEM;
    }
    e = post_parse_query(data, copy, eb);
    cg_assert(!e);
    cg_free(h->aux);
    h->aux = copy;
    return CG_OK;
}

static cg_err text_of_query(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)eb;
    cg_err e = CG_OK;
    drop_expired();
    CG_LIST_EACH (it, &entries) {
        struct entry *n = CG_CONTAINER(it, struct entry, link);
        if (n->posted && (!h->aux || post_matches(&n->post, n->name, h->aux))) {
            e = e ? e : cg_str_addf(out, "%s ", n->name);
            e = e ? e : post_print(&n->post, out);
        }
    }
    return e;
}

static void close_query(struct synth_handle *h)
{
    cg_free(h->aux);
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0777, .create = create_entry, .remove = remove_entry},
    [KIND_QUERY] = {.name = "query",
                    .mode = S_IFREG | 0666,
                    .line = write_query,
                    .text = text_of_query,
                    .close = close_query},
    [KIND_ENTRY] = {.mode = S_IFREG | 0644,
                    .each = each_entry,
                    .find = find_entry,
                    .owner = owner_of_entry,
                    .line = write_entry,
                    .text = text_of_entry,
                    .close = close_entry},
};

/* ---- what a predecessor left ---- */

static cg_err adopt_post(void *record, struct cg_errbuf *eb)
{
    const struct book_head *h = book_head(book, record);
    const struct saved_post *s = record;
    bool ok = h->kind == RECORD_POST && h->len >= sizeof *s && h->a > 0 &&
              (uint64_t)s->name_bytes + s->line_bytes == h->len - sizeof *s;
    struct cg_span name = {(const uint8_t *)(s + 1), ok ? s->name_bytes : 0};
    struct cg_span line = {name.data + name.len, ok ? s->line_bytes : 0};
    struct entry *n = ok && cg_name_ok(name) ? add_entry(name, h->a, h->b) : NULL;
    if (!n || post_parse(line, &n->post, eb)) {
        return cg_fail(eb, CG_EBADFORMAT, "post %llu is damaged", (unsigned long long)h->a);
    }
    n->saved = record;
    n->posted = true;
    n->until_ms = s->until_ms;
    last_id = h->a > last_id ? h->a : last_id;
    return CG_OK;
}

/* The list is in the order of the ids, the book in none. */
static void sort_entries(void)
{
    struct cg_list all = entries;
    if (cg_list_empty(&entries)) {
        return;
    }
    all.next->prev = all.prev->next = &all;
    cg_list_init(&entries);
    while (!cg_list_empty(&all)) {
        struct entry *least = NULL;
        CG_LIST_EACH (it, &all) {
            struct entry *n = CG_CONTAINER(it, struct entry, link);
            least = !least || n->id < least->id ? n : least;
        }
        cg_list_del(&least->link);
        cg_list_push(&entries, &least->link);
    }
}

static cg_err adopt(struct keep *k, struct cg_errbuf *eb)
{
    const struct book_config c = {.kind = "srv", .version = BOOK_VERSION, .bytes = BOOK_BYTES};
    uint64_t cursor = 0;
    void *record;
    cg_err e = keep_book(k, "posts", &c, false, &book, eb);
    while (!e && (record = book_next(book, &cursor))) {
        e = adopt_post(record, eb);
    }
    if (e == CG_EBADFORMAT) {
        CG_LIST_EACH (it, &entries) {
            struct entry *n = CG_CONTAINER(it, struct entry, link);
            n->saved = NULL;
            free_entry(n);
        }
        book_free(book);
        e = keep_book(k, "posts", &c, true, &book, eb);
    }
    sort_entries();
    return e;
}

int main(int argc, char **argv)
{
    struct cg_errbuf eb = {0};
    cg_log_init("srv");
    cg_list_init(&entries);
    struct keep *k = keep_from_args(&argc, argv);
    cg_err e = adopt(k, &eb);
    if (e) {
        cg_log(CG_ERROR_LEVEL, "cannot start: %s", eb.text[0] ? eb.text : cg_err_meaning(e));
        return 1;
    }
    int status = synth_serve_main(argc, argv, "srv", kinds, KINDS);
    keep_free(k);
    return status;
}
