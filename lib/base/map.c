/* Hash map, open addressing with linear probing, at most three quarters full. Keys may be chosen by
 * an enemy, so the hash is SipHash-1-3 (J.-P. Aumasson and D. J. Bernstein, 2012; the reduced
 * rounds are those of common hash tables) under a random key. */
#include <cognu/base.h>

#include <string.h>

enum { CAP_MIN = 16 };

struct cg_map__slot {
    void *value;  /* NULL: free, or removed when tomb */
    uint32_t tag; /* of its key: the low half of the hash */
    bool tomb;
    uint8_t key[CG_MAP_KEY_BYTES_MAX];
};

static uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static uint32_t hash(const struct cg_map *m, const uint8_t *key)
{
    uint64_t k0 = m->seed, k1 = ~m->seed;
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    for (size_t at = 0; at < m->key_bytes; at += 8) {
        uint64_t word = 0;
        size_t n = m->key_bytes - at < 8 ? m->key_bytes - at : 8;
        memcpy(&word, key + at, n);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sip_round(v);
    }
    return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* The slot that holds key, or the one where it would go (a tomb is reused); NULL only when there is
 * no table. */
static struct cg_map__slot *find(const struct cg_map *m, const void *key, uint32_t tag,
                                 bool for_insert)
{
    if (m->cap == 0) {
        return NULL;
    }
    struct cg_map__slot *tomb = NULL;
    for (uint32_t i = tag & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct cg_map__slot *s = &m->slots[i];
        if (s->value && s->tag == tag && memcmp(s->key, key, m->key_bytes) == 0) {
            return s;
        }
        if (!s->value && s->tomb && !tomb) {
            tomb = s;
        }
        if (!s->value && !s->tomb) {
            return for_insert && tomb ? tomb : s;
        }
    }
}

static cg_err grow(struct cg_map *m)
{
    struct cg_map old = *m;
    uint32_t cap = CAP_MIN;
    while (cap < m->live * 2 + 2) {
        cap *= 2;
    }
    m->slots = cg_zalloc(cap * sizeof *m->slots);
    if (!m->slots) {
        m->slots = old.slots;
        return CG_ENOMEM;
    }
    m->cap = cap;
    m->used = m->live;
    for (uint32_t i = 0; i < old.cap; i++) {
        if (old.slots[i].value) {
            *find(m, old.slots[i].key, old.slots[i].tag, true) = old.slots[i];
        }
    }
    cg_free(old.slots);
    return CG_OK;
}

void cg_map_init(struct cg_map *m, size_t key_bytes)
{
    cg_assert(key_bytes > 0 && key_bytes <= CG_MAP_KEY_BYTES_MAX);
    *m = (struct cg_map){.key_bytes = (uint16_t)key_bytes};
    cg_env_real.random(NULL, &m->seed, sizeof m->seed);
}

void cg_map_fini(struct cg_map *m)
{
    cg_free(m->slots);
    *m = (struct cg_map){.key_bytes = m->key_bytes};
}

void *cg_map_get(const struct cg_map *m, const void *key)
{
    struct cg_map__slot *s = find(m, key, hash(m, key), false);
    return s ? s->value : NULL;
}

cg_err cg_map_put(struct cg_map *m, const void *key, void *value)
{
    cg_assert(value);
    if (m->cap == 0 || (m->used + 1) * 4 > m->cap * 3) {
        cg_err e = grow(m);
        if (e) {
            return e;
        }
    }
    uint32_t tag = hash(m, key);
    struct cg_map__slot *s = find(m, key, tag, true);
    if (!s->value) {
        m->live++;
        m->used += !s->tomb;
        memcpy(s->key, key, m->key_bytes);
        s->tag = tag;
        s->tomb = false;
    }
    s->value = value;
    return CG_OK;
}

/* Nothing is looked for behind a tomb that a free slot follows: it, and those before, are free. */
static void bury(struct cg_map *m, struct cg_map__slot *s)
{
    uint32_t mask = m->cap - 1, i = (uint32_t)(s - m->slots);
    const struct cg_map__slot *next = &m->slots[(i + 1) & mask];
    if (next->value || next->tomb) {
        return;
    }
    for (; !m->slots[i].value && m->slots[i].tomb; i = (i - 1) & mask) {
        m->slots[i].tomb = false;
        m->used--;
    }
}

void *cg_map_del(struct cg_map *m, const void *key)
{
    struct cg_map__slot *s = find(m, key, hash(m, key), false);
    if (!s || !s->value) {
        return NULL;
    }
    void *value = s->value;
    s->value = NULL;
    s->tomb = true;
    m->live--;
    bury(m, s);
    return value;
}

uint32_t cg_map_count(const struct cg_map *m)
{
    return m->live;
}

void *cg_map_next(const struct cg_map *m, uint32_t *cursor)
{
    while (*cursor < m->cap) {
        void *value = m->slots[(*cursor)++].value;
        if (value) {
            return value;
        }
    }
    return NULL;
}
