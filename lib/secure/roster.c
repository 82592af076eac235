/* roster: who is in the cell: look-ups and changes.
 *
 * Tables are kept in ascending order of their keys, which makes the text canonical and a merge one
 * pass. A name is unique among nodes and among users, a key in the whole roster; a key that is
 * gone is in no other table.
 */
#include "roster_impl.h"

#include <stdlib.h>
#include <string.h>

void secure_roster_fini(struct secure_roster *r)
{
    cg_free(r->node);
    cg_free(r->user);
    cg_free(r->gone);
    cg_free(r->revoked);
    memset(r, 0, sizeof(*r));
}

uint32_t secure__roster_lower(const void *table, uint32_t count, size_t stride, size_t offset,
                              const void *key, size_t key_len)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (memcmp((const char *)table + mid * stride + offset, key, key_len) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Makes room for one entry at index at: gives its place, or NULL. */
static void *insert(void **table, uint32_t *count, uint32_t max, size_t stride, uint32_t at,
                    struct cg_errbuf *eb)
{
    if (*count >= max) {
        cg_fail(eb, CG_ELIMIT, "the roster's table is full: %u entries", max);
        return NULL;
    }
    char *grown = cg_realloc(*table, (*count + 1) * stride);
    if (grown == NULL) {
        cg_fail(eb, CG_ENOMEM, "no memory for the roster");
        return NULL;
    }
    memmove(grown + (at + 1) * stride, grown + at * stride, (*count - at) * stride);
    memset(grown + at * stride, 0, stride);
    *table = grown;
    *count += 1;
    return grown + at * stride;
}

static struct secure_member *member_by_key(struct secure_member *table, uint32_t count,
                                           const uint8_t key[32])
{
    uint32_t at = secure__roster_lower(table, count, sizeof(*table),
                                       offsetof(struct secure_member, key), key, 32);

    return at < count && memcmp(table[at].key, key, 32) == 0 ? &table[at] : NULL;
}

const struct secure_member *secure__roster_by_name(const struct secure_member *table,
                                                   uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

const struct secure_member *secure_roster_node(const struct secure_roster *r,
                                               const char *name_or_keyhex)
{
    uint8_t key[32];

    if (strlen(name_or_keyhex) == 64 && secure_unhex(name_or_keyhex, key, 32)) {
        return secure_roster_node_by_key(r, key);
    }
    return secure__roster_by_name(r->node, r->nodes, name_or_keyhex);
}

const struct secure_member *secure_roster_node_by_key(const struct secure_roster *r,
                                                      const uint8_t key[32])
{
    return member_by_key(r->node, r->nodes, key);
}

const struct secure_member *secure_roster_user_by_key(const struct secure_roster *r,
                                                      const uint8_t key[32])
{
    return member_by_key(r->user, r->users, key);
}

bool secure_roster_gone(const struct secure_roster *r, const uint8_t key[32])
{
    uint32_t at = secure__roster_lower(r->gone, r->gones, 32, 0, key, 32);

    return at < r->gones && memcmp(r->gone[at], key, 32) == 0;
}

bool secure_roster_revoked(const struct secure_roster *r, const uint8_t id[16])
{
    uint32_t at = secure__roster_lower(r->revoked, r->revokeds, sizeof(*r->revoked), 0, id, 16);

    return at < r->revokeds && memcmp(r->revoked[at].id, id, 16) == 0;
}

static cg_err check_member(const struct secure_roster *r, const struct secure_member *m, bool node,
                           struct cg_errbuf *eb)
{
    const struct secure_member *table = node ? r->node : r->user;
    const struct secure_member *same =
        secure__roster_by_name(table, node ? r->nodes : r->users, m->name);

    if (!secure_name_ok(m->name) || (node && !secure__address_ok(m->address))) {
        return cg_fail(eb, CG_EBADFORMAT, "'%.64s' at '%.64s': a bad name or address", m->name,
                       m->address);
    }
    if (secure_roster_gone(r, m->key)) {
        return cg_fail(eb, CG_EREVOKED,
                       "the key of '%s' was removed from the cell for good: "
                       "make a new one",
                       m->name);
    }
    if (same != NULL && memcmp(same->key, m->key, 32) != 0) {
        return cg_fail(eb, CG_EEXIST, "the name '%s' stands for another key", m->name);
    }
    if (node ? secure_roster_user_by_key(r, m->key) != NULL
             : secure_roster_node_by_key(r, m->key) != NULL) {
        return cg_fail(eb, CG_EEXIST, "the key of '%s' is already another kind of member", m->name);
    }
    uint64_t principal = node ? 0 : secure_principal(m->key);
    for (uint32_t i = 0; !node && i < r->users; i++) {
        if (memcmp(r->user[i].key, m->key, 32) != 0 && r->user[i].principal == principal) {
            return cg_fail(eb, CG_EEXIST, "the short id of '%s' is taken", m->name);
        }
    }
    return CG_OK;
}

static cg_err add_member(struct secure_roster *r, const struct secure_member *m, bool node,
                         struct cg_errbuf *eb)
{
    struct secure_member **table = node ? &r->node : &r->user;
    uint32_t *count = node ? &r->nodes : &r->users;
    cg_err e = check_member(r, m, node, eb);
    if (e != CG_OK) {
        return e;
    }
    uint32_t at = secure__roster_lower(*table, *count, sizeof(*m),
                                       offsetof(struct secure_member, key), m->key, 32);
    struct secure_member *place = member_by_key(*table, *count, m->key);
    if (place == NULL) {
        place = insert((void **)table, count, node ? SECURE_NODES_MAX : SECURE_USERS_MAX,
                       sizeof(*m), at, eb);
    }
    if (place == NULL) {
        return CG_ELIMIT;
    }
    *place = *m;
    if (!node) {
        memset(place->address, 0, sizeof(place->address));
        place->principal = secure_principal(m->key);
    }
    return CG_OK;
}

cg_err secure_roster_add_node(struct secure_roster *r, const struct secure_member *m,
                              struct cg_errbuf *eb)
{
    return add_member(r, m, true, eb);
}

cg_err secure_roster_add_user(struct secure_roster *r, const struct secure_member *m,
                              struct cg_errbuf *eb)
{
    return add_member(r, m, false, eb);
}

static void drop(struct secure_member *table, uint32_t *count, const uint8_t key[32])
{
    struct secure_member *m = member_by_key(table, *count, key);

    if (m != NULL) {
        memmove(m, m + 1, (size_t)(table + *count - (m + 1)) * sizeof(*m));
        *count -= 1;
    }
}

void secure__roster_drop_user(struct secure_roster *r, const uint8_t key[32])
{
    drop(r->user, &r->users, key);
}

cg_err secure_roster_remove(struct secure_roster *r, const uint8_t key[32], struct cg_errbuf *eb)
{
    if (secure_roster_gone(r, key)) {
        return CG_OK;
    }
    uint32_t at = secure__roster_lower(r->gone, r->gones, 32, 0, key, 32);
    uint8_t *place = insert((void **)&r->gone, &r->gones, SECURE_GONES_MAX, 32, at, eb);
    if (place == NULL) {
        return CG_ELIMIT;
    }
    memcpy(place, key, 32);
    drop(r->node, &r->nodes, key);
    drop(r->user, &r->users, key);
    return CG_OK;
}

cg_err secure_roster_revoke(struct secure_roster *r, const uint8_t id[16], uint64_t expires_s,
                            struct cg_errbuf *eb)
{
    uint32_t at = secure__roster_lower(r->revoked, r->revokeds, sizeof(*r->revoked), 0, id, 16);
    struct secure_revoked *place = secure_roster_revoked(r, id)
                                       ? &r->revoked[at]
                                       : insert((void **)&r->revoked, &r->revokeds,
                                                SECURE_REVOKED_MAX, sizeof(*place), at, eb);
    if (place == NULL) {
        return CG_ELIMIT;
    }
    memcpy(place->id, id, 16);
    place->expires_s = expires_s > place->expires_s ? expires_s : place->expires_s;
    return CG_OK;
}
