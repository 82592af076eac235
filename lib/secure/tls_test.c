/* TLS between two identities in memory; and everything that must not pass. */
#include "secure_impl.h"
#include "testkit.h"

#include <stdlib.h>
#include <string.h>

static struct kit_id node_a, node_b;

static struct secure_tls_id *tls_id(const struct kit_id *node, uint64_t now_s)
{
    struct secure_tls_id *id = NULL;
    uint8_t st[SECURE_TLS_STATEMENT_BYTES], sig[64];

    assert_int_equal(secure_tls_id_new(node->pub, now_s, &id), CG_OK);
    secure_tls_id_statement(id, st);
    kit_sign(node, SECURE_TLS_KEY, st, sizeof(st), sig);
    assert_int_equal(secure_tls_id_finish(id, sig, NULL), CG_OK);
    return id;
}

struct pair {
    struct secure_tls *c, *s;
    cg_err c_err, s_err;
    struct cg_errbuf c_eb, s_eb;
};

static cg_err move(struct secure_tls *from, struct secure_tls *to, struct cg_errbuf *eb)
{
    size_t len;
    const uint8_t *data = secure_tls_output(from, &len);
    cg_err e = len == 0 ? CG_OK : secure_tls_input(to, data, len, eb);

    secure_tls_sent(from, len);
    return e;
}

static void pump(struct pair *p)
{
    for (int i = 0; i < 8; i++) {
        if (p->s_err == CG_OK) {
            p->s_err = move(p->c, p->s, &p->s_eb);
        }
        if (p->c_err == CG_OK) {
            p->c_err = move(p->s, p->c, &p->c_eb);
        }
    }
}

static struct pair connect_pair(struct secure_tls_config c, struct secure_tls_config s)
{
    struct pair p = {0};

    c.env = s.env = &kit_env;
    c.server = false;
    s.server = true;
    assert_int_equal(secure_tls_new(&c, &p.c), CG_OK);
    assert_int_equal(secure_tls_new(&s, &p.s), CG_OK);
    pump(&p);
    return p;
}

static void pair_free(struct pair *p)
{
    secure_tls_free(p->c);
    secure_tls_free(p->s);
}

static cg_err refuse(void *ctx, const uint8_t key[32])
{
    memcpy(ctx, key, 32);
    return CG_EUNPAIRED;
}

static void two_nodes_meet(void **state)
{
    (void)state;
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);
    struct pair p = connect_pair((struct secure_tls_config){.id = a, .expect = node_b.pub},
                                 (struct secure_tls_config){.id = b});
    uint8_t key[32], binding[2][32];

    assert_true(secure_tls_up(p.c) && secure_tls_up(p.s));
    secure_tls_peer(p.c, key, binding[0]);
    assert_memory_equal(key, node_b.pub, 32);
    secure_tls_peer(p.s, key, binding[1]);
    assert_memory_equal(key, node_a.pub, 32);
    assert_memory_equal(binding[0], binding[1], 32);
    secure_tls_id_free(a);
    secure_tls_id_free(b); /* connections keep what they need */

    struct secure_tls_id *a2 = tls_id(&node_a, KIT_NOW_S), *b2 = tls_id(&node_b, KIT_NOW_S);
    struct pair q =
        connect_pair((struct secure_tls_config){.id = a2}, (struct secure_tls_config){.id = b2});
    secure_tls_peer(q.c, key, binding[1]);
    assert_memory_not_equal(binding[0], binding[1], 32); /* each connection has its own */
    pair_free(&p);
    pair_free(&q);
    secure_tls_id_free(a2);
    secure_tls_id_free(b2);
}

static void bytes_pass_both_ways_and_half_close(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);
    struct pair p =
        connect_pair((struct secure_tls_config){.id = a}, (struct secure_tls_config){.id = b});
    uint8_t *sent = malloc(BYTES), *got = malloc(BYTES);
    size_t len = 0, more = 0;

    for (int i = 0; i < BYTES; i++) {
        sent[i] = (uint8_t)(i * 7 + i / 251);
    }
    assert_int_equal(secure_tls_write(p.c, sent, BYTES, NULL), CG_OK);
    secure_tls_close(p.c);
    pump(&p);
    assert_int_equal(secure_tls_read(p.s, got, BYTES, &len, NULL), CG_OK);
    assert_int_equal(len, BYTES);
    assert_memory_equal(sent, got, BYTES);
    assert_int_equal(secure_tls_read(p.s, got, BYTES, &more, NULL), CG_ECONNRESET);
    assert_int_equal(secure_tls_write(p.s, sent, 5, NULL), CG_OK); /* the other half still goes */
    pump(&p);
    assert_int_equal(secure_tls_read(p.c, got, BYTES, &len, NULL), CG_OK);
    assert_int_equal(len, 5);
    free(sent);
    free(got);
    pair_free(&p);
    secure_tls_id_free(a);
    secure_tls_id_free(b);
}

