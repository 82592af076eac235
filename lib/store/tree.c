/* Trees of nodes, gathered from the left: each level holds the items of the node being filled; a
 * full node is put, and its score becomes an item one level up. A node ends after an item that says
 * so by its own bytes, within bounds; so two versions of a directory or file share all nodes but
 * those around a change. */
#include "store__.h"

#include <string.h>

enum {
    LIST_ITEMS_MIN = 64,
    LIST_ITEMS_MAX = 1024,
    DIR_BYTES_MIN = 4 << 10,
    DIR_BYTES_MAX = 64 << 10,
    CHILD_ITEMS_MIN = 8,
    CHILD_CUT_MASK = 63, /* one child in 64 ends its parent */
};

void tree_init(struct tree *t, struct store_writer *w, enum node_type type)
{
    memset(t, 0, sizeof *t);
    t->w = w;
    t->type = type;
}

void tree_fini(struct tree *t)
{
    for (int i = 0; i < NODE_LEVELS_MAX; i++) {
        cg_str_fini(&t->level[i].items);
    }
    cg_str_fini(&t->node);
}

static void level_reset(struct tree_level *l)
{
    l->items.len = 0;
    l->count = 0;
    l->bytes = 0;
}

void tree_reset(struct tree *t)
{
    for (int i = 0; i < NODE_LEVELS_MAX; i++) {
        level_reset(&t->level[i]);
    }
}

static cg_err add_at(struct tree *t, int level, const void *item, size_t len, uint64_t bytes,
                     struct cg_span name, bool cut, struct cg_errbuf *eb);

static cg_err put_node(struct tree *t, int level, struct store_score *score, struct cg_errbuf *eb)
{
    struct tree_level *l = &t->level[level];
    uint8_t head[NODE_HEAD_BYTES];
    struct cg_buf b = cg_buf_writer(head, sizeof head);
    cg_put_u8(&b, (uint8_t)t->type);
    cg_put_u8(&b, (uint8_t)level);
    cg_put_u16(&b, (uint16_t)l->count);
    cg_put_u32(&b, 0);
    t->node.len = 0;
    cg_err e = cg_str_add(&t->node, head, sizeof head);
    e = e ? e : cg_str_add(&t->node, l->items.data, l->items.len);
    return e ? e : writer_put(t->w, STORE_NODE, t->node.data, t->node.len, score, eb);
}

/* Puts the node of a level and makes it an item of the one above. */
static cg_err close_level(struct tree *t, int level, struct cg_errbuf *eb)
{
    struct tree_level *l = &t->level[level];
    struct store_score score;
    uint8_t item[STORE_SCORE_BYTES + 1 + STORE_NAME_BYTES_MAX];
    cg_err e = put_node(t, level, &score, eb);
    if (e) {
        return e;
    }
    struct cg_buf b = cg_buf_writer(item, sizeof item);
    cg_put_bytes(&b, score.b, STORE_SCORE_BYTES);
    if (t->type == NODE_DIR) {
        cg_put_u8(&b, l->last_len);
        cg_put_bytes(&b, l->last, l->last_len);
    } else {
        cg_put_u64(&b, l->bytes);
    }
    struct cg_span name = {.data = l->last, .len = l->last_len};
    uint64_t bytes = l->bytes;
    bool cut = (score.b[STORE_SCORE_BYTES - 1] & CHILD_CUT_MASK) == 0;
    level_reset(l);
    return add_at(t, level + 1, item, b.pos, bytes, name, cut, eb);
}

static bool level_full(const struct tree *t, int level, bool cut)
{
    const struct tree_level *l = &t->level[level];
    if (level > 0) {
        return (cut && l->count >= CHILD_ITEMS_MIN) || l->count >= LIST_ITEMS_MAX ||
               l->items.len >= DIR_BYTES_MAX;
    }
    if (t->type == NODE_LIST) {
        return (cut && l->count >= LIST_ITEMS_MIN) || l->count >= LIST_ITEMS_MAX;
    }
    return (cut && l->items.len >= DIR_BYTES_MIN) || l->items.len >= DIR_BYTES_MAX;
}

static cg_err add_at(struct tree *t, int level, const void *item, size_t len, uint64_t bytes,
                     struct cg_span name, bool cut, struct cg_errbuf *eb)
{
    if (level == NODE_LEVELS_MAX) {
        return cg_fail(eb, CG_EFBIG, "more levels of nodes than the format has");
    }
    struct tree_level *l = &t->level[level];
    /* An entry with large attributes begins a node of its own. */
    if (l->count && NODE_HEAD_BYTES + l->items.len + len > STORE_NODE_BYTES_MAX) {
        cg_err e = close_level(t, level, eb);
        if (e) {
            return e;
        }
    }
    cg_err e = cg_str_add(&l->items, item, len);
    if (e) {
        return e;
    }
    l->count++;
    l->bytes += bytes;
    l->last_len = (uint8_t)name.len;
    if (name.len) {
        memmove(l->last, name.data, name.len);
    }
    return level_full(t, level, cut) ? close_level(t, level, eb) : CG_OK;
}

cg_err tree_add(struct tree *t, const void *item, size_t len, uint64_t bytes, struct cg_span name,
                bool cut, struct cg_errbuf *eb)
{
    return add_at(t, 0, item, len, bytes, name, cut, eb);
}

static int top_level(const struct tree *t)
{
    int top = 0;
    for (int i = 1; i < NODE_LEVELS_MAX; i++) {
        top = t->level[i].count ? i : top;
    }
    return top;
}

cg_err tree_end(struct tree *t, struct store_score *root, struct cg_errbuf *eb)
{
    for (int level = 0; level < NODE_LEVELS_MAX; level++) {
        struct tree_level *l = &t->level[level];
        if (level == top_level(t) && (level == 0 || l->count == 1)) {
            cg_err e = CG_OK;
            if (level == 0) {
                e = put_node(t, 0, root, eb);
            } else {
                memcpy(root->b, l->items.data, STORE_SCORE_BYTES);
            }
            tree_reset(t);
            return e;
        }
        cg_err e = l->count ? close_level(t, level, eb) : CG_OK;
        if (e) {
            return e;
        }
    }
    return cg_fail(eb, CG_EFBIG, "more levels of nodes than the format has");
}
