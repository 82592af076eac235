/* Fuzz target: any bytes as frames of the journal are refused, or make a tree that can be walked,
 * read, put into packs and found whole there. Each frame stands behind its length of two bytes; the
 * input's first byte says whether it is only applied, as a replay or as a change of a tree that
 * goes on, or taken up by an opening of the tree, with a commit.
 *
 * The base has the files d (16) with d/f (17), small (18), one and two (19, two names), link (20).
 */
#include "../../lib/active/active__.h"
#include "../store/tree_testkit.h"
#include "shadow_testkit.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOOK_BYTES = 64 << 10, LONG = 40000, WHOLE_OF = 8, DEEP = 200 };

static struct disk *base;

static struct active_node *make(struct active *t, struct active_node *dir, const char *name,
                                const struct active_make *m)
{
    struct active_node *n;
    cg_err e = active_create(t, dir, cg_span_of(name), m, false, &n, NULL);
    cg_assert(e == CG_OK);
    return n;
}

static void make_base(void)
{
    static uint8_t bytes[LONG];
    struct world w;
    uint32_t done;
    base = disk_new();
    world_init(base);
    cg_assert(world_open(&w, base) == CG_OK);
    struct active_node *root = active_root(w.t), *n[5];
    struct active_make dir = {.kind = STORE_DIR, .mode = 0755};
    struct active_make file = {.kind = STORE_FILE, .mode = 0644};
    struct active_make small = {.kind = STORE_FILE, .mode = 0600, .data = cg_span_of("small")};
    struct active_make link = {.kind = STORE_SYMLINK, .mode = 0777, .target = cg_span_of("d/f")};
    n[0] = make(w.t, root, "d", &dir);
    n[1] = make(w.t, n[0], "f", &file);
    n[2] = make(w.t, root, "small", &small);
    n[3] = make(w.t, root, "one", &file);
    n[4] = make(w.t, root, "link", &link);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * i >> 3);
    }
    struct cg_span all = {.data = bytes, .len = sizeof bytes};
    cg_assert(active_write(w.t, n[1], 0, all, UINT32_MAX, &done, NULL) == CG_OK);
    cg_assert(active_link(w.t, n[3], root, cg_span_of("two"), NULL) == CG_OK);
    for (size_t i = 0; i < CG_COUNT(n); i++) {
        active_put(w.t, n[i]);
    }
    cg_assert(active_commit(w.t, NULL, NULL) == CG_OK);
    world_close(&w);
}

/* ---- looking at a tree ---- */

static bool take_name(void *aux, struct cg_span name, const struct active_attr *a,
                      const struct store_entry *clean, struct active_node *n)
{
    (void)a;
    cg_assert(!clean != !n);
    uint8_t len = (uint8_t)name.len;
    return cg_str_add(aux, &len, 1) == CG_OK && cg_str_add(aux, name.data, name.len) == CG_OK;
}

static void look_at_file(struct active *t, struct active_node *n)
{
    static uint8_t buf[LOOK_BYTES];
    struct active_attr a;
    uint64_t at;
    size_t got;
    active_stat(n, &a);
    cg_assert(active_read(t, n, 0, buf, sizeof buf, &got, NULL) == CG_OK);
    cg_assert(got == (a.size < sizeof buf ? a.size : sizeof buf));
    uint64_t from = a.size > sizeof buf ? a.size - sizeof buf : 0;
    cg_assert(active_read(t, n, from, buf, sizeof buf, &got, NULL) == CG_OK);
    cg_err e = active_seek(t, n, 0, true, &at, NULL);
    cg_assert(e == CG_ENXIO || (e == CG_OK && at < a.size));
    e = active_seek(t, n, 0, false, &at, NULL);
    cg_assert(e == CG_ENXIO || (e == CG_OK && at <= a.size));
}

