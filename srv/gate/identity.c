/* identity: which node this is, and the TLS key that its identity vouches for, both by factotum.
 *
 * A new TLS key is made when half of the old one's life is over; connections keep the key that they
 * began with.
 */
#include "gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 4, KEY_LINE_BYTES = 256 };

static void take_key_line(struct gate *g, char *line)
{
    char *word[WORDS_MAX];
    int words = cg_tokenize(line, word, WORDS_MAX);

    if (words == 2 && strcmp(word[0], "node") == 0 && secure_unhex(word[1], g->key, 32)) {
        g->key_known = true;
    }
    if (words == 3 && strcmp(word[0], "user") == 0 && g->users < USERS_OWN_MAX) {
        struct secure_member *m = &g->user[g->users];
        memset(m, 0, sizeof(*m));
        if (secure_unhex(word[1], m->key, 32) &&
            cg_span_str(cg_span_of(word[2]), m->name, sizeof(m->name))) {
            g->users++;
        }
    }
}

static void on_keys(void *aux, cg_err e, const char *text, size_t len, const char *detail)
{
    struct gate *g = aux;
    char line[KEY_LINE_BYTES];

    g->asking_keys = false;
    if (e != CG_OK) {
        cg_log(CG_WARN, "%s", detail);
        return;
    }
    g->users = 0;
    for (size_t pos = 0; pos < len;) {
        size_t n = strcspn(text + pos, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)n, text + pos);
        take_key_line(g, line);
        pos += n + 1;
    }
    g->retry_identity_ms = 0;
    identity_tick(g);
}

/* ---- the TLS key */

struct asked {
    struct gate *gate;
    struct secure_tls_id *id;
};

static void on_tls_signed(void *aux, cg_err e, const uint8_t key[32], const uint8_t sig[64],
                          const char *detail)
{
    struct asked *a = aux;
    struct gate *g = a->gate;
    struct cg_errbuf eb = {0};

    (void)key;
    g->asking_tls = false;
    if (e == CG_OK) {
        e = secure_tls_id_finish(a->id, sig, &eb);
        detail = eb.text;
    }
    if (e == CG_OK) {
        secure_tls_id_free(g->tls_id);
        g->tls_id = a->id;
        cg_log(CG_INFO, "a new TLS key, good for %d hours", SECURE_TLS_KEY_HOURS);
    } else {
        secure_tls_id_free(a->id);
        if (e != CG_ECANCELED) {
            cg_log(CG_WARN, "no TLS key: %s", detail);
        }
    }
    cg_free(a);
}

static cg_err ask_tls(struct gate *g)
{
    uint8_t st[SECURE_TLS_STATEMENT_BYTES];
    char request[128], hex[65];
    struct asked *a = cg_zalloc(sizeof(*a));

    if (a == NULL || secure_tls_id_new(g->key, gate_now_s(), &a->id) != CG_OK) {
        cg_free(a);
        return CG_ENOMEM;
    }
    a->gate = g;
    secure_tls_id_statement(a->id, st);
    secure_hex(st, 32, hex);
    int n = snprintf(request, sizeof(request), "tls-key %s %" PRIu64 "\n", hex,
                     secure_tls_id_expires_s(a->id));
    cg_err e = secure_signer_sign(g->signer, request, (size_t)n, on_tls_signed, a);
    if (e != CG_OK) {
        secure_tls_id_free(a->id);
        cg_free(a);
    }
    return e;
}

static bool tls_old(const struct gate *g)
{
    const uint64_t half_s = (uint64_t)SECURE_TLS_KEY_HOURS * 3600 / 2;

    return g->tls_id == NULL || secure_tls_id_expires_s(g->tls_id) < gate_now_s() + half_s;
}

void identity_tick(struct gate *g)
{
    if (gate_now_ms() < g->retry_identity_ms) {
        return;
    }
    if (!g->key_known && !g->asking_keys) {
        g->asking_keys = secure_signer_keys(g->signer, on_keys, g) == CG_OK;
        g->retry_identity_ms = gate_now_ms() + RETRY_MS;
    } else if (g->key_known && !g->asking_tls && tls_old(g)) {
        g->asking_tls = ask_tls(g) == CG_OK;
        g->retry_identity_ms = gate_now_ms() + RETRY_MS;
    }
}

cg_err identity_start(struct gate *g)
{
    cg_err e = secure_signer_new(g->loop, g->factotum, &g->signer);

    if (e == CG_OK) {
        identity_tick(g);
    }
    return e;
}

void identity_stop(struct gate *g)
{
    secure_signer_free(g->signer);
    secure_tls_id_free(g->tls_id);
}