static void the_unpaired_are_refused(void **state)
{
    (void)state;
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);
    uint8_t seen[32] = {0}, shown[32], buf[8];
    size_t len = 0;
    struct pair p =
        connect_pair((struct secure_tls_config){.id = a},
                     (struct secure_tls_config){.id = b, .accept = refuse, .ctx = seen});

    assert_int_equal(p.s_err, CG_EUNPAIRED);
    assert_false(secure_tls_up(p.s));
    assert_memory_equal(seen, node_a.pub, 32);
    assert_true(secure_tls_shown(p.s, shown));
    assert_memory_equal(shown, node_a.pub, 32);
    /* The client learns it from the alert, with the reason. */
    cg_err e = p.c_err != CG_OK ? p.c_err : secure_tls_read(p.c, buf, sizeof(buf), &len, &p.c_eb);
    assert_int_equal(e, CG_EUNPAIRED);
    pair_free(&p);
    secure_tls_id_free(a);
    secure_tls_id_free(b);
}

static void another_server_key_is_refused(void **state)
{
    (void)state;
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);
    struct pair p = connect_pair((struct secure_tls_config){.id = a, .expect = node_a.pub},
                                 (struct secure_tls_config){.id = b});

    assert_int_equal(p.c_err, CG_EAUTH);
    assert_false(secure_tls_up(p.c) || secure_tls_up(p.s));
    pair_free(&p);
    secure_tls_id_free(a);
    secure_tls_id_free(b);
}

static void time_is_checked_on_both_sides(void **state)
{
    (void)state;
    const uint64_t day = (uint64_t)SECURE_TLS_KEY_HOURS * 3600;
    struct secure_tls_id *good = tls_id(&node_a, KIT_NOW_S);
    struct secure_tls_id *old = tls_id(&node_b, KIT_NOW_S - day - SECURE_SKEW_SECONDS - 1);
    struct secure_tls_id *far = tls_id(&node_b, KIT_NOW_S + SECURE_SKEW_SECONDS + 1);
    struct pair p =
        connect_pair((struct secure_tls_config){.id = good}, (struct secure_tls_config){.id = old});
    assert_int_equal(p.c_err, CG_EEXPIRED);
    pair_free(&p);
    p = connect_pair((struct secure_tls_config){.id = old}, (struct secure_tls_config){.id = good});
    assert_int_equal(p.s_err, CG_EEXPIRED);
    pair_free(&p);
    p = connect_pair((struct secure_tls_config){.id = far}, (struct secure_tls_config){.id = good});
    assert_int_equal(p.s_err, CG_EAUTH);
    pair_free(&p);
    secure_tls_id_free(good);
    secure_tls_id_free(old);
    secure_tls_id_free(far);
}

static void a_foreign_signature_makes_no_identity(void **state)
{
    (void)state;
    struct secure_tls_id *id = NULL;
    uint8_t st[SECURE_TLS_STATEMENT_BYTES], sig[64];

    assert_int_equal(secure_tls_id_new(node_a.pub, KIT_NOW_S, &id), CG_OK);
    secure_tls_id_statement(id, st);
    kit_sign(&node_b, SECURE_TLS_KEY, st, sizeof(st), sig);
    assert_int_equal(secure_tls_id_finish(id, sig, NULL), CG_EAUTH);
    secure_tls_id_free(id);
}

static X509 *cert_of(const struct secure_tls_id *id)
{
    return SSL_CTX_get0_certificate(id->server);
}