static void look_at(struct active *t, struct active_node *n, int depth)
{
    struct cg_str names = {0};
    struct active_attr a;
    bool end;
    active_stat(n, &a);
    cg_assert(a.mode <= 07777 && depth < DEEP * DEEP);
    if (a.kind == STORE_FILE) {
        look_at_file(t, n);
    } else if (a.kind == STORE_DIR) {
        struct cg_span first = {.data = (const uint8_t *)""};
        cg_assert(active_list(t, n, first, take_name, &names, &end, NULL) == CG_OK && end);
    }
    for (size_t i = 0; i < names.len; i += 1 + (uint8_t)names.data[i]) {
        struct active_node *child;
        struct cg_span name = {.data = (const uint8_t *)names.data + i + 1,
                               .len = (uint8_t)names.data[i]};
        cg_assert(active_lookup(t, n, name, &child, NULL) == CG_OK);
        cg_assert(!act_node_is_dir(child) || active_parent(child) == n);
        look_at(t, child, depth + 1);
        active_put(t, child);
    }
    cg_str_fini(&names);
}

/* ---- frames ---- */

static struct cg_span next_frame(struct cg_buf *in)
{
    uint32_t len = cg_get_u16(in);
    uint32_t left = in->bad ? 0 : (uint32_t)cg_buf_left(in);
    return cg_get_span(in, len < left ? len : left);
}

/* Into segments as a tree writes them; with t, each frame is applied too. */
static cg_err write_frames(struct store *s, uint64_t first, struct cg_buf *in, struct active *t)
{
    struct store_journal *j;
    size_t done;
    bool end = true;
    cg_err e = CG_OK;
    for (uint64_t number = first - 1; !e && cg_buf_left(in) > 1;) {
        struct cg_span frame = next_frame(in);
        if (frame.len == 0) {
            continue;
        }
        if (end) {
            cg_assert(store_journal_create(s, ++number, &j, NULL) == CG_OK);
            cg_assert(act_segment_add(t, number, j) == CG_OK);
            t->gen = number;
            end = false;
        }
        struct store_journal_frame f = {.head = frame};
        cg_assert(store_journal_append(j, &f, 1, &done, NULL) == CG_OK);
        e = act_apply(t, &f, &end);
    }
    return e;
}

static cg_err apply(struct disk *d, struct cg_buf *in, bool replay)
{
    struct store_io io = disk_io(d);
    struct active t = {.replay = replay};
    uint64_t first;
    cg_err e;
    act_tree_init(&t);
    t.s = kit_open(&io, &e);
    cg_assert(e == CG_OK && act_base_load(&t, &first, NULL) == CG_OK);
    e = write_frames(t.s, first, in, &t);
    cg_assert(e == CG_OK || e == CG_EBADFORMAT);
    if (!e && !replay) {        /* in a replay nothing may leave memory */
        t.failed = CG_EEXPIRED; /* what is let go is not logged */
        look_at(&t, t.root, 0);
    }
    struct store *s = t.s;
    act_tree_fini(&t);
    store_close(s);
    return e;
}

/* What was applied without a refusal is taken up, and the store is whole. */
static void take_up(struct disk *d, cg_err applied)
{
    struct world w;
    struct store_checked c;
    cg_err e = world_open(&w, d);
    cg_assert(e == applied);
    if (e) {
        return;
    }
    look_at(w.t, active_root(w.t), 0);
    cg_assert(active_commit(w.t, NULL, NULL) == CG_OK);
    world_close(&w);
    struct store *s = kit_open(&w.io, &e);
    cg_assert(e == CG_OK && store_check(s, true, NULL, NULL, NULL, &c, NULL) == CG_OK);
    store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!base) {
        make_base();
    }
    struct cg_buf in = cg_buf_reader(data, size);
    uint8_t how = cg_get_u8(&in);
    struct disk *d = disk_copy(base);
    cg_err e = apply(d, &in, how & 1);
    if (how / 2 % WHOLE_OF == 0) {
        take_up(d, e);
    }
    disk_free(d);
    return 0;
}
