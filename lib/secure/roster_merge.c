/* roster_merge: two copies that were changed apart become one, the same on both sides.
 *
 * Gone keys and revocations only ever grow, members are what either knows less what is gone; of two
 * entries for one key that differ, the one of the higher serial counts, at equal serials the
 * bytewise greater. Should two keys have taken one name apart, the smaller key keeps it and the
 * other's name gets "-" and the first 8 digits of its key; a key that is a node's is no user's. So
 * no removal and no admission is ever lost, whatever the order in which copies meet.
 */
#include "roster_impl.h"

#include <stdio.h>
#include <string.h>

static bool same_table(const void *a, uint32_t a_count, const void *b, uint32_t b_count,
                       size_t stride)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * stride) == 0);
}

bool secure_roster_same(const struct secure_roster *a, const struct secure_roster *b)
{
    return memcmp(a->cell, b->cell, 16) == 0 &&
           same_table(a->node, a->nodes, b->node, b->nodes, sizeof(*a->node)) &&
           same_table(a->user, a->users, b->user, b->users, sizeof(*a->user)) &&
           same_table(a->gone, a->gones, b->gone, b->gones, 32) &&
           same_table(a->revoked, a->revokeds, b->revoked, b->revokeds, sizeof(*a->revoked));
}

static bool copy_table(void **out, const void *from, uint32_t count, size_t stride)
{
    *out = NULL;
    if (count > 0) {
        *out = cg_alloc(count * stride);
        if (*out == NULL) {
            return false;
        }
        memcpy(*out, from, count * stride);
    }
    return true;
}

cg_err secure_roster_copy(const struct secure_roster *r, struct secure_roster *out)
{
    struct secure_roster c = *r;

    c.node = c.user = NULL;
    c.gone = NULL;
    c.revoked = NULL;
    if (!copy_table((void **)&c.node, r->node, r->nodes, sizeof(*r->node)) ||
        !copy_table((void **)&c.user, r->user, r->users, sizeof(*r->user)) ||
        !copy_table((void **)&c.gone, r->gone, r->gones, 32) ||
        !copy_table((void **)&c.revoked, r->revoked, r->revokeds, sizeof(*r->revoked))) {
        secure_roster_fini(&c);
        return CG_ENOMEM;
    }
    *out = c;
    return CG_OK;
}

/* Does b replace a, where both stand for one key? */
static bool replaces(const struct secure_member *b, uint64_t b_serial,
                     const struct secure_member *a, uint64_t a_serial)
{
    int order = strcmp(b->name, a->name);

    if (b_serial != a_serial) {
        return b_serial > a_serial;
    }
    return order != 0 ? order > 0 : strcmp(b->address, a->address) > 0;
}

static void rename_apart(struct secure_member *m)
{
    char hex[9], name[sizeof(m->name)] = {0};

    secure_hex(m->key, 4, hex);
    snprintf(name, sizeof(name), "%.54s-%s", m->name, hex);
    memcpy(m->name, name, sizeof(name));
}

static cg_err merge_member(struct secure_roster *out, bool node, const struct secure_member *m,
                           uint64_t serial, uint64_t out_serial, struct cg_errbuf *eb)
{
    const struct secure_member *table = node ? out->node : out->user;
    const struct secure_member *old =
        node ? secure_roster_node_by_key(out, m->key) : secure_roster_user_by_key(out, m->key);
    struct secure_member new = *m;

    if (secure_roster_gone(out, m->key) || (old != NULL && !replaces(m, serial, old, out_serial)) ||
        (!node && secure_roster_node_by_key(out, m->key) != NULL)) {
        return CG_OK;
    }
    if (node) {
        secure__roster_drop_user(out, m->key);
    }
    const struct secure_member *taken =
        secure__roster_by_name(table, node ? out->nodes : out->users, m->name);
    if (taken != NULL && memcmp(taken->key, m->key, 32) != 0) {
        if (memcmp(taken->key, m->key, 32) < 0) {
            rename_apart(&new);
        } else {
            struct secure_member other = *taken;
            rename_apart(&other);
            cg_err e = node ? secure_roster_add_node(out, &other, eb)
                            : secure_roster_add_user(out, &other, eb);
            if (e != CG_OK) {
                return e;
            }
        }
    }
    return node ? secure_roster_add_node(out, &new, eb) : secure_roster_add_user(out, &new, eb);
}

static void drop_expired(struct secure_roster *r, uint64_t now_s)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < r->revokeds; i++) {
        if (r->revoked[i].expires_s + 2 * SECURE_SKEW_SECONDS >= now_s) {
            r->revoked[kept++] = r->revoked[i];
        }
    }
    r->revokeds = kept;
}

static cg_err merge_into(struct secure_roster *out, const struct secure_roster *in,
                         struct cg_errbuf *eb)
{
    uint64_t out_serial = out->serial;
    cg_err e = CG_OK;

    for (uint32_t i = 0; i < in->gones && e == CG_OK; i++) {
        e = secure_roster_remove(out, in->gone[i], eb);
    }
    for (uint32_t i = 0; i < in->revokeds && e == CG_OK; i++) {
        e = secure_roster_revoke(out, in->revoked[i].id, in->revoked[i].expires_s, eb);
    }
    for (uint32_t i = 0; i < in->nodes && e == CG_OK; i++) {
        e = merge_member(out, true, &in->node[i], in->serial, out_serial, eb);
    }
    for (uint32_t i = 0; i < in->users && e == CG_OK; i++) {
        e = merge_member(out, false, &in->user[i], in->serial, out_serial, eb);
    }
    return e;
}

/* The serial of the copy that already says all, if it is the higher; else one above both. */
static uint64_t merged_serial(const struct secure_roster *out, const struct secure_roster *mine,
                              const struct secure_roster *theirs)
{
    bool is_mine = secure_roster_same(out, mine), is_theirs = secure_roster_same(out, theirs);

    if (is_mine && (is_theirs || mine->serial > theirs->serial)) {
        return mine->serial > theirs->serial ? mine->serial : theirs->serial;
    }
    if (is_theirs && theirs->serial > mine->serial) {
        return theirs->serial;
    }
    return (mine->serial > theirs->serial ? mine->serial : theirs->serial) + 1;
}

cg_err secure_roster_merge(const struct secure_roster *mine, const struct secure_roster *theirs,
                           uint64_t now_s, struct secure_roster *out, struct cg_errbuf *eb)
{
    memset(out, 0, sizeof(*out));
    if (memcmp(mine->cell, theirs->cell, 16) != 0) {
        return cg_fail(eb, CG_EAUTH, "the roster is of another cell");
    }
    cg_err e = secure_roster_copy(mine, out);
    if (e == CG_OK) {
        e = merge_into(out, theirs, eb);
    }
    if (e != CG_OK) {
        secure_roster_fini(out);
        return e;
    }
    drop_expired(out, now_s);
    out->serial = merged_serial(out, mine, theirs);
    return CG_OK;
}