/* Every byte of the extension, and of the key that it vouches for. */
static void every_byte_of_the_certificate_counts(void **state)
{
    (void)state;
    struct secure_tls_id *id = tls_id(&node_a, KIT_NOW_S), *other = tls_id(&node_a, KIT_NOW_S);
    uint8_t key[32];
    bool proved = false;
    X509 *cert = cert_of(id);

    assert_int_equal(secure__cert_check(cert, KIT_NOW_S, key, &proved, NULL), CG_OK);
    assert_memory_equal(key, node_a.pub, 32);
    const ASN1_OCTET_STRING *ext = X509_EXTENSION_get_data(X509_get_ext(cert, 0));
    uint8_t *value = (uint8_t *)ASN1_STRING_get0_data(ext);
    assert_int_equal(ASN1_STRING_length(ext), SECURE__EXT_BYTES);
    for (int i = 0; i < SECURE__EXT_BYTES; i++) {
        for (int bit = 0; bit < 8; bit++) {
            value[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(secure__cert_check(cert, KIT_NOW_S, key, &proved, NULL), CG_EAUTH);
            assert_false(proved);
            value[i] ^= (uint8_t)(1 << bit);
        }
    }
    assert_int_equal(X509_set_pubkey(cert, other->pkey), 1); /* a's own other key does not do */
    assert_int_equal(secure__cert_check(cert, KIT_NOW_S, key, &proved, NULL), CG_EAUTH);
    X509_EXTENSION_free(X509_delete_ext(cert, 0));
    assert_int_equal(secure__cert_check(cert, KIT_NOW_S, key, &proved, NULL), CG_EAUTH);
    secure_tls_id_free(id);
    secure_tls_id_free(other);
}

static void tls_1_2_is_refused(void **state)
{
    (void)state;
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);

    SSL_CTX_set_min_proto_version(a->client, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(a->client, TLS1_2_VERSION);
    struct secure_tls_config c = {.id = a, .env = &kit_env};
    struct secure_tls *t = NULL;
    struct pair p = {0};
    if (secure_tls_new(&c, &t) == CG_OK) {
        struct secure_tls_config s = {.id = b, .env = &kit_env, .server = true};
        p.c = t;
        assert_int_equal(secure_tls_new(&s, &p.s), CG_OK);
        pump(&p);
        assert_int_not_equal(p.s_err, CG_OK);
        assert_false(secure_tls_up(p.c) || secure_tls_up(p.s));
        pair_free(&p);
    }
    secure_tls_id_free(a);
    secure_tls_id_free(b);
}

static void without_alpn_it_is_refused(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);
        SSL_CTX_set_alpn_protos(a->client, (const uint8_t *)"\x02h2", other ? 3 : 0);
        struct pair p =
            connect_pair((struct secure_tls_config){.id = a}, (struct secure_tls_config){.id = b});
        assert_int_equal(p.s_err, CG_EPROTO);
        assert_false(secure_tls_up(p.s));
        pair_free(&p);
        secure_tls_id_free(a);
        secure_tls_id_free(b);
    }
}

static void a_client_without_certificate_is_refused(void **state)
{
    (void)state;
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);
    SSL_CTX *bare = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_alpn_protos(bare,
                            (const uint8_t *)"\x05"
                                             "9p-ng",
                            6);
    SSL_CTX_free(a->client);
    a->client = bare;
    struct pair p =
        connect_pair((struct secure_tls_config){.id = a}, (struct secure_tls_config){.id = b});
    assert_int_not_equal(p.s_err, CG_OK);
    assert_false(secure_tls_up(p.s));
    pair_free(&p);
    secure_tls_id_free(a);
    secure_tls_id_free(b);
}

/* A changed byte anywhere on the wire ends the connection or changes nothing that is accepted. */
static void changed_ciphertext_is_refused(void **state)
{
    (void)state;
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S), *b = tls_id(&node_b, KIT_NOW_S);
    struct pair p =
        connect_pair((struct secure_tls_config){.id = a}, (struct secure_tls_config){.id = b});
    uint8_t wire[256], got[64];
    size_t len, n;

    assert_int_equal(secure_tls_write(p.c, "attack at dawn", 14, NULL), CG_OK);
    const uint8_t *out = secure_tls_output(p.c, &len);
    assert_true(len <= sizeof(wire));
    memcpy(wire, out, len);
    wire[len - 3] ^= 1;
    assert_int_equal(secure_tls_input(p.s, wire, len, NULL), CG_OK);
    assert_int_equal(secure_tls_read(p.s, got, sizeof(got), &n, NULL), CG_EPROTO);
    assert_int_equal(n, 0);
    pair_free(&p);
    secure_tls_id_free(a);
    secure_tls_id_free(b);
}

static void short_memory_is_an_error(void **state)
{
    (void)state;
    struct secure_tls_id *a = tls_id(&node_a, KIT_NOW_S);
    struct secure_tls_config c = {.id = a, .env = &kit_env};

    for (uint64_t n = 1; n < 100; n++) {
        struct secure_tls *t = NULL;
        cg_alloc_fail_at(n);
        cg_err e = secure_tls_new(&c, &t);
        cg_alloc_fail_at(0);
        if (e == CG_OK) {
            secure_tls_free(t);
            break;
        }
        assert_int_equal(e, CG_ENOMEM);
        assert_true(n < 99);
    }
    secure_tls_id_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_meet),
        cmocka_unit_test(bytes_pass_both_ways_and_half_close),
        cmocka_unit_test(the_unpaired_are_refused),
        cmocka_unit_test(another_server_key_is_refused),
        cmocka_unit_test(time_is_checked_on_both_sides),
        cmocka_unit_test(a_foreign_signature_makes_no_identity),
        cmocka_unit_test(every_byte_of_the_certificate_counts),
        cmocka_unit_test(tls_1_2_is_refused),
        cmocka_unit_test(without_alpn_it_is_refused),
        cmocka_unit_test(a_client_without_certificate_is_refused),
        cmocka_unit_test(changed_ciphertext_is_refused),
        cmocka_unit_test(short_memory_is_an_error),
    };
    node_a = kit_id();
    node_b = kit_id();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_id_free(&node_a);
    kit_id_free(&node_b);
    return failed;
}
